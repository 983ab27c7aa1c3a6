"""Read the rows of a CSV, TSV, JSONL or Parquet file. Encoding, delimiter and quoting are detected, or refused.

CSV and JSON are read by the standard library, not by Arrow: it reports the line of an error, refuses a stray quote, and
leaves numbers as they are written.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.cache import log
from stages.core.files import InputError, some
from stages.sources.folders import suffix_of
from stages.sources.gzip import GZIP_ERRORS, GzipFile, check_packed
from stages.sources.kinds import HEAD, other_kind

TEXT_SUFFIXES = (".csv", ".tsv", ".jsonl")  # also with .gz behind
PARQUET = ".parquet"
SUFFIXES = (*TEXT_SUFFIXES, *(f"{suffix}.gz" for suffix in TEXT_SUFFIXES), PARQUET)
DELIMITERS = ",;\t|"
_OPEN = "unexpected end of data"  # csv's error
MAX_LETTERS = 1 << 24  # of a field: a thousand times the longest real review

Record = tuple[int, dict[str, Any]]  # a row's line, from 1, in Parquet its row; and its values by column
Wanted = Mapping[str, str]  # columns -> where the user names them, such as "own.text"

_SPLITS = {"split", "splits", "subset", "partition", "fold", "set"}  # columns that may tell the split
_ENDINGS = {  # of names that say no format of ours -> what to do
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "in Excel: Save as, CSV UTF-8"),
    **dict.fromkeys((".zip", ".bz2", ".xz", ".zst", ".tar", ".7z", ".rar"), "unpack it"),
    ".ndjson": "let its name end in .jsonl",
    ".tab": "let its name end in .tsv",
    ".txt": "let its name end in .csv or .tsv, if it has columns",
}
_AS_LINES = "of one array: pandas.read_json('a.json').to_json('a.jsonl', orient='records', lines=True)"
_MARKS = {  # UTF-32's mark begins with that of UTF-16, so it is tried first
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class EncodingError(InputError):
    """A text is not UTF-8, and no encoding was named."""


class Form(NamedTuple):
    """The user's settings for a file's format."""

    encoding: str | None = None  # None: UTF-8, or that of its byte order mark
    delimiter: str | None = None  # None: the one with which the header has the wanted columns
    option: str = "own.{}"  # how messages name these two


FOUND_OUT = Form()


class _Layout(NamedTuple):
    delimiter: str
    skipped: int  # lines before the header
    quoted: bool  # False: a quote is a letter
    spaced: bool  # a blank follows each delimiter


def read_records(file: Path, wanted: Wanted, form: Form, label: str | None = None) -> Iterator[Record]:
    """Yield the rows of a file, which must have the columns `wanted`. Its suffix tells the format.

    `label` is the column of classes, if there is one; the check for swallowed rows uses it.

    Raises InputError, with the line if it is known, if the file has another format or lacks a column.
    """
    suffix = suffix_of(file.name)
    if suffix not in SUFFIXES:
        hint = _AS_LINES if suffix == ".json" else _ENDINGS.get(suffix, "")
        raise InputError(
            f"{file}: own.reviews ends in none of {', '.join((*TEXT_SUFFIXES, PARQUET))}, of which the first three "
            "may be .gz" + (f"; {hint}" if hint else "")
        )
    try:
        if suffix == PARQUET:
            yield from _parquet_records(file, wanted)
        elif suffix.startswith(".jsonl"):
            yield from _json_records(file, wanted, form)
        else:
            yield from _csv_records(file, wanted, form, label)
    except (OSError, EOFError, *GZIP_ERRORS, pa.ArrowException, UnicodeError) as problem:
        if isinstance(problem, UnicodeError):
            raise InputError(f"{file}: {problem}; name its encoding: {form.option.format('encoding')}") from problem
        raise InputError(f"{file}: cannot be read: {getattr(problem, 'strerror', None) or problem}") from problem


# Bytes


@contextmanager
def _opened(file: Path, form: Form) -> Iterator[io.TextIOWrapper]:
    """Open a file as text, without translating line ends.

    Bytes that are not UTF-8 become surrogates, so that as_text can report their line.
    """
    packed = file.suffix.lower() == ".gz"
    if packed:
        check_packed(file)
    with GzipFile(file) if packed else file.open("rb") as data:
        start = data.read(HEAD)
        data.seek(0)
        if kind := other_kind(start):
            raise InputError(f"{file}: {kind[0]}; {kind[1]}")
        encoding = _encoding(file, start, form)
        errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
        with io.TextIOWrapper(data, encoding, errors, newline="") as stream:
            yield stream


def _encoding(file: Path, start: bytes, form: Form) -> str:
    marked = next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), None)
    if form.encoding:
        try:
            name = codecs.lookup(form.encoding).name
            "".encode(name)  # fails for codecs such as base64, which do not encode text
        except LookupError as problem:
            option = form.option.format("encoding")
            raise InputError(f"{option}: {form.encoding!r} found, expected an encoding such as cp1252") from problem
        if marked and name.startswith(marked):
            return marked
        return "utf-8-sig" if name == "utf-8" else name
    if marked:
        return marked
    if b"\0" in start:
        is_little = start[1::2].count(0) >= start[::2].count(0)
        raise InputError(
            f"{file}: NUL bytes in it: no text, or UTF-16 without a byte order mark; save it as UTF-8, or try "
            f"{form.option.format('encoding')}={'utf-16-le' if is_little else 'utf-16-be'}"
        )
    return "utf-8-sig"


# CSV and TSV


def _csv_records(file: Path, wanted: Wanted, form: Form, label: str | None) -> Iterator[Record]:
    csv.field_size_limit(MAX_LETTERS)
    layout = _layout(file, wanted, form)
    header: list[str] = []
    empty: list[int] = []
    spans = _Spans(file, layout.delimiter)
    for line, fields, physical in _rows(file, form, layout):
        if fields and not header:
            header = _header(fields)
            spans.columns, spans.label = len(header), header.index(label) if label else None
            _note_split(file, wanted, header)
        elif fields:  # not an empty line
            if _is_blank(fields) and len(header) > 1:
                empty.append(line)
                continue
            if len(fields) != len(header):
                raise InputError(
                    f"{file}, line {line}: {len(fields)} fields, expected {len(header)} as in the header"
                    f"; a field with the delimiter {layout.delimiter!r} in it stands in quotes"
                )
            spans.add(line, fields, physical)
            if label is None:  # no classes to wait for
                spans.check()
                spans.spans.clear()
            yield line, dict(zip(header, fields, strict=True))
    spans.check()
    if empty:
        log(f"note: {file}: passed over {len(empty):,} rows of blanks alone, in line {some(empty)}")


def _rows(file: Path, form: Form, layout: _Layout) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield each row's line, its fields, and the lines of the file that it takes; an empty line has no field.

    Raises InputError for a quote where none may be.
    """
    with _opened(file, form) as stream:
        for _ in range(layout.skipped):
            stream.readline()
        taken: list[str] = []
        quoting = csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE
        reader = csv.reader(
            _noting(stream, taken),
            delimiter=layout.delimiter, quoting=quoting, skipinitialspace=layout.spaced, strict=True,
        )  # fmt: skip
        while True:
            line = layout.skipped + reader.line_num + 1
            taken.clear()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                what = {_OPEN: "a quote opens a field here, and none ends it"}.get(str(problem), str(problem))
                remedy = "a field with a quote in it stands in quotes, the inner one doubled"
                raise InputError(f"{file}, line {line}: {what}; {remedy}") from problem
            yield line, fields, taken


def _noting(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _is_blank(fields: Sequence[str]) -> bool:
    return not any(field.strip() for field in fields)


def _header(fields: Sequence[str]) -> list[str]:
    return [field.strip("\ufeff \t") for field in fields]


def _layout(file: Path, wanted: Wanted, form: Form) -> _Layout:
    """Detect a file's layout. Its delimiter is the first one with which the header has the wanted columns.

    Raises InputError if there is none.
    """
    with _opened(file, form) as stream:
        first = stream.readline()
    named = re.fullmatch(r'"?sep=(.)"?\s*', first, re.IGNORECASE)  # as Excel writes and reads it
    is_tsv = suffix_of(file.name).startswith(".tsv")
    chosen = "\t" if form.delimiter == "tab" else form.delimiter
    if chosen is not None and (len(chosen) != 1 or chosen in '\r\n"'):
        option = form.option.format("delimiter")
        raise InputError(f"{option}: {chosen!r} found, expected one letter, or tab")
    ahead = chosen or (named[1] if named else None) or ("\t" if is_tsv else ",")
    others = "" if chosen or named else DELIMITERS.replace(ahead, "")
    found: list[tuple[str, list[str]]] = []
    for delimiter in (ahead, *others):
        layout = _Layout(delimiter, 1 if named else 0, quoted=True, spaced=False)
        try:
            fields = next((fields for _, fields, _ in _rows(file, form, layout) if fields), [])
        except InputError:
            continue
        found.append((delimiter, _header(fields)))
        if all(name in found[-1][1] for name in wanted):
            check_columns(file, wanted, found[-1][1])
            spaced = first.count(f"{delimiter} ") == first.count(delimiter) > 0 and not named
            layout = layout._replace(spaced=spaced)
            return layout._replace(quoted=_is_quoted(file, form, layout)) if delimiter == "\t" else layout
    header = max((header for _, header in found), key=len, default=[])
    if not header:
        raise InputError(f"{file}: empty; expected a header with the columns' names, and one review per row")
    for name in header:
        as_text(f"{file}, header", name, name, form)
    check_columns(file, wanted, header)
    raise AssertionError("unreachable: the columns are not there")


def _is_quoted(file: Path, form: Form, layout: _Layout) -> bool:
    """Return whether the quotes of a tab-separated file enclose fields, or else are letters of the texts.

    They enclose fields if only then each row has the right number of fields. If both readings fit, they do if the file
    quotes as programs do: a whole column, or exactly the fields that need it.
    """
    width, first = 0, 0
    letters_fit = True
    quoted: set[int] = set()  # columns with a quoted field
    plain: set[int] = set()  # columns with another
    needless = False
    for line, fields, _ in _rows(file, form, layout._replace(quoted=False)):
        if _is_blank(fields):
            continue
        width = width or len(fields)
        letters_fit &= len(fields) == width
        if line == layout.skipped + 1:
            continue
        for column, field in enumerate(fields):
            if field.startswith('"'):
                first = first or line
                quoted.add(column)
                needless |= re.fullmatch(r'"[^",]*"', field) is not None  # Excel quotes a field with a comma
            elif field:
                plain.add(column)
    if not first:
        return not letters_fit or width == 1
    marks_fit, swallowing = _marks_fit(file, form, layout)
    if letters_fit and marks_fit:
        as_marks = not needless or not quoted & plain
    else:
        as_marks = marks_fit or (swallowing and not letters_fit)
    how = "as marks around a field" if as_marks else "as letters: the file does not quote throughout"
    log(f"note: {file}: fields begin with a quote, the first in line {first}; quotes are read {how}")
    return as_marks


def _marks_fit(file: Path, form: Form, layout: _Layout) -> tuple[bool, bool]:
    """Return whether a file can be read with quotes around fields, and whether swallowed rows are its only problem."""
    spans = _Spans(file, layout.delimiter)
    try:
        for line, fields, physical in _rows(file, form, layout):
            if _is_blank(fields):
                continue
            spans.columns = spans.columns or len(fields)
            if len(fields) != spans.columns:
                return False, False
            spans.add(line, fields, physical)
    except InputError:
        return False, False
    swallowing = spans.swallowed() is not None
    return not swallowing, swallowing


class _Spans:
    """The rows that take several lines, to detect rows that an unclosed quote has swallowed.

    An unclosed quote at the start of a field swallows all rows up to the next quote at the end of a field.
    """

    def __init__(self, file: Path, delimiter: str) -> None:
        self.file, self.delimiter = file, delimiter
        self.columns = 0
        self.label: int | None = None  # the column of the classes
        self.labels: set[str] = set()
        self.spans: list[tuple[int, list[str]]] = []  # first line, lines

    def add(self, line: int, fields: list[str], physical: list[str]) -> None:
        if len(physical) > 1:
            self.spans.append((line, list(physical)))
        if self.label is not None:
            self.labels.add(fields[self.label].strip())

    def check(self) -> None:
        """Raise InputError if a field has swallowed rows."""
        if found := self.swallowed():
            first, last = found
            raise InputError(
                f"{self.file}, line {first}: a quote opens a field that ends in line {last} and holds what looks like "
                "whole rows; if they are rows, double the quote and put the field in quotes, else save the table as "
                ".jsonl or .parquet"
            )

    def swallowed(self) -> tuple[int, int] | None:
        """Return the first and the last line of a row that has swallowed others, None if there is none."""
        for line, physical in self.spans:
            shaped = [self._has_fields(text) for text in physical]
            rows = [self._is_row(text) for text in physical]
            if self.label is None and self.delimiter != "\t":  # lines of a text may have any number of commas
                found = all(shaped)
            else:
                found = (rows[0] and rows[-1]) or any(rows[1:-1]) or (len(rows) > 2 and all(shaped))
            if found:
                return line, line + len(physical) - 1
        return None

    def _has_fields(self, text: str) -> bool:
        """Return whether a line has the number of fields of a row."""
        if self.columns == 1:  # it may be a row or a part of a text
            return self.delimiter == "\t"
        return text.count(self.delimiter) == self.columns - 1

    def _is_row(self, text: str) -> bool:
        """Return whether a line has the number of fields of a row, and one of the classes."""
        if self.label is None or not self._has_fields(text):
            return self._has_fields(text)
        return text.rstrip("\r\n").split(self.delimiter)[self.label].strip().strip('"') in self.labels


# JSON and Parquet


def _json_records(file: Path, wanted: Wanted, form: Form) -> Iterator[Record]:
    noted = False
    with _opened(file, form) as stream:
        for line, text in enumerate(stream, 1):
            if not text.strip():
                continue
            try:
                record = json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=_distinct)
            except (ValueError, RecursionError) as problem:
                hint = f"; {_AS_LINES}" if text.strip() in ("[", "{", "[{") else ""
                raise InputError(
                    f"{file}, line {line}: not JSON ({problem}); expected one JSON object per line{hint}"
                ) from problem
            if not isinstance(record, dict):
                hint = f"; {_AS_LINES}" if isinstance(record, list) else ""
                raise InputError(
                    f"{file}, line {line}: {text.strip()[:40]!r} found, expected one JSON object per line{hint}"
                )
            check_columns(f"{file}, line {line}", wanted, list(record))
            if not noted:
                _note_split(file, wanted, list(record))
                noted = True
            yield line, record


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Raises ValueError for a key that is there twice, of which Python takes the last."""
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"two keys {next(key for key in record if keys.count(key) > 1)[:40]!r} in an object")
    return record


def _parquet_records(file: Path, wanted: Wanted) -> Iterator[Record]:
    with file.open("rb") as data:
        if kind := other_kind(data.read(HEAD).removeprefix(b"PAR1")):
            raise InputError(f"{file}: {kind[0]}; {kind[1]}")
    with pq.ParquetFile(file) as parquet:
        check_columns(file, wanted, parquet.schema_arrow.names)
        _note_split(file, wanted, parquet.schema_arrow.names)
        number = 0
        for batch in parquet.iter_batches(columns=list(wanted)):
            yield from enumerate(batch.to_pylist(), number + 1)
            number += len(batch)


# Columns and values


def check_columns(place: Path | str, wanted: Wanted, found: Sequence[str]) -> None:
    """Raise InputError unless each wanted column is found once."""
    for name, option in wanted.items():
        if found.count(name) == 1:
            continue
        names = ", ".join(repr(column[:40]) for column in found[:20])
        if name in found:
            raise InputError(f"{place}: two columns {name!r} ({option}); it has {names}")
        close = [column for column in found if column.strip().casefold() == name.strip().casefold()]
        close = close or get_close_matches(name, found, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        if not close and not set(wanted) & set(found) and isinstance(place, Path):
            hint = "; name one of these, or if they are a row, write a line of the columns' names above it"
        raise InputError(f"{place}: no column {name!r} ({option}); it has {names}{hint}")


def _note_split(file: Path, wanted: Wanted, found: Sequence[str]) -> None:
    """Say that a column which seems to tell the split is not used."""
    unused = [name for name in found if name.strip().casefold() in _SPLITS and name not in wanted]
    named = {option.split()[0] for option in wanted.values()}
    if unused and "own.label" in named and "own.split" not in named:
        log(f"note: {file}: own.split is null: a test split is drawn, and the column {unused[0]!r} is not used")


def as_text(place: str, column: str, value: Any, form: Form) -> str:
    """Return a value as text, a missing one as "". Raises InputError if it is neither text nor a number."""
    if value is None or value != value:  # pandas writes a missing number as NaN
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, bytes):  # some programs write strings to Parquet without declaring them as UTF-8
        try:
            value = value.decode(form.encoding or "utf-8", "surrogateescape")
        except UnicodeError as problem:
            raise EncodingError(f"{place}: column {column!r} is not {form.encoding}: {problem}") from problem
    if not isinstance(value, str):
        raise InputError(f"{place}: {str(value)[:40]!r} in column {column!r}; expected a text or a number")
    if len(value) > MAX_LETTERS:
        raise InputError(f"{place}: {len(value):,} letters in column {column!r}; expected at most {MAX_LETTERS:,}")
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        option = form.option.format("encoding")
        raise EncodingError(
            f"{place}: column {column!r} is not UTF-8 at letter {problem.start + 1}; "
            f"save the file as UTF-8, or name its encoding, such as {option}=cp1252"
        ) from problem
    if "\0" in value:
        raise InputError(f"{place}: a NUL in column {column!r}; expected text: the file is damaged, or no text")
    return value
