"""Reviews as word indices. Without torch, whose import would cost a worker more than its work."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import compute

from stages.core.files import InputError, read_row_groups
from stages.core.tensors import write_in_parts
from stages.text.special import UNK, UNK_INDEX, VALIDATION
from stages.text.words.tokens import tokenizer
from stages.text.words.vocabulary import read_vocabulary


class Encoded(NamedTuple):
    ids: np.ndarray  # int32 (tokens,): all reviews' word indices, one review after the other
    lengths: np.ndarray  # int32 (reviews,): words of each
    labels: np.ndarray  # int64 (reviews,): indices of classes
    validation: np.ndarray  # int64: which of the reviews the user holds out of the training split


def words_read(words: pa.ListArray, max_len: int, keep: str) -> pa.ListArray:
    """Return at most `max_len` words of each text: its first, or with `keep` "start_and_end" a quarter of them.

    The other three quarters are then the text's last words. A text of no words becomes a single <unk>.
    """
    is_empty = compute.equal(compute.list_value_length(words), 0)
    if compute.any(is_empty).as_py():  # seldom, and it copies all words
        words = compute.if_else(is_empty, pa.scalar([UNK], words.type), words)
    if keep == "start":
        return compute.list_slice(words, 0, max_len)
    lengths = compute.list_value_length(words).to_numpy()
    ends = lengths.cumsum().repeat(lengths)
    place = np.arange(len(ends)) - (ends - lengths.repeat(lengths))  # in the text, from 0
    from_end = ends - np.arange(len(ends))  # 1: the last word
    first = max_len // 4
    is_read = (place < first) | (from_end <= max_len - first)
    offsets = np.append(0, np.minimum(lengths, max_len).cumsum())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words.flatten().filter(pa.array(is_read)))


def encode(words: pa.ListArray, vocabulary: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return ids int32 (tokens,) of each text's words, one text after the other, and lengths (texts,).

    A word's index is its place in the vocabulary. A word outside it is <unk>.
    """
    # Arrow makes a table of the vocabulary each time: 5 ms for 46,000 words, less than the distinct words in Python
    ids = compute.index_in(words.flatten(), value_set=vocabulary).fill_null(UNK_INDEX)
    return ids.to_numpy(), compute.list_value_length(words).to_numpy()


def classes_of(reviews: Path) -> list[str]:
    """Return the labels of a table of reviews, each once, sorted."""
    groups = read_row_groups(reviews, ["label"])
    return sorted({label for table in groups for label in compute.unique(table["label"]).to_pylist()})


def encode_row_group(
    reviews: Path, group: int, *, vocab: Path, version: int, classes: list[str], max_len: int, keep: str
) -> Encoded:
    """Encode a row group of reviews. `version` tells one state of the vocabulary file from another: workers outlive it.

    Raises InputError for a label that is not among the classes.
    """
    name, vocabulary = _vocabulary(vocab, version)
    (table,) = read_row_groups(reviews, ["id", "text", "label"], [group])
    ids, lengths = encode(words_read(tokenizer(name)(table["text"].to_pylist()), max_len, keep), vocabulary)
    labels = compute.index_in(table["label"].combine_chunks(), value_set=pa.array(classes))
    if labels.null_count:
        other = table["label"].filter(labels.is_null())[0].as_py()
        raise InputError(f"{reviews}: a review with the label {other!r}; the training split has {', '.join(classes)}")
    held_out = compute.starts_with(table["id"], VALIDATION).to_numpy()
    return Encoded(ids, lengths, labels.to_numpy().astype(np.int64), np.flatnonzero(held_out))


@lru_cache(maxsize=1)
def _vocabulary(path: Path, version: int) -> tuple[str, pa.StringArray]:
    vocabulary = read_vocabulary(path)
    return vocabulary.tokenizer, pa.array(vocabulary.words, pa.string())


def write_encoded(
    path: Path, parts: Iterable[Encoded], classes: list[str], tokenizer: str, max_len: int, keep: str
) -> tuple[int, int]:
    """Write reviews that come in parts; return how many reviews and how many words there are."""

    def rows() -> Iterator[dict[str, np.ndarray]]:
        words = reviews = 0
        yield {"offsets": np.zeros(1, np.int64), "ids": np.empty(0, np.int32), "labels": np.empty(0, np.int64)}
        for part in parts:
            yield {"offsets": words + part.lengths.cumsum(dtype=np.int64), "ids": part.ids, "labels": part.labels}
            if len(part.validation):
                yield {"validation": reviews + part.validation}
            words, reviews = words + len(part.ids), reviews + len(part.labels)

    about = {"classes": classes, "tokenizer": tokenizer, "max_len": max_len, "keep": keep}
    written = write_in_parts(path, rows(), about)
    return written["labels"], written["ids"]
