"""Encode reviews as word indices. Without torch, because a worker would take longer to import it than to encode."""

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
    ids: np.ndarray  # int32 (tokens,): the word indices of all reviews, concatenated
    lengths: np.ndarray  # int32 (reviews,): number of words of each review
    labels: np.ndarray  # int64 (reviews,): indices of classes
    validation: np.ndarray  # int64: rows of the reviews that the user holds out of the training split


def words_read(words: pa.ListArray, max_len: int, keep: str) -> pa.ListArray:
    """Return at most `max_len` words of each text. A text without words becomes a single <unk>.

    `keep`: "start", the first words; "start_and_end", a quarter of `max_len` from the start and the rest from the end.
    """
    is_empty = compute.equal(compute.list_value_length(words), 0)
    if compute.any(is_empty).as_py():  # rare, and it copies all words
        words = compute.if_else(is_empty, pa.scalar([UNK], words.type), words)
    if keep == "start":
        return compute.list_slice(words, 0, max_len)
    lengths = compute.list_value_length(words).to_numpy()
    ends = lengths.cumsum().repeat(lengths)
    place = np.arange(len(ends)) - (ends - lengths.repeat(lengths))  # position in the text, from 0
    from_end = ends - np.arange(len(ends))  # position from the end of the text, 1 for the last word
    first = max_len // 4
    is_read = (place < first) | (from_end <= max_len - first)
    offsets = np.append(0, np.minimum(lengths, max_len).cumsum())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words.flatten().filter(pa.array(is_read)))


def encode(words: pa.ListArray, vocabulary: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all texts' words, concatenated, int32 (tokens,), and the lengths of the texts, (texts,).

    A word's id is its position in the vocabulary. A word that is not in it is <unk>.
    """
    # Arrow hashes the vocabulary in each call, 5 ms for 46,000 words. To look up the distinct words in Python is slower
    ids = compute.index_in(words.flatten(), value_set=vocabulary).fill_null(UNK_INDEX)
    return ids.to_numpy(), compute.list_value_length(words).to_numpy()


def classes_of(reviews: Path) -> list[str]:
    """Return the labels of a table of reviews, each once, sorted."""
    groups = read_row_groups(reviews, ["label"])
    return sorted({label for table in groups for label in compute.unique(table["label"]).to_pylist()})


def encode_row_group(
    reviews: Path, group: int, *, vocab: Path, version: int, classes: list[str], max_len: int, keep: str
) -> Encoded:
    """Encode a row group of reviews.

    `version` changes with the vocabulary file: workers keep the vocabulary in memory from one command to the next.

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
    """Write the parts as one file of Reviews; return the number of reviews and of words."""

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
