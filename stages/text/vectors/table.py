"""The table of words and vectors that fetch_glove writes, and the lookup of a vocabulary's words in it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute

from stages.core.files import InputError, read_row_groups
from stages.text.special import PAD, UNK


def vector_table(words: pa.Array, vectors: np.ndarray) -> pa.Table:
    """Return the table of `words` and `vectors` float32 (words, dim)."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.table({"word": words, "vector": lists})


def vectors_of(table: pa.Table) -> np.ndarray:
    """Return the vectors of such a table, float32 (words, dim)."""
    column = table["vector"].combine_chunks()
    return column.values.to_numpy().reshape(len(table), column.type.list_size)


def read_vector_table(path: Path, dim: int) -> Iterator[pa.Table]:
    """Yield the row groups of a table of vectors; raises InputError if the vectors do not have `dim` numbers."""
    for table in read_row_groups(path, ["word", "vector"]):
        found = table.schema.field("vector").type.list_size
        if found != dim:
            raise InputError(f"{path}: its vectors have {found} numbers, embed_glove.dim is {dim}")
        yield table


def match(words: list[str], tables: Iterable[pa.Table], dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of `words`, float32 (words, dim), and which words have one, bool (words,).

    A word without a vector gets zeros. If several tables have a word, the first one counts.
    """
    wanted = pa.array(words)
    special = compute.is_in(wanted, value_set=pa.array([UNK, PAD]))  # some files have rows of these names
    left = compute.invert(special).to_numpy(zero_copy_only=False)
    vectors, found = np.zeros((len(words), dim), np.float32), np.zeros(len(words), bool)
    for table in tables:
        places = compute.index_in(wanted, value_set=table["word"].combine_chunks())
        here = places.is_valid().to_numpy(zero_copy_only=False) & left & ~found
        vectors[here] = vectors_of(table)[places.filter(pa.array(here)).to_numpy()]
        found |= here
    return vectors, found
