"""Files that are either whole or absent: Parquet tables, JSON, and the one error a user sees."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv


class InputError(Exception):
    """Something that the user gave is wrong; the message says where, what was expected and what to do."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s place only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as problem:
        if problem.errno is not None:  # else its text is all that it says
            problem.filename = problem.filename or str(path)  # a failed write does not say where
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


def write_table(path: Path, table: pa.Table, **options: Any) -> None:
    """Write `table` as Parquet, with pyarrow's `options`: the same table gives the same bytes."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", **options)


def write_csv(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary:
        csv.write_csv(table, temporary)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Raises InputError if the file is missing, is not Parquet or lacks one of `columns`."""
    try:
        return pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException, KeyError) as problem:
        raise unreadable(path, problem) from problem


def unreadable(path: Path, problem: Exception) -> InputError:
    """Return the error for a stage's input that is missing or damaged."""
    why = str(problem) if path.exists() else "no such file"
    return InputError(f"{path}: {why}\nmake it again with: dvc repro")
