"""The trained image models, and their predictions for the user's images."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from stages.apps.predictions import Prediction, batched, by_class
from stages.core.files import InputError
from stages.inference.device import Hardware
from stages.inference.predict import predict
from stages.vision.batches.image_batches import EVAL_BATCH, eval_batches
from stages.vision.batches.images import SCHEMA, Images
from stages.vision.networks import load_image_model
from stages.vision.reading.opening import plain

_THREADS = 4  # images decoded at a time, at most


@dataclass(frozen=True)
class ImageFile:
    file: str
    encoded: bytes  # as fetch_hotdog stores images

    @property
    def summary(self) -> str:
        return self.file

    @property
    def source(self) -> dict[str, Any]:
        return {"file": self.file}


def each_image(files: Iterable[str]) -> Iterator[ImageFile | InputError]:
    """Yield the images of files, with EVAL_BATCH in memory at a time.

    A file that is missing, damaged, enormous or no image is yielded as an InputError.
    """
    with ThreadPoolExecutor(_THREADS) as pool:  # Pillow releases Python's lock when it decodes
        for batch in batched(files, EVAL_BATCH):
            yield from pool.map(_open, batch)


def _open(file: str) -> ImageFile | InputError:
    try:
        return ImageFile(file, plain(Path(file), file))
    except InputError as problem:
        return problem


def as_images(files: list[ImageFile]) -> Images:
    """Return the images as a data set; labels are all 0 and mean nothing."""
    encoded = pa.chunked_array([pa.array([file.encoded for file in files], SCHEMA.field("image").type)])
    return Images([file.file for file in files], torch.zeros(len(files), dtype=torch.int64), [], encoded)


class ImageModels:
    """The trained models called `names`, from the folder that dvc repro fills."""

    examples = "pictures"
    batch_size = EVAL_BATCH

    def __init__(self, artifacts: Path, names: Iterable[str], hardware: Hardware) -> None:
        self.hardware = hardware
        self.models = {name: load_image_model(artifacts / name) for name in names}
        for classifier, _ in self.models.values():
            classifier.to(hardware.device).to(memory_format=torch.channels_last)

    def predict(self, examples: list[ImageFile]) -> list[Prediction]:
        images, by_model = as_images(examples), {}
        for name, (classifier, config) in self.models.items():
            batches = eval_batches(images, config, self.hardware)
            logits, _ = predict(classifier, batches, self.hardware, name, config.temperature)
            by_model[name] = by_class(config.classes, logits.softmax(1))
        return [Prediction(dict(zip(by_model, rows, strict=True))) for rows in zip(*by_model.values(), strict=True)]
