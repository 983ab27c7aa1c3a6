"""Hold a part of the training split out, to choose the epoch by it instead of by the test split."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import torch
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


def train_and_scored(
    train: E,
    read_test: Callable[[], E],
    fraction: float,
    seed: int,
    contents: Iterable[bytes] | None = None,
    given: Tensor | None = None,
) -> tuple[E, E]:
    """Return the examples to train on, and those to score each epoch on: a part of `train`, or the test split.

    The test split is read only if nothing is held out. Raises InputError as `hold_out` does.
    """
    rows, held_out = hold_out(train.labels, train.classes, fraction, seed, contents, given)
    if not len(held_out):
        return train, read_test()
    return train.select(rows), train.select(held_out)


def check_validation(params: Any, validates: bool) -> None:
    """Raise InputError where a training's params ask for a validation split and there is none."""
    asked = [name for name in ("patience", "calibrate") if getattr(params, name, None)]
    if asked and not validates:
        raise InputError(
            f"{' and '.join(asked)}: there is no validation split; set validation_fraction above 0, or give one with "
            "your own data: rows that say validation in the column own.split, a folder valid beside train and test"
        )


def hold_out(
    labels: Tensor,
    classes: list[str],
    fraction: float,
    seed: int,
    contents: Iterable[bytes] | None = None,
    given: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the rows to train on and the rows held out, each int64 in order.

    labels: int64 (examples,), indices of `classes`. `given`, int64, are the rows that the user holds out. Without them,
    a `fraction` is drawn, stratified by class; 0 holds nothing out. Examples with equal `contents` stay together.

    Raises InputError if a class would be missing on one side of the draw.
    """
    if given is not None and len(given):
        is_given = torch.zeros(len(labels), dtype=torch.bool)
        is_given[given] = True
        return (~is_given).nonzero()[:, 0], is_given.nonzero()[:, 0]
    if not fraction:
        return torch.arange(len(labels)), torch.empty(0, dtype=torch.int64)

    targets = labels.numpy()
    first = np.arange(len(targets))  # of each example the first that equals it
    if contents is not None:
        places: dict[bytes, int] = {}
        keys = (hashlib.blake2b(content, digest_size=16).digest() for content in contents)
        first = np.array([places.setdefault(key, row) for row, key in enumerate(keys)])
    for drawn_from in (np.arange(len(targets)), np.unique(first)):  # the second way is for data with many repetitions
        is_held_out = _draw(targets, drawn_from, fraction, seed)[first]
        sides = [np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)]
        if all(len(np.unique(targets[side])) == len(classes) for side in sides):
            rows, held_out = map(torch.from_numpy, sides)
            return rows, held_out
    counts = np.bincount(targets, minlength=len(classes))
    found = ", ".join(f"{count} of {name}" for name, count in zip(classes, counts, strict=True))
    raise InputError(
        f"validation_fraction: {fraction:g} leaves a class with no example to train on or none held out; "
        f"the training split has {found}"
    )


def _draw(targets: np.ndarray, rows: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Return which examples are drawn from `rows`, bool (examples,), stratified by class; none if it is impossible."""
    from sklearn.model_selection import train_test_split  # imported here: it is slow, and most trainings do not need it

    is_drawn = np.zeros(len(targets), bool)
    with contextlib.suppress(ValueError):  # fewer examples than classes on one side
        is_drawn[train_test_split(rows, test_size=fraction, random_state=seed, stratify=targets[rows])[1]] = True
    return is_drawn
