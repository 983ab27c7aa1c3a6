"""Reviews as word indices. Without torch, whose import would cost a worker more than its work."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import compute

from stages.core.files import InputError, read_row_groups
from stages.core.tensors import write_in_parts
from stages.text.special import UNK, UNK_INDEX
from stages.text.words.tokens import tokenizer
from stages.text.words.vocabulary import read_vocabulary


class Encoded(NamedTuple):
    ids: np.ndarray  # int32 (tokens,): all reviews' word indices, one review after the other
    lengths: np.ndarray  # int32 (reviews,): words of each
    labels: np.ndarray  # int64 (reviews,): indices of classes


def word_indices(vocabulary: list[str]) -> dict[str, int]:
    return {word: place for place, word in enumerate(vocabulary)}


def words_read(words: pa.ListArray, max_len: int, keep: str) -> pa.ListArray:
    """Return at most `max_len` words of each text: its first, or with `keep` "start_and_end" a quarter of them.

    The other three quarters are then the text's last words. A text of no words becomes a single <unk>.
    """
    is_empty = compute.equal(compute.list_value_length(words), 0)
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


def encode(words: pa.ListArray, index: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return ids int32 (tokens,) of each text's words, one text after the other, and lengths (texts,).

    `index` maps the vocabulary's words to their indices. A word outside it is <unk>.
    """
    # Each distinct word is looked up once, in a table made once: Arrow's index_in would make one of its own each time
    coded = words.flatten().dictionary_encode()
    ids = np.array([index.get(word, UNK_INDEX) for word in coded.dictionary.to_pylist()], np.int32)
    return ids[coded.indices], compute.list_value_length(words).to_numpy()


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
    name, index = _vocabulary(vocab, version)
    (table,) = read_row_groups(reviews, ["text", "label"], [group])
    ids, lengths = encode(words_read(tokenizer(name)(table["text"].to_pylist()), max_len, keep), index)
    labels = compute.index_in(table["label"].combine_chunks(), value_set=pa.array(classes))
    if labels.null_count:
        other = table["label"].filter(labels.is_null())[0].as_py()
        raise InputError(f"{reviews}: a review with the label {other!r}; the training split has {', '.join(classes)}")
    return Encoded(ids, lengths, labels.to_numpy().astype(np.int64))


@lru_cache(maxsize=1)
def _vocabulary(path: Path, version: int) -> tuple[str, dict[str, int]]:
    vocabulary = read_vocabulary(path)
    return vocabulary.tokenizer, word_indices(vocabulary.words)


def write_encoded(
    path: Path, parts: Iterable[Encoded], classes: list[str], tokenizer: str, max_len: int, keep: str
) -> tuple[int, int]:
    """Write reviews that come in parts; return how many reviews and how many words there are."""

    def rows() -> Iterator[dict[str, np.ndarray]]:
        words = 0
        yield {"offsets": np.zeros(1, np.int64), "ids": np.empty(0, np.int32), "labels": np.empty(0, np.int64)}
        for part in parts:
            yield {"offsets": words + part.lengths.cumsum(dtype=np.int64), "ids": part.ids, "labels": part.labels}
            words += len(part.ids)

    about = {"classes": classes, "tokenizer": tokenizer, "max_len": max_len, "keep": keep}
    written = write_in_parts(path, rows(), about)
    return written["labels"], written["ids"]
