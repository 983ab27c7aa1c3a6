"""Picture data sets of two classes or more, small and quick, and the stages on them."""

import io
import random
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch
from PIL import Image, ImageDraw

from stages import compare, finetune, scratch
from stages.core.tensors import write_tensors
from stages.vision.batches.images import SCHEMA, image_table, write_images
from stages.vision.networks import build

SHAPES = {"disc": "red", "square": "blue", "cross": "lime", "bar": "yellow", "frame": "white"}
TEXTBOOK = {
    "scale": [0.08, 1.0], "ratio": [3 / 4, 4 / 3], "horizontal_flip": 0.5, "vertical_flip": 0.0,
    "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0,
}  # fmt: skip
ARCH = "shufflenet_v2_x0_5"
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def drawn(shape: str, seed: int) -> bytes:
    """A PNG, wider than high or the other way round, of a shape on a dark ground, each shape in its colour."""
    numbers = random.Random(f"{shape} {seed}")
    size = numbers.choice([(48, 64), (64, 48)])
    image = Image.new("RGB", size, tuple(numbers.randrange(0, 90) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    colour = SHAPES[shape]
    x, y = (side // 2 + numbers.randrange(-4, 5) for side in size)
    box = (x - 14, y - 14, x + 14, y + 14)
    if shape == "disc":
        draw.ellipse(box, colour)
    elif shape == "square":
        draw.rectangle(box, colour)
    elif shape == "cross":
        draw.line((x - 14, y - 14, x + 14, y + 14), colour, 5)
        draw.line((x - 14, y + 14, x + 14, y - 14), colour, 5)
    elif shape == "bar":
        draw.line((x - 14, y, x + 14, y), colour, 7)
    else:
        draw.rectangle(box, outline=colour, width=4)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_split(
    path: Path, split: str, classes: list[str], each: int, first: int = 0, shown: list[str] | None = None
) -> Path:
    """`shown`: the class that the images of each class show; without it, their own."""
    names = [
        (f"{split}/{name}/{i}.png", name, drawn(shape, first + i))
        for name, shape in zip(classes, shown or classes, strict=True)
        for i in range(each)
    ]
    ids, labels, images = map(list, zip(*sorted(names), strict=True))
    encoded = pa.chunked_array([pa.array(images, SCHEMA.field("image").type)])
    write_images(path, image_table(ids, labels, encoded, classes))
    return path


@dataclass(frozen=True)
class Settings:
    """A training section of params.yaml, and compare's."""

    device: str = "cpu"
    precision: str = "fp32"
    threads: int | None = 1
    seed: int = 0
    epochs: int = 2
    lr: float = 0.005
    schedule: str = "constant"
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    average_epochs: int = 1
    validation_fraction: float = 0.0
    patience: int | None = None
    calibrate: bool = False
    momentum: float = 0.0
    weight_decay: float = 0.001
    average_flips: bool = False
    output_lr_factor: float = 10
    freeze: str = "none"
    mean: list[float] = field(default_factory=lambda: [0.5, 0.4, 0.3])
    std: list[float] = field(default_factory=lambda: [0.25, 0.25, 0.25])


def params(arch: str = ARCH, **changes: Any) -> SimpleNamespace:
    settings = Settings(**changes)
    sizes = {"image_size": SimpleNamespace(sample=224, full=32), "batch_size": SimpleNamespace(sample=128, full=8)}
    return SimpleNamespace(
        dataset="full",
        pictures=SimpleNamespace(arch=arch, **sizes),
        augment=SimpleNamespace(**TEXTBOOK | {"scale": [0.7, 1.0]}),
        finetune=settings,
        scratch=settings,
        compare=settings,
    )


class Folder:
    """Two splits of images and a source model, and the stages that run on them."""

    def __init__(self, path: Path, classes: int = 2, each: int = 20) -> None:
        self.path = path
        self.images = path / "hotdog"
        names = sorted(list(SHAPES)[:classes])
        self.train = write_split(self.images / "train.parquet", "train", names, each)
        self.test = write_split(self.images / "test.parquet", "test", names, 6, first=1000)
        self.source = path / "source_model.safetensors"
        torch.manual_seed(1)
        self.returned: dict[str, Any] = {}  # by the last stage
        write_tensors(self.source, build(ARCH, 12).state_dict(), {"arch": ARCH, "outputs": 12, **IMAGENET})

    def finetune(self, out: str = "finetune", **changes: Any) -> Path:
        return self._run(finetune, (self.images, self.source), out, changes)

    def scratch(self, out: str = "scratch", **changes: Any) -> Path:
        return self._run(scratch, (self.images,), out, changes)

    def compare(self) -> Path:
        inputs = (self.images, self.path / "finetune", self.path / "scratch")
        return self._run(compare, inputs, "comparison", {}, self.path / "metrics")

    def _run(self, stage: Any, inputs: tuple[Path, ...], out: str, changes: dict[str, Any], *others: Path) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage, "load_params", lambda: params(**changes))
            self.returned = stage.main(*inputs, self.path / out, *others)
        torch.set_flush_denormal(False)
        return self.path / out
