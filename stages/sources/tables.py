"""Labelled texts from the user's CSV, TSV, JSONL or Parquet file, in a train and a test split.

Read by the standard library's CSV and JSON readers, not Arrow's: they report the line of an error, refuse a stray
quote, and leave a number as it is written.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.files import InputError
from stages.sources.gzip import GZIP_ERRORS, GzipFile
from stages.sources.user_data import SPLITS, draw_test_split

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")  # the first three also with .gz behind
MAX_LETTERS = 1 << 24  # of a field: a thousand times the longest real review
SHOWN = 5  # places, names or classes that a message lists

Records = Iterator[tuple[int, dict[str, Any]]]  # each row's line, and its values by column


class Columns(NamedTuple):
    """The names of the columns in the file; each is given under the same key in params.yaml."""

    text: str
    label: str
    split: str | None  # None: no column says which split a row belongs to


class Row(NamedTuple):
    number: int  # of the line where the row starts, from 1; in Parquet of the row
    text: str  # line breaks replaced by spaces
    label: str  # as it is written
    split: str | None


def read_labelled_texts(file: Path, columns: Columns, fraction: float, seed: int) -> dict[str, list[Row]]:
    """Read the rows of a file, whose suffix tells its format; return them by split.

    Without a split column, `fraction` of each class is drawn for the test split.

    Raises InputError, with the line where there is one, if the file has another format, lacks a column or a value, or
    unless both splits have the same two classes or more.
    """
    rows = list(_rows(file, columns))
    _check_classes(file, columns, rows)
    if columns.split is None:
        contents = (row.text.encode() for row in rows)
        drawn = draw_test_split(file, [row.label for row in rows], contents, fraction, seed)
        splits = {split: [row for i, row in enumerate(rows) if (i in drawn) == (split == "test")] for split in SPLITS}
    else:
        splits = {split: [row for row in rows if row.split == split] for split in SPLITS}
        _check_splits(file, splits)
    return splits


def _rows(file: Path, columns: Columns) -> Iterator[Row]:
    unit = "row" if file.suffix.lower() == ".parquet" else "line"
    gaps: dict[str, list[int]] = {name: [] for name in columns if name}
    for number, record in _records(file, columns):
        place = f"{file}, {unit} {number}"
        values = {name: _written(place, name, record[name]) for name in gaps}
        for name, value in values.items():
            if not value.strip():
                gaps[name].append(number)
        text = " ".join(values[columns.text].splitlines())  # the textbook's tokenizer would join the words at a break
        split = values[columns.split].strip().lower() if columns.split else None
        if split and split not in SPLITS:
            raise InputError(f"{place}: {split!r} in column {columns.split!r}; expected train or test")
        yield Row(number, text, values[columns.label].strip(), split)
    for name, numbers in gaps.items():
        if numbers:
            raise InputError(
                f"{file}: nothing in column {name!r} in {unit} {_some(numbers)}; fill it in or delete the {unit}"
            )


def _records(file: Path, columns: Columns) -> Records:
    *_, suffix = [part for part in file.suffixes if part.lower() != ".gz"] or [""]
    suffix = suffix.lower()
    if suffix not in SUFFIXES or (suffix == ".parquet" and file.suffix.lower() != suffix):
        raise InputError(
            f"{file}: own.reviews ends in none of {', '.join(SUFFIXES)}, of which the first three may be .gz"
        )
    try:
        if suffix == ".parquet":
            yield from _parquet_records(file, columns)
            return
        packed = file.suffix.lower() == ".gz"
        # Bytes that are not UTF-8 come through as surrogates, so that _written can tell their line
        with (
            GzipFile(file) if packed else file.open("rb") as data,
            io.TextIOWrapper(data, "utf-8-sig", "surrogateescape", newline="") as stream,
        ):
            if suffix == ".jsonl":
                yield from _json_records(file, columns, stream)
            else:
                yield from _csv_records(file, columns, stream, "\t" if suffix == ".tsv" else ",")
    except (OSError, EOFError, *GZIP_ERRORS, pa.ArrowException, UnicodeDecodeError) as problem:
        raise InputError(f"{file}: cannot be read: {problem}") from problem


def _csv_records(file: Path, columns: Columns, stream: Iterable[str], delimiter: str) -> Records:
    csv.field_size_limit(MAX_LETTERS)
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as problem:
            raise InputError(
                f"{file}, line {line}: {problem}; a field with a quote in it stands in quotes, the inner one doubled"
            ) from problem
        if fields is None:
            break
        if fields and not header:
            header = fields
            _check_columns(file, columns, header)
        elif fields:  # not an empty line
            if len(fields) != len(header):
                raise InputError(f"{file}, line {line}: {len(fields)} fields, expected {len(header)} as in the header")
            yield line, dict(zip(header, fields, strict=True))
    if not header:
        raise InputError(f"{file}: empty; expected a header with the columns' names, and a review a row")


def _json_records(file: Path, columns: Columns, stream: Iterable[str]) -> Records:
    for line, text in enumerate(stream, 1):
        if not text.strip():
            continue
        try:
            record = json.loads(text, parse_int=str, parse_float=str)
        except (ValueError, RecursionError) as problem:
            raise InputError(f"{file}, line {line}: not JSON ({problem}); expected an object a line") from problem
        if not isinstance(record, dict):
            raise InputError(f"{file}, line {line}: {text.strip()[:40]!r} found, expected an object a line")
        _check_columns(f"{file}, line {line}", columns, list(record))
        yield line, record


def _parquet_records(file: Path, columns: Columns) -> Records:
    with pq.ParquetFile(file) as parquet:
        _check_columns(file, columns, parquet.schema_arrow.names)
        number = 0
        for batch in parquet.iter_batches(columns=[name for name in columns if name]):
            yield from enumerate(batch.to_pylist(), number + 1)
            number += len(batch)


def _check_columns(place: Path | str, columns: Columns, found: Sequence[str]) -> None:
    for key, name in columns._asdict().items():
        if name is not None and found.count(name) != 1:
            how_many = "two columns" if name in found else "no column"
            names = ", ".join(map(repr, found[:20]))
            raise InputError(f"{place}: {how_many} {name!r} (own.{key} in params.yaml); it has {names}")


def _written(place: str, column: str, value: Any) -> str:
    """Return a value as text; nothing is an empty one."""
    if value is None or value != value:  # pandas writes nothing among numbers as NaN
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise InputError(f"{place}: {str(value)[:40]!r} in column {column!r}; expected a text or a number")
    if len(value) > MAX_LETTERS:
        raise InputError(f"{place}: {len(value):,} letters in column {column!r}; expected at most {MAX_LETTERS:,}")
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise InputError(f"{place}: column {column!r} is not UTF-8 at letter {problem.start + 1}") from problem
    return value


def _check_classes(file: Path, columns: Columns, rows: list[Row]) -> None:
    if not rows:
        raise InputError(f"{file}: no review in it")
    classes = Counter(row.label for row in rows)
    if len(classes) < 2:
        raise InputError(f"{file}: only one class in column {columns.label!r}: {rows[0].label!r}; expected two")


def _check_splits(file: Path, splits: dict[str, list[Row]]) -> None:
    classes = {split: {row.label for row in rows} for split, rows in splits.items()}
    for split, other in (SPLITS, SPLITS[::-1]):
        if more := classes[split] - classes[other]:
            raise InputError(f"{file}: classes in {split} that {other} has not: {_some(sorted(more))}")


def _some(values: Sequence[Any]) -> str:
    more = len(values) - SHOWN
    return ", ".join(map(repr, values[:SHOWN])) + (f" and {more:,} more" if more > 0 else "")
