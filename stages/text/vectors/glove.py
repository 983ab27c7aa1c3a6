"""Word vectors in GloVe's text format: `word v1 … vn`, a word a line."""

import io
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv

from stages.core.files import InputError, read_row_groups
from stages.text.special import PAD, UNK

BLOCK = 1 << 22  # bytes of text that Arrow parses at a time
HEADER = 64  # bytes, more than a first line `words dim` takes
MAX_RATIO = 50  # of a text's size to its zip's; vectors compress to about a third


def read_vectors(path: Path, dim: int) -> pa.Table:
    """Read a text file, or the one in a zip that is named `*{dim}d.txt`, else its only .txt.

    Returns word (string) and vector (fixed-size list of `dim` float32), in the file's order. A first line
    `words dim` is skipped; of a repeated word the first row counts.

    Raises InputError, with the line's number, for a row without `dim` finite numbers, or a word that is not UTF-8.
    """
    with _open(path, dim) as (name, file):
        text = _in_arrow(file)
    header = _header_bytes(text[:HEADER].to_pybytes(), dim)
    columns = ["word", *map(str, range(dim))]
    try:
        table = csv.read_csv(
            pa.BufferReader(text[header:]),
            csv.ReadOptions(column_names=columns, block_size=BLOCK),
            csv.ParseOptions(delimiter=" ", quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(
                column_types={column: pa.float32() for column in columns[1:]} | {"word": pa.string()}, null_values=[]
            ),
        )
    except pa.ArrowInvalid as problem:
        raise InputError(_explain(name, text.to_pybytes(), dim) or f"{name}: {problem}") from problem
    vectors = _rows(table)
    if not np.isfinite(vectors).all():
        raise InputError(_explain(name, text.to_pybytes(), dim) or f"{name}: a number is not finite")
    words = table["word"].combine_chunks()
    return _drop_repeated(name, words, vectors, dim)


def _in_arrow(file: IO[bytes]) -> pa.Buffer:
    """Return the bytes of `file` in Arrow's memory.

    One of Arrow's threads may be the last to release them. To release Python's memory it would need Python's lock,
    and taking that while Python shuts down aborts the process.
    """
    sink = pa.BufferOutputStream()
    shutil.copyfileobj(file, sink, BLOCK)
    return sink.getvalue()


def _rows(table: pa.Table) -> np.ndarray:
    """Return all columns but the first as rows, float32 (rows, columns)."""
    rows = np.empty((len(table), table.num_columns - 1), np.float32)
    blocks = table.to_batches()  # block by block: the columns of one fit into the CPU's cache
    starts = np.cumsum([0, *map(len, blocks)])

    def fill(block: pa.RecordBatch, start: int) -> None:
        np.stack([column.to_numpy() for column in block.columns[1:]], 1, out=rows[start : start + len(block)])

    with ThreadPoolExecutor() as pool:  # NumPy copies outside Python's lock
        list(pool.map(fill, blocks, starts))
    return rows


def vector_table(words: pa.Array, vectors: np.ndarray) -> pa.Table:
    """Return the table of `words` and `vectors` float32 (words, dim)."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.table({"word": words, "vector": lists})


def vectors_of(table: pa.Table) -> np.ndarray:
    """Return the vectors of such a table, float32 (words, dim)."""
    column = table["vector"].combine_chunks()
    return column.values.to_numpy().reshape(len(table), column.type.list_size)


def read_vector_table(path: Path, dim: int) -> Iterator[pa.Table]:
    """Yield the row groups that fetch_glove wrote; raises InputError if its vectors do not have `dim` numbers."""
    for table in read_row_groups(path, ["word", "vector"]):
        found = table.schema.field("vector").type.list_size
        if found != dim:
            raise InputError(f"{path}: its vectors have {found} numbers, embed_glove.dim is {dim}")
        yield table


def _drop_repeated(name: str, words: pa.Array, vectors: np.ndarray, dim: int) -> pa.Table:
    distinct = words.dictionary_encode()
    if len(distinct.dictionary) == len(words):
        return vector_table(words, vectors)
    codes = distinct.indices.to_numpy()
    first = np.unique(codes, return_index=True)[1]
    again = np.setdiff1d(np.arange(len(words)), first)
    print(f"{name}: {len(again)} words are repeated, such as {words[again[0]].as_py()!r}; the first row of each counts")
    return vector_table(words.take(pa.array(first)), vectors[first])


@contextmanager
def _open(path: Path, dim: int) -> Iterator[tuple[str, IO[bytes]]]:
    """Open the vectors' text; yields its name for messages, and the file."""
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                yield str(path), file
            return
        with zipfile.ZipFile(path) as archive:
            member = _member(path, archive.namelist(), dim)
            size = archive.getinfo(member).file_size
            if size > MAX_RATIO * path.stat().st_size:
                raise InputError(f"{path}: {member} unpacks to {size:,} bytes; vectors never pack that small")
            with archive.open(member) as file:
                yield f"{member} in {path}", file
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as problem:
        raise InputError(f"{path}: {problem}; get it again") from problem


def _member(path: Path, names: list[str], dim: int) -> str:
    texts = [name for name in names if name.endswith(".txt") and not name.startswith("__MACOSX/")]
    fitting = [name for name in texts if name.endswith(f"{dim}d.txt")]
    if len(fitting) == 1:
        return fitting[0]
    if len(texts) == 1:
        return texts[0]
    raise InputError(
        f"{path}: no *{dim}d.txt (embed_glove.dim is {dim}); it holds {', '.join(sorted(names)) or 'nothing'}"
    )


def _header_bytes(start: bytes, dim: int) -> int:
    """Return the length of a first line `words dim`, as word2vec writes it, or 0."""
    line = start[: start.find(b"\n") + 1]
    fields = line.rstrip(b"\r\n").split(b" ")
    return len(line) if dim > 1 and len(fields) == 2 and all(field.isdigit() for field in fields) else 0


def _explain(name: str, data: bytes, dim: int) -> str | None:
    """Describe what is wrong with the first bad line. Slow: called only if there is one."""
    header = _header_bytes(data[:HEADER], dim)
    if not data[header:].strip():
        return f"{name}: empty; expected a word and {dim} numbers a line"
    for number, line in enumerate(io.BytesIO(data), 1):
        if number == 1 and header:
            continue
        word, *numbers = line.rstrip(b"\r\n").split(b" ")
        shown = repr(word.decode("utf-8", "replace"))[:50]
        if len(numbers) != dim:
            return f"{name}, line {number} ({shown}): {len(numbers)} numbers, expected {dim} (embed_glove.dim)"
        for text in numbers:
            try:
                with np.errstate(over="ignore"):
                    finite = b"_" not in text and np.isfinite(np.float32(text))
            except ValueError:
                finite = False
            if not finite:
                return f"{name}, line {number} ({shown}): {text.decode('utf-8', 'replace')!r} is not a finite number"
        try:
            word.decode()
        except UnicodeDecodeError:
            return f"{name}, line {number} ({shown}): the word is not UTF-8"
    return None


def match(words: list[str], tables: Iterable[pa.Table], dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of `words`, float32 (words, dim), zeros where there is none; and who has one, bool (words,).

    The first table that has a word counts.
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
