"""The one training loop, and the pass over a test half that training and evaluation share."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from dvclive import Live
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stages.core.device import Hardware
from stages.core.files import InputError, write_json
from stages.core.progress import progress

CHECK_EVERY = 50  # batches between looks at the loss: each look waits for the device


class Batch(NamedTuple):
    inputs: tuple[Tensor, ...]  # what the model takes, each (batch, …)
    labels: Tensor  # int64 (batch,)
    rows: Tensor  # int64 (batch,): the examples' places in the data set


class Batches(Protocol):
    """A data set in batches on the training device."""

    examples: int

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        ...

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield epoch `number`'s batches; the order depends on the seed and on `number` alone."""
        ...


@dataclass
class Progress:
    """All that training has come to, besides the model and the optimizer."""

    curves: list[dict[str, float]] = field(default_factory=list)  # one row per epoch
    seconds: list[dict[str, float]] = field(default_factory=list)  # one row per epoch


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Batches,
    test: Batches,
    epochs: int,
    hardware: Hardware,
    out: Path,
) -> Progress:
    """Train `model` for `epochs`, each followed by a pass over the test half.

    Prints a line an epoch, in the textbook's form; writes `out`/metrics.json, the learning curves in
    `out`/plots and the wall-clock seconds in `out`/timing.json.

    Raises InputError when a loss is not finite.
    """
    print(f"training on {hardware}", flush=True)
    done = Progress()
    with Live(str(out), save_dvc_exp=False, dvcyaml=False) as live:
        live.step = 1  # plots count epochs from 1, as people do
        for epoch in range(epochs):
            start = time.perf_counter()
            loss, accuracy = train_epoch(model, optimizer, train, epoch, hardware)
            trained = time.perf_counter()
            test_loss, test_accuracy = score(*predict(model, test, hardware, f"epoch {epoch + 1}, test"))
            seconds = {"train": trained - start, "test": time.perf_counter() - trained}
            row = {
                "train/loss": loss,
                "train/accuracy": accuracy,
                "test/loss": test_loss,
                "test/accuracy": test_accuracy,
            }
            done.curves.append(row)
            done.seconds.append(seconds)
            print(
                f"epoch {epoch + 1}, loss {loss:.4f}, train acc {accuracy:.3f}, test acc {test_accuracy:.3f}, "
                f"time {sum(seconds.values()):.1f} sec",
                flush=True,
            )
            for name, value in row.items():
                live.log_metric(name, value)
            live.next_step()
    write_json(out / "timing.json", {"examples": train.examples, "seconds": done.seconds})
    return done


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches, epoch: int, hardware: Hardware
) -> tuple[float, float]:
    """Train for one epoch; return the mean loss and the accuracy over its examples, as seen while training."""
    model.train()
    device = hardware.device
    losses = torch.zeros(len(batches), device=device)  # (batches,), each the mean over its batch
    sizes = torch.zeros(len(batches), device=device)  # (batches,)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    name = f"epoch {epoch + 1}"
    bar = progress(batches.epoch(epoch), total=len(batches), desc=f"{name}, train", unit="batch")
    for number, batch in enumerate(bar):
        with hardware.autocast():
            logits = model(*batch.inputs).float()  # (batch, classes)
        loss = cross_entropy(logits, batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses[number] = loss.detach()
        sizes[number] = len(batch.labels)
        correct += (logits.argmax(1) == batch.labels).sum()
        if (number + 1) % CHECK_EVERY == 0 or number + 1 == len(batches):
            _refuse_infinite(losses[: number + 1], name)
    return float((losses * sizes).sum() / sizes.sum()), int(correct) / int(sizes.sum())


def _refuse_infinite(losses: Tensor, name: str) -> None:
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        batch = int(bad[0])
        raise InputError(
            f"{name}, batch {batch + 1}: the loss is {losses[batch]:.4g}; "
            "try a smaller lr, and look for numbers that are not finite in the vectors"
        )


@torch.no_grad()
def predict(model: nn.Module, batches: Batches, hardware: Hardware, name: str) -> tuple[Tensor, Tensor]:
    """Return logits (examples, classes) fp32 and labels (examples,) in the data set's order."""
    model.eval()
    logits, labels, rows = [], [], []
    for batch in progress(batches.epoch(0), total=len(batches), desc=name, unit="batch"):
        with hardware.autocast():
            logits.append(model(*batch.inputs).float())
        labels.append(batch.labels)
        rows.append(batch.rows)
    order = torch.cat(rows).argsort()
    return torch.cat(logits)[order], torch.cat(labels)[order]


def score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy."""
    return float(cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())
