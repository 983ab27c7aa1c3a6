"""Read the user's reviews: texts, files of one review per line, and tables. One line or row is in memory at a time."""

import codecs
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from stages.apps.inputs import LINES
from stages.core.cache import log
from stages.core.files import InputError
from stages.sources.folders import suffix_of
from stages.sources.gzip import GZIP_ERRORS, GzipFile, check_packed
from stages.sources.kinds import HEAD, other_kind
from stages.sources.records import FOUND_OUT, SUFFIXES, EncodingError, Form, as_text, read_records

_NOTHING = "note: {}: no review in it"
MAX_LINE_BYTES = 1 << 20  # seventy times the longest real review


@dataclass(frozen=True)
class Review:
    text: str
    file: str | None = None  # None: it was an argument
    line: int | None = None  # of the file, from 1

    @property
    def summary(self) -> str:
        return " ".join(self.text.split())[:60]

    @property
    def source(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if value is not None}


def each_review(arguments: list[str], column: str = "text", form: Form = FOUND_OUT) -> Iterator[Review | InputError]:
    """Yield the reviews in arguments, which are texts and files; without arguments, the lines of standard input.

    `column` is the column of a table's texts, `form` says how the table is written. What cannot be read is yielded as
    an InputError.
    """
    if not arguments:
        yield from read_lines(sys.stdin.buffer, "standard input")
    for number, argument in enumerate(arguments, 1):
        if (suffix := suffix_of(Path(argument).name)) in LINES:
            yield from _read_file(argument)
        elif suffix in SUFFIXES:
            yield from _read_table(argument, column, form)
        else:
            yield _review(argument.encode("utf-8", "surrogateescape"), f"review {number}")


def _read_file(file: str) -> Iterator[Review | InputError]:
    packed = Path(file).suffix.lower() == ".gz"
    try:
        if packed:
            check_packed(Path(file))
        with cast("BinaryIO", GzipFile(file)) if packed else Path(file).open("rb") as stream:
            start = stream.read(HEAD)
            stream.seek(0)
            if not start:
                log(_NOTHING.format(file))
            elif start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                yield InputError(f"{file}: text in UTF-16; save it as UTF-8")
            elif b"\r" in start.rstrip(b"\r") and b"\n" not in start:
                yield InputError(f"{file}: its lines end in carriage returns alone; save it with line feeds")
            elif kind := other_kind(start):
                yield InputError(f"{file}: {kind[0]}; expected text, one review per line")
            else:
                yield from read_lines(stream, file)
    except InputError as problem:
        yield problem
    except (OSError, EOFError, *GZIP_ERRORS) as problem:
        yield InputError(f"{file}: {getattr(problem, 'strerror', None) or problem}")


def _read_table(file: str, column: str, form: Form) -> Iterator[Review | InputError]:
    number = undecoded = 0
    try:
        for number, record in read_records(Path(file), {column: "--column"}, form):
            place = f"{file}, line {number}"
            try:
                text = as_text(place, column, record[column], form)
            except InputError as problem:
                undecoded += isinstance(problem, EncodingError)
                if undecoded < 2 or not isinstance(problem, EncodingError):
                    yield problem
                continue
            yield Review(text, file, number) if text.strip() else InputError(f"{place} is empty; expected a review")
    except InputError as problem:
        yield InputError(f"{problem}\nthe rest of {file} was not read") if number else problem
    else:
        if not number:
            log(_NOTHING.format(file))
    if undecoded > 1:
        yield InputError(f"{file}: {undecoded - 1:,} more rows are not UTF-8")


def read_lines(stream: BinaryIO, file: str) -> Iterator[Review | InputError]:
    """Yield the reviews of a stream of UTF-8, one per line."""
    for number, line in enumerate(_lines(stream), 1):
        place = f"{file}, line {number}"
        if line is None:
            yield InputError(f"{place}: more than {MAX_LINE_BYTES:,} bytes; expected one review per line")
        else:
            yield _review(line, place, file, number)


def _lines(stream: BinaryIO) -> Iterable[bytes | None]:
    """Yield a stream's lines; None for one that is too long."""
    while line := stream.readline(MAX_LINE_BYTES):
        complete = line.endswith(b"\n") or len(line) < MAX_LINE_BYTES
        yield line if complete else None
        while not complete:
            rest = stream.readline(MAX_LINE_BYTES)
            complete = rest.endswith(b"\n") or len(rest) < MAX_LINE_BYTES


def _review(data: bytes, place: str, file: str | None = None, line: int | None = None) -> Review | InputError:
    try:
        text = data.decode("utf-8-sig").rstrip("\r\n")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as problem:
        return InputError(f"{place}: not UTF-8 at byte {problem.start}")
    if "\0" in text:
        return InputError(f"{place}: a NUL in it; expected text in UTF-8: it may be UTF-16, or no text")
    return Review(text, file, line) if text.strip() else InputError(f"{place} is empty; expected a review")
