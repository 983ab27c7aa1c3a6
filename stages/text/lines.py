"""Reviews from outside: texts, and files of a review a line, of which one line is in memory at a time."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stages.core.files import InputError

SUFFIX = ".txt"  # of a file of reviews
LARGEST = 1 << 20  # bytes of a line: seventy times the longest real review


@dataclass(frozen=True)
class Review:
    text: str
    file: str | None = None  # that it was read from; None: given as it is
    line: int | None = None  # of the file, from 1

    @property
    def shown(self) -> str:
        return " ".join(self.text.split())[:60]

    @property
    def source(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if value is not None}


def reviews(given: list[str]) -> Iterator[Review | InputError]:
    """Yield what is given, texts and names of files that end in SUFFIX; if nothing is, standard input's lines.

    What cannot be read is yielded as its InputError, and the rest follows.
    """
    if not given:
        yield from read_lines(sys.stdin.buffer, "standard input")
    for number, argument in enumerate(given, 1):
        if Path(argument).suffix.lower() == SUFFIX:
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
            yield InputError(f"{place}: more than {LARGEST:,} bytes; expected a review a line")
        else:
            yield _review(line, place, file, number)


def _lines(stream: BinaryIO) -> Iterable[bytes | None]:
    """Yield a stream's lines; of one that is too long, None."""
    while line := stream.readline(LARGEST):
        whole = line.endswith(b"\n") or len(line) < LARGEST
        yield line if whole else None
        while not whole:
            rest = stream.readline(LARGEST)
            whole = rest.endswith(b"\n") or len(rest) < LARGEST


def _review(data: bytes, place: str, file: str | None = None, line: int | None = None) -> Review | InputError:
    try:
        text = data.decode("utf-8-sig").rstrip("\r\n")  # some editors begin a file with a mark
    except UnicodeDecodeError as problem:
        return InputError(f"{place}: not UTF-8 at byte {problem.start}")
    return Review(text, file, line) if text.strip() else InputError(f"{place} is empty; expected a review")
