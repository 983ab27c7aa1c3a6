"""A trained model of pictures as one ONNX file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.core.device import Hardware
from stages.core.portable import Case, write_onnx
from stages.vision.augmentation import central_view
from stages.vision.classify import classify
from stages.vision.models import load
from stages.vision.networks import Classifier
from stages.vision.pictures import Pictures

CHECKED = 32  # of the pictures, evenly spread

PREPROCESSING = (
    "Turn the picture upright (EXIF) and to 8-bit RGB, what is transparent to white; reduce a shorter side of more "
    "than 512 pixels to that (Lanczos). Then resize the shorter side to `resize` pixels (bilinear with antialiasing, "
    "as Pillow does), and cut image_size by image_size pixels out of the middle. Input pictures, uint8 (batch, "
    "image_size, image_size, 3): mean and standard deviation are applied inside. Output probabilities, float (batch, "
    "classes)."
)


def export(artifacts: Path, name: str, path: Path, hardware: Hardware, pictures: Pictures) -> tuple[int, float]:
    """Write the model as ONNX; return on how many of `pictures` it was checked, and the largest difference.

    Raises InputError where write_onnx does.
    """
    classifier, config = load(artifacts / name)
    size = config["image_size"]
    about = {
        "model": config["model"],
        "preprocessing": PREPROCESSING,
        "classes": config["classes"],
        "resize": size * 256 // 224,
        "image_size": size,
        "normalisation": config["normalisation"],
    }
    inputs = {"pictures": torch.zeros(2, size, size, 3, dtype=torch.uint8)}
    network = PortablePictures(classifier, **config["normalisation"])
    cases = answered(classifier, config, pictures, hardware)
    return write_onnx(path, network, inputs, {"pictures": {0: "batch"}}, about, cases)


def answered(classifier: Classifier, config: dict[str, Any], pictures: Pictures, hardware: Hardware) -> Iterator[Case]:
    """Yield what the classifier answers about some of the pictures, in two batches."""
    rows = range(0, len(pictures), -(-len(pictures) // CHECKED))
    some = Pictures(
        [pictures.ids[row] for row in rows], pictures.labels[:: rows.step], pictures.classes,
        pictures.encoded.take(list(rows)),
    )  # fmt: skip
    probabilities = classify(classifier, config, some, hardware)[0].softmax(1).cpu()
    view = central_view(config["image_size"])
    views = np.stack([np.asarray(view(some.decode(row))) for row in range(len(some))])
    first = len(rows) // 3 + 1
    for part in (slice(first), slice(first, None)):
        if len(views[part]):
            yield Case({"pictures": views[part]}, probabilities[part])


class PortablePictures(nn.Module):
    """A classifier with its normalisation inside."""

    def __init__(self, classifier: Classifier, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.classifier = classifier
        self.mean, self.std = (torch.tensor(numbers).mul(255)[:, None, None] for numbers in (mean, std))

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures, uint8 (batch, size, size, 3), to probabilities (batch, classes)."""
        return self.classifier(pictures.permute(0, 3, 1, 2).float().sub(self.mean).div(self.std)).softmax(1)
