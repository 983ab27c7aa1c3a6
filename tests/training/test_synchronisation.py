"""Inside an epoch nothing waits for the device: on a GPU each wait would leave it idle.

Seen on the CPU by the operations that make a GPU wait: a number for Python, and results of a size that depends on
numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from stages.inference.config import Normalisation, Padding
from stages.inference.device import Hardware
from stages.inference.predict import Batch, predict
from stages.text.batches.review_batches import ReviewBatches
from stages.text.models import textcnn
from stages.text.models.birnn import BiRNN
from stages.text.models.textcnn import TextCNN
from stages.training.trainer import Epoch, Schedule, Trainer
from stages.vision.batches.augmentation import augmented_view, central_view
from stages.vision.batches.image_batches import DeviceViews, ImageBatches
from stages.vision.batches.images import Images, read_images
from stages.vision.networks import Classifier, build, parameter_groups
from tests.training.processes import reviews
from tests.vision.tiny import ARCH, IMAGENET, TEXTBOOK, write_split

CPU = Hardware(torch.device("cpu"), "fp32", 1)
COLOURFUL = TEXTBOOK | {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.5, "vertical_flip": 0.5}
WAITS = {"_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select", "equal", "is_nonzero"}


class Watch(TorchDispatchMode):
    """Fails at operations that wait for a device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in WAITS, f"{func} waits for the device"
        if name in ("index", "index_put_"):
            assert all(place is None or place.dtype != torch.bool for place in args[1]), f"{func} counts what is true"
        return func(*args, **(kwargs or {}))


class Ready:
    """Batches that are made before the epoch, and one more, after which training looks at the losses."""

    def __init__(self, batches: Any) -> None:
        self.batches = list(batches.epoch(0))
        self.examples = sum(len(batch.labels) for batch in self.batches)

    def __len__(self) -> int:
        return len(self.batches) + 1

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        return iter(self.batches)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Any) -> None:
    ready = Ready(batches)
    trainer = Trainer(model, optimizer, Schedule(1, 1), CPU)
    epoch = trainer.epoch = Epoch.start(len(ready), CPU.device)
    with Watch():
        trainer.train_epoch(ready)
    assert epoch.done == len(ready.batches) > 1


def look(model: nn.Module, batches: Any) -> None:
    """A test pass, whose results stay on the device."""
    ready = Ready(batches)
    with Watch():
        logits, labels = predict(model, ready, CPU, "test")
    assert len(logits) == len(labels) == ready.examples


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch, batches: Any, method: str) -> Iterator[None]:
    """Watch a method of batches that makes one of what lies on the device."""
    make = getattr(batches, method)

    def watched(*given: Any) -> Any:
        with Watch():
            return make(*given)

    monkeypatch.setattr(batches, method, watched)
    yield


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_birnn(monkeypatch: pytest.MonkeyPatch, cell: str) -> None:
    model = BiRNN(torch.randn(60, 6), 2, cell, 4, 2, False)
    batches = ReviewBatches(reviews(9, 0), 4, CPU, seed=0, padding=Padding(True, None))
    with watching(monkeypatch, batches, "_inputs"):
        step(model, torch.optim.Adam(model.parameters(), 0.01, fused=True), batches)
        look(model, batches)


def test_textcnn_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textcnn, "_distinct", textcnn._each)
    model = TextCNN(torch.randn(60, 6), 2, [2, 3], 4, 0.5, False)
    batches = ReviewBatches(reviews(9, 0), 4, CPU, seed=0, padding=Padding(True, None))
    with watching(monkeypatch, batches, "_inputs"):
        step(model, torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 0.01, fused=True), batches)
        look(model, batches)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Images:
    path = tmp_path_factory.mktemp("pictures") / "split.parquet"
    return read_images(write_split(path, "train", ["disc", "square"], 5))


@pytest.mark.parametrize("freeze", ["none", "features"])
def test_images(monkeypatch: pytest.MonkeyPatch, split: Images, freeze: Literal["none", "features"]) -> None:
    model = Classifier(ARCH, build(ARCH, 2), freeze)
    augmented = augmented_view(SimpleNamespace(**TEXTBOOK), 32)
    batches = ImageBatches(split, augmented, Normalisation(**IMAGENET), 4, CPU, seed=0)
    with watching(monkeypatch, batches, "_normalise"):
        step(model, torch.optim.SGD(parameter_groups(model, 0.01, 10), 0.01, weight_decay=0.001), batches)
        look(model, batches)


@pytest.mark.parametrize("seed", [0, None])
def test_augmentation_on_a_gpu(split: Images, seed: int | None) -> None:
    """The meta device stands for the GPU: it has no numbers to wait for, and those that are drawn are the CPU's."""
    transform = central_view(32) if seed is None else augmented_view(SimpleNamespace(**COLOURFUL), 32)
    views = DeviceViews(split, transform, seed, torch.device("meta"))
    for row in range(len(split)):
        assert (views[3, row].device.type, views[3, row].shape) == ("meta", (32, 32, 3))


def test_the_watch_sees_what_waits() -> None:
    ones = torch.ones(2)
    for wait in (ones[0].item, ones.nonzero, ones.unique, lambda: ones[ones > 0], lambda: bool(ones[0] > 0)):
        with pytest.raises(AssertionError), Watch():
            wait()
