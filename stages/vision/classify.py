"""Pictures to classes and probabilities, with a trained model alone."""

from typing import Any

import torch
from torch import Tensor

from stages.core.device import Hardware
from stages.core.fit import predict
from stages.vision.augmentation import central_view
from stages.vision.batches import Normalisation, PictureBatches
from stages.vision.networks import Classifier
from stages.vision.pictures import Pictures

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
