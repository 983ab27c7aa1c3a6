"""Inside an epoch nothing waits for the device: on a GPU each wait would leave it idle.

Seen on the CPU by the operations that make a GPU wait: a number for Python, and results of a size that depends on
numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from stages.core.device import Hardware
from stages.core.fit import Average, Batch, Epoch, train_batches
from stages.text import textcnn
from stages.text.batches import ReviewBatches
from stages.text.birnn import BiRNN
from stages.text.textcnn import TextCNN
from stages.vision.augmentation import augmented_view
from stages.vision.batches import Normalisation, PictureBatches
from stages.vision.networks import Classifier, build
from stages.vision.pictures import read_pictures
from tests.core.processes import reviews
from tests.vision.tiny import ARCH, IMAGENET, TEXTBOOK, write_half

CPU = Hardware(torch.device("cpu"), "fp32", 1)
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
    ready, average = Ready(batches), Average(model)
    epoch = Epoch.start(ready, CPU.device)
    with Watch():
        for _ in train_batches(model, optimizer, ready, 0, CPU, epoch, average):
            pass
    assert epoch.done == len(ready.batches) > 1


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
    batches = ReviewBatches(reviews(9, 0), 4, CPU.device, seed=0)
    with watching(monkeypatch, batches, "_batch"):
        step(model, torch.optim.Adam(model.parameters(), 0.01, fused=True), batches)


def test_textcnn_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textcnn, "_distinct", textcnn._each)
    model = TextCNN(torch.randn(60, 6), 2, [2, 3], 4, 0.5, False)
    batches = ReviewBatches(reviews(9, 0), 4, CPU.device, seed=0)
    with watching(monkeypatch, batches, "_batch"):
        step(model, torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 0.01, fused=True), batches)


def test_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    half = read_pictures(write_half(tmp_path / "half.parquet", "train", ["disc", "square"], 5))
    model = Classifier(ARCH, build(ARCH, 2))
    augmented = augmented_view(SimpleNamespace(**TEXTBOOK), 32)
    batches = PictureBatches(half, augmented, Normalisation(**IMAGENET), 4, CPU.device, seed=0)
    with watching(monkeypatch, batches, "_normalise"):
        step(model, torch.optim.SGD(model.parameters(), 0.01, weight_decay=0.001), batches)


def test_the_watch_sees_what_waits() -> None:
    ones = torch.ones(2)
    for wait in (ones[0].item, ones.nonzero, ones.unique, lambda: ones[ones > 0], lambda: bool(ones[0] > 0)):
        with pytest.raises(AssertionError), Watch():
            wait()
