"""Own reviews: the labelled rows of a CSV, TSV, JSONL or Parquet file, as the table that every text stage starts from.

The standard library's readers of CSV and JSON, not Arrow's: they tell the line of what is wrong, take no stray quote in
silence, and leave a number as it is written.
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
from isal import igzip

from stages.core.files import InputError
from stages.core.own import draw_test_half
from stages.text.reviews import GZIP_ERRORS, HALVES, LARGEST, SCHEMA

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")  # the first three also with .gz behind
SHOWN = 5  # places, names or classes that a message lists

Records = Iterator[tuple[int, dict[str, Any]]]  # each row's line, and its values by column


class Columns(NamedTuple):
    """Their names in the file, under the keys that params.yaml gives them."""

    text: str
    label: str
    split: str | None  # None: nothing says which half a row is of


class Row(NamedTuple):
    number: int  # of the line that it begins in, from 1; in Parquet of the row
    text: str
    label: str
    half: str | None


def read_own(file: Path, columns: Columns, fraction: float, seed: int) -> dict[str, pa.Table]:
    """Read the reviews of a file, whose suffix says its format.

    Returns train and test: id ("train/000012", of line 12, sorted by it), text with spaces in place of its line breaks,
    label as it is written, rating null. Without a column that says train or test, `fraction` of each class is drawn
    for the test half.

    Raises InputError, with the line where there is one, if the file has another format, lacks a column or a value, or
    if not both halves have two classes or more, the same ones.
    """
    rows = list(_rows(file, columns))
    _check_classes(file, columns, rows)
    if columns.split is None:
        contents = (row.text.encode() for row in rows)
        drawn = draw_test_half(file, [row.label for row in rows], contents, fraction, seed)
        halves = {half: [row for i, row in enumerate(rows) if (i in drawn) == (half == "test")] for half in HALVES}
    else:
        halves = {half: [row for row in rows if row.half == half] for half in HALVES}
        _check_halves(file, halves)
    return {half: _table(half, rows) for half, rows in halves.items()}


def _table(half: str, rows: list[Row]) -> pa.Table:
    table = [(f"{half}/{row.number:06}", row.text, row.label, None) for row in rows]
    return pa.table(list(zip(*table, strict=True)), schema=SCHEMA).sort_by("id")


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
        half = values[columns.split].strip().lower() if columns.split else None
        if half and half not in HALVES:
            raise InputError(f"{place}: {half!r} in column {columns.split!r}; expected train or test")
        yield Row(number, text, values[columns.label].strip(), half)
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
            igzip.IGzipFile(file) if packed else file.open("rb") as data,
            io.TextIOWrapper(data, "utf-8-sig", "surrogateescape", newline="") as stream,
        ):
            if suffix == ".jsonl":
                yield from _json_records(file, columns, stream)
            else:
                yield from _csv_records(file, columns, stream, "\t" if suffix == ".tsv" else ",")
    except (OSError, EOFError, *GZIP_ERRORS, pa.ArrowException, UnicodeDecodeError) as problem:
        raise InputError(f"{file}: cannot be read: {problem}") from problem


def _csv_records(file: Path, columns: Columns, stream: Iterable[str], delimiter: str) -> Records:
    csv.field_size_limit(LARGEST)
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
    if len(value) > LARGEST:
        raise InputError(f"{place}: {len(value):,} letters in column {column!r}; expected at most {LARGEST:,}")
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


def _check_halves(file: Path, halves: dict[str, list[Row]]) -> None:
    classes = {half: {row.label for row in rows} for half, rows in halves.items()}
    for half, other in (HALVES, HALVES[::-1]):
        if more := classes[half] - classes[other]:
            raise InputError(f"{file}: classes in {half} that {other} has not: {_some(sorted(more))}")


def _some(values: Sequence[Any]) -> str:
    more = len(values) - SHOWN
    return ", ".join(map(repr, values[:SHOWN])) + (f" and {more:,} more" if more > 0 else "")
