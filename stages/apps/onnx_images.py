"""Export a trained image model as one ONNX file."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stages.apps.onnx import Case, write_onnx
from stages.inference.config import ImageConfig, Normalisation
from stages.inference.device import Hardware
from stages.inference.predict import predict
from stages.vision.batches.augmentation import MAX_RATIO, central_view
from stages.vision.batches.image_batches import eval_batches
from stages.vision.batches.images import Images
from stages.vision.networks import Classifier, load_image_model

CHECKED = 32  # images, evenly spread

PREPROCESSING = (
    "Turn the picture upright (EXIF) and convert it to 8-bit RGB: transparent pixels become white, of 16 bits the "
    "upper 8 are kept. If the shorter side has more than 512 pixels, reduce it to 512 (Lanczos). If the picture is "
    f"more than {MAX_RATIO} times as long as wide, keep its middle, {MAX_RATIO} times as long as wide. Resize the "
    "shorter side to `resize` pixels (bilinear with antialiasing, as Pillow does), and crop the central image_size by "
    "image_size pixels. Input pictures, uint8 (batch, image_size, image_size, 3): mean and standard deviation are "
    "applied inside. Output probabilities, float (batch, classes)."
)


def export_image_model(artifacts: Path, name: str, path: Path, hardware: Hardware, images: Images) -> tuple[int, float]:
    """Write the model as ONNX and check it on some of `images`; returns and raises as write_onnx does."""
    classifier, config = load_image_model(artifacts / name)
    size = config.image_size
    about = {
        "model": config.model,
        "dataset": config.dataset,
        "preprocessing": PREPROCESSING,
        "classes": config.classes,
        "resize": size * 256 // 224,
        "image_size": size,
        "normalisation": asdict(config.normalisation),
    }
    inputs = {"pictures": torch.zeros(2, size, size, 3, dtype=torch.uint8)}
    network = OnnxClassifier(classifier, config.normalisation, config.temperature)
    cases = expected(classifier, config, images, hardware)
    return write_onnx(path, network, inputs, {"pictures": {0: "batch"}}, about, cases)


def expected(classifier: Classifier, config: ImageConfig, images: Images, hardware: Hardware) -> Iterator[Case]:
    """Yield the classifier's predictions for CHECKED of the images, in two batches of different sizes."""
    rows = torch.arange(0, len(images), -(-len(images) // CHECKED))
    some = images.select(rows)
    classifier = classifier.to(hardware.device).to(memory_format=torch.channels_last)
    logits, _ = predict(classifier, eval_batches(some, config, hardware), hardware, config.model, config.temperature)
    probabilities = logits.softmax(1).cpu()
    view = central_view(config.image_size)
    views = np.stack([np.asarray(view(some.decode(row))) for row in range(len(some))])
    first = len(rows) // 3 + 1
    for part in (slice(first), slice(first, None)):
        if len(views[part]):
            yield Case({"pictures": views[part]}, probabilities[part])


class OnnxClassifier(nn.Module):
    """A classifier that also does its normalisation, and the softmax with its temperature."""

    def __init__(self, classifier: Classifier, normalisation: Normalisation, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.classifier = classifier
        values = (normalisation.mean, normalisation.std)
        self.mean, self.std = (torch.tensor(numbers).mul(255)[:, None, None] for numbers in values)

    def forward(self, pictures: Tensor) -> Tensor:  # torch.onnx matches the parameter's name with the input's
        """Map images, uint8 (batch, size, size, 3), to probabilities (batch, classes)."""
        images = pictures.permute(0, 3, 1, 2).float().sub(self.mean).div(self.std)
        return self.classifier(images).div(self.temperature).softmax(1)
