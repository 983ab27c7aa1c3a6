"""The guard at the end of every stage script, and what the script cost."""

import argparse
import errno
import inspect
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_BEGAN = time.perf_counter()  # before what takes long to import

from stages.core.files import InputError, write_json  # noqa: E402

try:
    import resource
except ImportError:  # Windows has none
    resource = None

# A thread that waits longer than a moment gives its core up. By default it spins for milliseconds, and a busy
# neighbour makes two threads on two cores ten times as slow. Read when torch is loaded, hence here.
os.environ.setdefault("GOMP_SPINCOUNT", "4000")

# What the disk can say to a write, and no bug of ours can cause
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}

ending = ExitStack()  # what ends with the script


def run(main: Callable[..., None], writes_cost: bool = True) -> None:
    """Call `main` with the command line's arguments as paths; exit 1 with one message on an InputError.

    With `--cost FILE` what the script cost is written there, if `main` succeeds.
    """
    names = list(inspect.signature(main).parameters)
    parser = argparse.ArgumentParser(description=sys.modules[main.__module__].__doc__)
    for name in names:
        parser.add_argument(name, type=Path, metavar=name.upper())
    parser.add_argument("--cost", type=Path, metavar="FILE", help="where to write seconds and memory, as JSON")
    given = parser.parse_args()
    with reporting():
        main(*(getattr(given, name) for name in names))
        if given.cost and writes_cost:
            ending.close()  # the seconds of workers count once they have ended
            write_json(given.cost, cost())


def cost() -> dict[str, float]:
    """Return what this process cost: wall-clock and CPU seconds, and peak memory in MB where the system tells it.

    With the children that have ended: the sum of all CPU seconds, the memory of the largest process.
    """
    found = {"seconds": round(time.perf_counter() - _BEGAN, 2), "cpu_seconds": round(sum(os.times()[:4]), 2)}
    if resource:
        own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        status = Path("/proc/self/status")  # on Linux `own` is no less than the process that started this one
        if status.exists() and (held := re.search(r"VmHWM:\s*(\d+)", status.read_text(encoding="utf-8"))):
            own = int(held[1])
        found["peak_mb"] = round(max(own, child) * (1 if sys.platform == "darwin" else 1024) / 1e6)
    return found


@contextmanager
def reporting() -> Iterator[None]:
    """Turn an InputError or a disk's refusal into one message and exit code 1, Ctrl-C into exit code 130.

    A letter that the terminal or the log has no code for is printed as an escape.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # also where a library has wrapped it, as dvclive's does
    if reconfigure:
        reconfigure(errors="backslashreplace")  # as standard error is from the start
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
