"""Read and write Parquet, JSON and CSV files. Writes are atomic. InputError is the one error that users see."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

ROWS = 4096  # per row group
SHOWN = 5  # places, names, classes or words that a message lists


class InputError(Exception):
    """Bad input. The message names the place, what was expected and what to do."""


def some(values: Sequence[Any]) -> str:
    """Return the first values for a message, texts in quotes, and how many more there are."""
    more = len(values) - SHOWN
    return ", ".join(map(repr, values[:SHOWN])) + (f" and {more:,} more" if more > 0 else "")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as problem:
        if problem.errno is not None:  # an OSError without a number has a complete message
            problem.filename = problem.filename or str(path)  # a failed write does not name its file
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Raises InputError if the file is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise unreadable(path, problem) from problem


def write_table(path: Path, table: pa.Table, row_group_size: int = ROWS, **options: Any) -> None:
    """Write `table` as Parquet, with pyarrow's `options`. The same table gives the same bytes."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, row_group_size, compression="zstd", **options)


def write_csv(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary:
        csv.write_csv(table, temporary)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Raises InputError if the file is missing, is not Parquet or lacks one of `columns`."""
    with _opened(path) as file:  # not pq.read_table, which also imports pyarrow.dataset
        names = file.schema_arrow.names if columns is None else columns
        _check_columns(file, names)
        return file.read(names).select(names)


def row_groups(path: Path) -> int:
    """Return a table's number of row groups; raises InputError if the file is missing or is not Parquet."""
    with _opened(path) as file:
        return file.num_row_groups


def read_row_groups(path: Path, columns: list[str], groups: Sequence[int] | None = None) -> Iterator[pa.Table]:
    """Yield a table's row groups, or some of them; raises InputError as read_table does."""
    with _opened(path) as file:
        _check_columns(file, columns)
        for group in range(file.num_row_groups) if groups is None else groups:
            yield file.read_row_group(group, columns)


def _check_columns(file: pq.ParquetFile, columns: list[str]) -> None:
    if missing := set(columns) - set(file.schema_arrow.names):
        raise pa.ArrowInvalid(f"no column {', '.join(sorted(missing))}")


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (OSError, pa.ArrowException) as problem:
        raise unreadable(path, problem) from problem


def unreadable(path: Path, problem: Exception) -> InputError:
    """Return the error for a stage's input that is missing or damaged."""
    why = str(problem) if path.exists() else "no such file"
    return InputError(f"{path}: {why}\nmake it again with: dvc repro")
