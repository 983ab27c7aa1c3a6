"""Batches, and a pass over them without learning. Training and evaluation share them."""

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stages.core.progress import progress
from stages.inference.device import Hardware


class Batch(NamedTuple):
    """A batch, or this process's shard of it."""

    inputs: tuple[Tensor, ...]  # the model's arguments, each (shard, …)
    labels: Tensor  # int64 (shard,)
    rows: Tensor  # int64 (shard,): the examples' rows in the data set
    size: int  # examples in the whole batch, over all processes
    weight: float = 1.0  # of the shard's mean loss in that of the whole batch; 0: this example fills an empty shard


class Batches(Protocol):
    """A data set in batches on the device."""

    examples: int

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        ...

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of epoch `number` from batch `start` on. They depend on the seed and `number` alone.

        With several processes, each gets its shard of every batch: see Hardware.shard.
        """
        ...


@torch.no_grad()
def predict(
    model: nn.Module, batches: Batches, hardware: Hardware, name: str, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return logits fp32 (examples, classes) and labels int64 (examples,) in the data set's order.

    Logits are divided by `temperature`, see ModelConfig. With several processes, each returns those of its own shards.
    `name` labels the progress bar.
    """
    model.eval()
    logits, labels, rows = [], [], []
    for batch in progress(batches.epoch(0), total=len(batches), desc=name, unit="batch"):
        if batch.weight:
            with hardware.autocast():
                logits.append(model(*batch.inputs).float())
            labels.append(batch.labels)
            rows.append(batch.rows)
    if not rows:  # fewer examples than processes
        return torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64)
    order = torch.cat(rows).argsort()
    return torch.cat(logits)[order] / temperature, torch.cat(labels)[order]


def mean_of_probabilities(logits: list[Tensor]) -> Tensor:
    """Return the logits of the mean of several models' probabilities, from the logits (examples, classes) of each."""
    return torch.stack([values.log_softmax(1) for values in logits]).logsumexp(0) - math.log(len(logits))


def score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy of logits (examples, classes) and labels (examples,)."""
    return float(cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())
