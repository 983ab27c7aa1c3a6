"""Reviews as word indices, one after the other: what tensorize writes and training reads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from stages.core.files import InputError
from stages.core.tensors import read_tensors, write_in_parts
from stages.text.tokens import Encoded, index_of, indices


@dataclass(frozen=True)
class Reviews:
    ids: Tensor  # int32 (tokens,): all reviews' word indices, one review after the other
    offsets: Tensor  # int64 (reviews + 1,): review i is ids[offsets[i]:offsets[i + 1]], at least one word
    labels: Tensor  # int64 (reviews,): indices of classes
    classes: list[str]
    tokenizer: str
    max_len: int

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> Tensor:
        return self.ids[self.offsets[i] : self.offsets[i + 1]]

    def select(self, rows: Tensor) -> "Reviews":
        """Return the reviews of `rows`, int64 (rows,), in that order."""
        offsets = torch.nn.functional.pad(self.offsets.diff()[rows].cumsum(0), (1, 0))
        ids = torch.cat([self[row] for row in rows.tolist()])
        return replace(self, ids=ids, offsets=offsets, labels=self.labels[rows])


def encode(words: pa.ListArray, vocabulary: list[str], max_len: int) -> tuple[Tensor, Tensor]:
    """Return ids int32 (tokens,) and offsets int64 (texts + 1,) of each text's first `max_len` words.

    A word outside the vocabulary is <unk>, a text of no words a single <unk>.
    """
    ids, lengths = indices(words, index_of(vocabulary), max_len)
    offsets = np.concatenate([[0], lengths.cumsum(dtype=np.int64)])
    return torch.from_numpy(ids.copy()), torch.from_numpy(offsets)


def write_encoded(
    path: Path, parts: Iterable[Encoded], classes: list[str], tokenizer: str, max_len: int
) -> tuple[int, int]:
    """Write reviews that come in parts; returns how many there are, and how many words."""

    def rows() -> Iterator[dict[str, np.ndarray]]:
        words = 0
        yield {"offsets": np.zeros(1, np.int64), "ids": np.empty(0, np.int32), "labels": np.empty(0, np.int64)}
        for part in parts:
            yield {"offsets": words + part.lengths.cumsum(dtype=np.int64), "ids": part.ids, "labels": part.labels}
            words += len(part.ids)

    about = {"classes": classes, "tokenizer": tokenizer, "max_len": max_len}
    written = write_in_parts(path, rows(), about)
    return written["labels"], written["ids"]


def read_reviews(path: Path) -> Reviews:
    """Raises InputError if the file does not hold reviews."""
    tensors, about = read_tensors(path)
    fields: dict[str, Any] = {**tensors, **about}
    try:
        return Reviews(**fields)
    except TypeError as problem:
        raise InputError(f"{path}: not reviews ({problem}); make it again with: dvc repro tensorize") from problem
