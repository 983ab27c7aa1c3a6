"""Reviews from outside: texts, and files of a review a line, of which one line is in memory at a time."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stages.apps.inputs import LINES
from stages.core.files import InputError

MAX_LINE_BYTES = 1 << 20  # seventy times the longest real review


@dataclass(frozen=True)
class Review:
    text: str
    file: str | None = None  # where it was read; None: it was an argument
    line: int | None = None  # of the file, from 1

    @property
    def summary(self) -> str:
        return " ".join(self.text.split())[:60]

    @property
    def source(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if value is not None}


def each_review(arguments: list[str]) -> Iterator[Review | InputError]:
    """Yield the reviews in arguments, texts and names of files of a review a line; without any, in standard input.

    What cannot be read is yielded as its InputError, and the rest follows.
    """
    if not arguments:
        yield from read_lines(sys.stdin.buffer, "standard input")
    for number, argument in enumerate(arguments, 1):
        if Path(argument).suffix.lower() == LINES:
            yield from _read_file(argument)
        else:
            yield _review(argument.encode("utf-8", "surrogateescape"), f"review {number}")


def _read_file(file: str) -> Iterator[Review | InputError]:
    try:
        with Path(file).open("rb") as stream:
            yield from read_lines(stream, file)
    except OSError as problem:
        yield InputError(f"{file}: {problem.strerror}")


def read_lines(stream: BinaryIO, file: str) -> Iterator[Review | InputError]:
    """Yield the reviews of a stream of UTF-8, a line each."""
    for number, line in enumerate(_lines(stream), 1):
        place = f"{file}, line {number}"
        if line is None:
            yield InputError(f"{place}: more than {MAX_LINE_BYTES:,} bytes; expected a review a line")
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
    return Review(text, file, line) if text.strip() else InputError(f"{place} is empty; expected a review")
