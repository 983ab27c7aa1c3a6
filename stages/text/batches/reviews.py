"""Reviews as word indices in one flat tensor: written by tensorize, read by training."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from stages.core.files import InputError
from stages.core.tensors import read_tensors


@dataclass(frozen=True)
class Reviews:
    ids: Tensor  # int32 (tokens,): all reviews' word indices, one review after the other
    offsets: Tensor  # int64 (reviews + 1,): review i is ids[offsets[i]:offsets[i + 1]], at least one word
    labels: Tensor  # int64 (reviews,): indices of classes
    classes: list[str]
    tokenizer: str
    max_len: int  # words that were read of a review
    keep: str  # "start" | "start_and_end": which words of a longer review were read
    validation: Tensor | None = None  # int64: rows of the training split that the user holds out; None: none

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> Tensor:
        return self.ids[self.offsets[i] : self.offsets[i + 1]]

    def contents(self) -> Iterator[bytes]:
        """Yield each review's word indices as bytes. Reviews with equal contents stay together in a draw."""
        return (self[i].numpy().tobytes() for i in range(len(self)))

    def select(self, rows: Tensor) -> "Reviews":
        """Return the reviews of `rows`, int64 (rows,), in that order."""
        offsets = pad(self.offsets.diff()[rows].cumsum(0), (1, 0))
        ids = torch.cat([self[row] for row in rows.tolist()])
        return replace(self, ids=ids, offsets=offsets, labels=self.labels[rows], validation=None)


def read_reviews(path: Path) -> Reviews:
    """Raises InputError if the file does not hold reviews."""
    tensors, about = read_tensors(path)
    fields: dict[str, Any] = {**tensors, **about}
    try:
        return Reviews(**fields)
    except TypeError as problem:
        raise InputError(f"{path}: not reviews ({problem}); make it again with: dvc repro tensorize") from problem
