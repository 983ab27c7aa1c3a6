"""The guard at the end of every stage script."""

import errno
import inspect
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from stages.core.files import InputError

# A thread that waits longer than a moment gives its core up. By default it spins for milliseconds, and a busy
# neighbour makes two threads on two cores ten times as slow. Read when torch is loaded, hence here.
os.environ.setdefault("GOMP_SPINCOUNT", "4000")

# What the disk can say to a write, and no bug of ours can cause
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments as paths; exit 1 with one message on an InputError."""
    names = list(inspect.signature(main).parameters)
    arguments = [Path(argument) for argument in sys.argv[1:]]
    if len(arguments) != len(names):
        sys.exit(f"usage: {Path(sys.argv[0]).name} {' '.join(names).upper()}")
    with reporting():
        main(*arguments)


@contextmanager
def reporting() -> Iterator[None]:
    """Turn an InputError or a disk's refusal into one message and exit code 1, Ctrl-C into exit code 130.

    A letter that the terminal or the log has no code for is printed as an escape.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error is from the start
    try:
        yield
    except InputError as problem:
        sys.exit(f"error: {problem}")
    except OSError as problem:
        if problem.errno not in _DISK:
            raise
        place = f"{problem.filename}: " if problem.filename else ""
        sys.exit(f"error: {place}{os.strerror(problem.errno)}\nmake room or give access there, then: dvc repro")
    except sqlite3.OperationalError as problem:  # in the notes that DVC keeps on files; dvclive opens them
        place = "its site cache (/var/tmp/dvc)"
        sys.exit(f"error: DVC's notes on files: {problem}\nmake room or give access in {place}, then: dvc repro")
    except KeyboardInterrupt:
        sys.exit(130)
