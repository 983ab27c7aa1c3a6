"""A row group of reviews as word indices. No torch here, whose start would cost a worker more than its work."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute

from stages.core.files import InputError, read_row_groups
from stages.text.tokens import Encoded, index_of, indices, tokenizer
from stages.text.vocabulary import read_vocabulary


def classes_of(reviews: Path) -> list[str]:
    """Return the labels of a table of reviews, each once, sorted."""
    groups = read_row_groups(reviews, ["label"])
    return sorted({label for table in groups for label in compute.unique(table["label"]).to_pylist()})


def encode_row_group(
    reviews: Path, group: int, *, vocab: Path, version: int, classes: list[str], max_len: int
) -> Encoded:
    """Return a row group of reviews; `version` is the vocabulary file's, for workers that outlive it.

    Raises InputError for a label that is not among the classes.
    """
    name, index = _vocabulary(vocab, version)
    (table,) = read_row_groups(reviews, ["text", "label"], [group])
    ids, lengths = indices(tokenizer(name)(table["text"].to_pylist()), index, max_len)
    labels = compute.index_in(table["label"].combine_chunks(), value_set=pa.array(classes))
    if labels.null_count:
        other = table["label"].filter(labels.is_null())[0].as_py()
        raise InputError(f"{reviews}: a review with the label {other!r}; the training half has {', '.join(classes)}")
    return Encoded(ids, lengths, labels.to_numpy().astype(np.int64))


@lru_cache(maxsize=1)
def _vocabulary(path: Path, version: int) -> tuple[str, dict[str, int]]:
    vocabulary = read_vocabulary(path)
    return vocabulary.tokenizer, index_of(vocabulary.words)
