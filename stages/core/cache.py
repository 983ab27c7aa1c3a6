"""A user's folder of what all experiments share: downloads, and checkpoints of training."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from stages.core.files import InputError


def cache_folder() -> Path:
    """Where downloads and checkpoints are kept: $SENTIDOG_CACHE, or this system's place for a user's cache."""
    folder = os.environ.get("SENTIDOG_CACHE")
    return Path(folder).expanduser() if folder else platformdirs.user_cache_path("sentidog")


@contextmanager
def cache_errors() -> Iterator[None]:
    """Raises InputError for an OSError: only those of this folder may come here."""
    try:
        yield
    except OSError as problem:
        raise InputError(
            f"{cache_folder()}: cannot be written: {problem.strerror or problem}\n"
            "Downloads and checkpoints are kept in this folder. "
            "Make room there or set SENTIDOG_CACHE to another folder."
        ) from problem


@contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock, after saying `waiting` where another process has it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{waiting} ({path})")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
