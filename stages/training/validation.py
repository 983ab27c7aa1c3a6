"""A part of the training split held out, to choose an epoch by it and leave the test split alone."""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from stages.core.files import InputError


class Examples(Protocol):
    """Reviews or images."""

    @property
    def labels(self) -> Tensor: ...
    @property
    def classes(self) -> list[str]: ...
    def select(self, rows: Tensor, /) -> Self: ...


E = TypeVar("E", bound=Examples)


def train_and_scored(train: E, read_test: Callable[[], E], fraction: float, seed: int) -> tuple[E, E]:
    """Return what to train on, and what each epoch is scored on: a `fraction` of `train`, or with 0 the test split.

    The test split is read only if nothing is held out. Raises InputError as `hold_out` does.
    """
    if not fraction:
        return train, read_test()
    rows, held_out = hold_out(train.labels, train.classes, fraction, seed)
    return train.select(rows), train.select(held_out)


def hold_out(labels: Tensor, classes: list[str], fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the rows to train on and the rows held out, each int64 in order, stratified by class; with 0 none are.

    labels: int64 (examples,), indices of `classes`. Raises InputError unless every class is on both sides.
    """
    if not fraction:
        return torch.arange(len(labels)), torch.empty(0, dtype=torch.int64)
    targets = labels.numpy()
    try:
        sides = train_test_split(np.arange(len(targets)), test_size=fraction, random_state=seed, stratify=targets)
    except ValueError:  # fewer examples than classes on one side
        sides = []
    if not sides or any(len(np.unique(targets[side])) < len(classes) for side in sides):
        counts = np.bincount(targets, minlength=len(classes))
        found = ", ".join(f"{count} of {name}" for name, count in zip(classes, counts, strict=True))
        raise InputError(
            f"validation_fraction: {fraction:g} leaves a class with no example to train on or none held out; "
            f"the training split has {found}"
        )
    rows, held_out = (torch.from_numpy(np.sort(side)) for side in sides)
    return rows, held_out
