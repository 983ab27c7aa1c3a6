"""The entry point of every stage script, and the record of what the script cost."""

import argparse
import errno
import gc
import inspect
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

_BEGAN = time.perf_counter()  # before the slow imports

from stages.core.files import InputError, write_json  # noqa: E402

try:
    import resource
except ImportError:  # Windows has none
    resource = None

# Make idle OpenMP threads yield their core after a short spin. By default they spin for milliseconds: beside another
# busy process, two threads on two cores are then ten times as slow. Set here, because torch reads it when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "4000")

# Collect garbage less often: torch's imports make half a million objects that live on, and each pass looks at them all.
gc.set_threshold(100_000)

# Errors that are due to the disk or its permissions, not to a bug
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}

ending = ExitStack()  # closed after `main`: callbacks that shut workers down


def run(main: Callable[..., dict[str, Any] | None], writes_cost: bool = True) -> None:
    """Call `main` with the command line's arguments as paths; exit 1 with one message on an InputError.

    With `--cost FILE` the script's cost is written there if `main` succeeds, and with it what `main` returns.
    """
    names = list(inspect.signature(main).parameters)
    parser = argparse.ArgumentParser(description=sys.modules[main.__module__].__doc__)
    for name in names:
        parser.add_argument(name, type=Path, metavar=name.upper())
    parser.add_argument("--cost", type=Path, metavar="FILE", help="where to write seconds and memory, as JSON")
    arguments = parser.parse_args()
    try:
        with exit_on_error():
            details = main(*(getattr(arguments, name) for name in names))
            if arguments.cost and writes_cost:
                ending.close()  # a worker's CPU seconds are counted only after it has ended
                write_json(arguments.cost, {**cost(), **(details or {})})
    except SystemExit as end:
        if main.__module__ == "__main__":
            leave(end.code)
        raise
    if main.__module__ == "__main__":
        leave()


def leave(code: str | int | None = 0) -> NoReturn:
    """Exit as sys.exit does, without freeing the objects first, which takes a second with torchvision."""
    ending.close()
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def cost() -> dict[str, float]:
    """Return wall-clock seconds, CPU seconds, and on systems that report it the peak memory in MB.

    Child processes that have ended are included. CPU seconds are summed; memory is that of the largest process.
    """
    found = {"seconds": round(time.perf_counter() - _BEGAN, 2), "cpu_seconds": round(sum(os.times()[:4]), 2)}
    if resource:
        peak, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        status = Path("/proc/self/status")  # on Linux ru_maxrss starts at the peak of the parent process
        if status.exists() and (match := re.search(r"VmHWM:\s*(\d+)", status.read_text(encoding="utf-8"))):
            peak = int(match[1])
        found["peak_mb"] = round(max(peak, child) * (1 if sys.platform == "darwin" else 1024) / 1e6)
    return found


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an InputError or a full or read-only disk into one message and exit code 1, Ctrl-C into exit code 130.

    Characters that the terminal or the log cannot encode are printed as escapes.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="backslashreplace")  # standard error's default
    try:
        yield
    except InputError as problem:
        sys.exit(f"error: {problem}")
    except OSError as problem:
        if problem.errno not in _DISK:
            raise
        place = f"{problem.filename}: " if problem.filename else ""
        sys.exit(f"error: {place}{os.strerror(problem.errno)}\nmake room or give access there, then: dvc repro")
    except KeyboardInterrupt:
        sys.exit(130)
