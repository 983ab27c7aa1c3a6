"""Read word vectors in the text format of GloVe, word2vec and fastText: `word v1 … vn`, one word per line."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa
from pyarrow import csv

from stages.core.cache import log
from stages.core.files import InputError, some
from stages.sources.gzip import GZIP_ERRORS, GzipFile
from stages.sources.kinds import HEAD, other_kind
from stages.text.vectors.table import vector_table

BLOCK = 1 << 22  # bytes of text that Arrow parses at a time
MAX_COMPRESSION = 50  # ratio of a text's size to that of its zip; vectors compress to about a third
VECTOR_SUFFIXES = (".txt", ".vec")  # of vectors in a zip
SEPARATOR = "\x1f"  # put between the fields if words hold blanks

_BINARY = {  # first bytes -> what the file is
    b"\xba\x16\x4f\x2f": "fastText's binary model; take the .vec that is published beside it",
    b"\x80": "a pickle, as gensim saves vectors",
    b"\x93NUMPY": "a NumPy array, without words",
    b"\x89HDF": "an HDF5 file",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}
_AS_TEXT = "; as text: gensim.models.KeyedVectors.{load}.save_word2vec_format('vectors.txt')"
_BLANKS = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"  # UTF-8's byte order mark
_NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_HIDDEN = re.compile(r"(^|/)\.(?!\.?/)")  # a name that begins with a dot
_ABOUT = re.compile(r"(readme|licen[cs]e|copying|notice|about|changes)\b", re.IGNORECASE)  # files beside the vectors


def read_vectors(path: Path, dim: int) -> pa.Table:
    """Read the vectors in a text file, a gzip or a zip. In a zip it is the text named `*{dim}d*`, or the only text.

    Returns word (string) and vector (fixed-size list of `dim` float32), in the file's order. A first line `words dim`
    is skipped. If a word is repeated, its first row counts. A word may hold blanks, as some in GloVe 840B do.

    Raises InputError, with the line, for a row that has not `dim` finite numbers, or a word that is not UTF-8. Raises
    it for a file of another format too.
    """
    with _open(path, dim) as (name, file, limit):
        text = _in_arrow(name, file, limit)
    start = text[:HEAD].to_pybytes()
    if kind := _other_format(start, dim):
        raise InputError(f"{name}: {kind}")
    if start.startswith(_MARK):
        text, start = text[len(_MARK) :], start[len(_MARK) :]
    header = _header_bytes(start, dim)
    rows = _without_empty_end(text[header:])
    try:
        table = _parsed(rows, dim, " ")
    except pa.ArrowInvalid:
        try:
            table = _parsed(_with_separators(rows, dim), dim, SEPARATOR)
        except pa.ArrowInvalid as problem:
            raise InputError(_explain(name, text.to_pybytes(), dim) or f"{name}: {problem}") from problem
    if header and (said := int(start[:header].split()[0])) != len(table):
        log(f"warning: {name}: its first line says {said:,} words, {len(table):,} are there; is the file whole?")
    vectors = _rows(table)
    if not np.isfinite(vectors).all():
        raise InputError(_explain(name, text.to_pybytes(), dim) or f"{name}: a number is not finite")
    words = table["word"].combine_chunks()
    return _drop_repeated(name, words, vectors, dim)


def _parsed(text: pa.Buffer, dim: int, separator: str) -> pa.Table:
    """Parse rows of fields between separators. Raises ArrowInvalid for a row with another number of fields."""
    columns = ["word", *map(str, range(dim))]
    return csv.read_csv(
        pa.BufferReader(text),
        csv.ReadOptions(column_names=columns, block_size=BLOCK),
        csv.ParseOptions(delimiter=separator, quote_char=False, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types={column: pa.float32() for column in columns[1:]} | {"word": pa.string()}, null_values=[]
        ),
    )


def _without_empty_end(text: pa.Buffer) -> pa.Buffer:
    tail = text[-HEAD:].to_pybytes()
    return text[: len(text) - len(tail) + len(tail.rstrip(_BLANKS))]


def _with_separators(text: pa.Buffer, dim: int) -> pa.Buffer:
    """Return the text with SEPARATOR between its fields, for tabs, blanks in words and blanks at the ends of lines."""
    sink, separator = pa.BufferOutputStream(), SEPARATOR.encode()
    for line in io.BufferedReader(pa.BufferReader(text)):
        row = line.rstrip(_BLANKS)
        if _is_plain(row, dim):  # most rows, fast
            sink.write(row.replace(b" ", separator) + b"\n")
        else:
            word, numbers = _split(row, dim)
            sink.write(separator.join([word, *numbers]) + b"\n")
    return sink.getvalue()


def _is_plain(row: bytes, dim: int) -> bool:
    return row.count(b" ") == dim and b"\t" not in row


def _split(line: bytes, dim: int) -> tuple[bytes, list[bytes]]:
    """Return the word of a row, which may hold blanks, and the numbers after it, `dim` if the row is valid."""
    row = line.rstrip(_BLANKS)
    if _is_plain(row, dim):
        word, *numbers = row.split(b" ")
        return word, numbers
    word, *numbers = row.rsplit(None, dim) or [b""]
    if len(numbers) == dim - 1 and row[:1] in (b" ", b"\t"):
        return b"", [word, *numbers]
    first, *others = word.split() or [b""]
    if others and _NUMBER.fullmatch(others[-1]):  # too many numbers, not a word with blanks
        return first, [*others, *numbers]
    return word.strip(_BLANKS), numbers


def _in_arrow(name: str, file: IO[bytes], limit: int | None) -> pa.Buffer:
    """Return the bytes of `file` in Arrow's memory. Raises InputError if there are more than `limit`.

    Not in Python's memory: one of Arrow's threads may release it, which takes Python's lock, and to take the lock
    while Python shuts down aborts the process.
    """
    sink = pa.BufferOutputStream()
    while data := file.read(BLOCK):
        sink.write(data)
        if limit and sink.tell() > limit:
            raise InputError(f"{name}: unpacks to more than {limit:,} bytes; vectors never pack that small")
    return sink.getvalue()


def _rows(table: pa.Table) -> np.ndarray:
    """Return all columns but the first as rows, float32 (rows, columns)."""
    rows = np.empty((len(table), table.num_columns - 1), np.float32)
    blocks = table.to_batches()  # the columns of one block fit into the CPU's cache
    starts = np.cumsum([0, *map(len, blocks)])

    def fill(block: pa.RecordBatch, start: int) -> None:
        np.stack([column.to_numpy() for column in block.columns[1:]], 1, out=rows[start : start + len(block)])

    with ThreadPoolExecutor() as pool:  # NumPy releases Python's lock when it copies
        list(pool.map(fill, blocks, starts))
    return rows


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
def _open(path: Path, dim: int) -> Iterator[tuple[str, IO[bytes], int | None]]:
    """Open the text of the vectors; yield its name for messages, the file, and the most bytes it may have."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                member = _member(path, archive.namelist(), dim)
                size = archive.getinfo(member).file_size
                if size > MAX_COMPRESSION * path.stat().st_size:
                    raise InputError(f"{path}: {member} unpacks to {size:,} bytes; vectors never pack that small")
                with archive.open(member) as file:
                    yield f"{member} in {path}", file, None
            return
        with path.open("rb") as file:
            if file.peek(2)[:2] == b"\x1f\x8b":
                with GzipFile(path) as unpacked:
                    yield str(path), cast("IO[bytes]", unpacked), max(BLOCK, MAX_COMPRESSION * path.stat().st_size)
            else:
                yield str(path), file, None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, *GZIP_ERRORS) as problem:
        raise InputError(f"{path}: {problem}; get it again") from problem
    except (RuntimeError, NotImplementedError) as problem:  # zipfile raises these for passwords and other methods
        raise InputError(f"{path}: {problem}; unpack it, and name the file in it") from problem


def _member(path: Path, names: list[str], dim: int) -> str:
    texts = [name for name in names if name.lower().endswith(VECTOR_SUFFIXES) and not name.startswith("__MACOSX/")]
    texts = [name for name in texts if not _ABOUT.match(name.rsplit("/")[-1]) and not _HIDDEN.search(name)]
    fitting = [name for name in texts if re.search(rf"(?<!\d){dim}d(?![a-z])", name.rsplit("/")[-1], re.IGNORECASE)]
    for found in (fitting, texts):
        if len(found) == 1:
            return found[0]
    held = some(sorted(names)) or "nothing"
    remedy = "; unpack the one that is meant, and name it" if texts else ""
    raise InputError(f"{path}: not one *{dim}d.txt or .vec (embed_glove.dim is {dim}); it holds {held}{remedy}")


def _other_format(start: bytes, dim: int) -> str | None:
    """Return what a file with these first bytes is, and what to do; None if it may hold vectors as text."""
    if start.startswith(b"PK\x03\x04"):
        return "a damaged zip; get it again"
    if kind := other_kind(start):
        return f"{kind[0]}; expected text, plain or in a gzip or zip: a word and its {dim} numbers per line"
    for mark, kind in _BINARY.items():
        if start.startswith(mark):
            return kind + (_AS_TEXT.format(load="load('…')") if mark == b"\x80" else "")
    header = _header_bytes(start, dim)
    first = start[header:].split(b"\n")[0]
    numbers = first[first.find(b" ") + 1 :]
    if header and (b"\0" in start or any(byte >= 0x80 or byte < 9 for byte in numbers)):
        return "word2vec's binary format" + _AS_TEXT.format(load="load_word2vec_format('…', binary=True)")
    return "binary, no text, or UTF-16 without a byte order mark" if b"\0" in start else None


def _header_bytes(start: bytes, dim: int) -> int:
    """Return the length of a first line `words dim`, as word2vec and fastText write it, or 0."""
    line = start[: start.find(b"\n") + 1]
    fields = line.split()
    return len(line) if dim > 1 and len(fields) == 2 and all(field.isdigit() for field in fields) else 0


def _explain(name: str, data: bytes, dim: int) -> str | None:
    """Return what is wrong with the first bad line, None if no line is bad. Slow: called only after a failure."""
    header = _header_bytes(data[:HEAD], dim)
    if not data[header:].strip():
        return f"{name}: empty; expected a word and {dim} numbers per line"
    for number, line in enumerate(io.BytesIO(data), 1):
        if number == 1 and header:
            continue
        word, numbers = _split(line, dim)
        shown = repr(word.decode("utf-8", "replace"))[:50]
        if len(numbers) != dim:
            between = next((mark for mark in b",;|" if line.count(mark) == dim), None)
            hint = f"; its fields stand between {chr(between)!r}, expected blanks or tabs" if between else ""
            return f"{name}, line {number} ({shown}): {len(numbers)} numbers, expected {dim} (embed_glove.dim){hint}"
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
            return f"{name}, line {number} ({shown}): the word is not UTF-8; save the file as UTF-8"
    return None
