"""Pictures to classes and probabilities, with a trained model alone."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from stages.core.device import Hardware
from stages.core.fit import predict
from stages.vision.augmentation import central_view
from stages.vision.batches import Normalisation, PictureBatches
from stages.vision.networks import Classifier
from stages.vision.opening import plain
from stages.vision.pictures import SCHEMA, Pictures

TEST_BATCH = 64  # pictures per batch where nothing is learnt


def classify(
    classifier: Classifier, config: dict[str, Any], pictures: Pictures, hardware: Hardware
) -> tuple[Tensor, Tensor]:
    """Return logits fp32 (pictures, classes) and labels int64 (pictures,), preprocessed as in testing."""
    classifier = classifier.to(hardware.device).to(memory_format=torch.channels_last)
    return predict(classifier, batches_of(config, pictures, hardware), hardware, config["model"])


def batches_of(config: dict[str, Any], pictures: Pictures, hardware: Hardware) -> PictureBatches:
    """Return the pictures as the model of `config` sees them in testing."""
    return PictureBatches(
        pictures,
        central_view(config["image_size"]),
        Normalisation(**config["normalisation"]),
        TEST_BATCH,
        hardware.device,
        seed=None,
    )


def open_files(files: list[str]) -> Pictures:
    """Return pictures from outside, in order, as fetch_hotdog would keep them; labels are all 0, and no one's.

    Raises InputError for a file that is missing, damaged, enormous or no picture.
    """
    encoded = pa.chunked_array([pa.array([plain(Path(file), file) for file in files], SCHEMA.field("picture").type)])
    return Pictures(files, torch.zeros(len(files), dtype=torch.int64), [], encoded)
