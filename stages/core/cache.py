"""The cache folder that all experiments share: downloads, sample archives, checkpoints.

`running_code` is the part of its keys that changes with the code.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from stages.core.files import InputError

LIBRARIES = ("numpy", "PIL", "pyarrow", "torch", "torchvision", "torchtext")  # a new release of one may change results


def cache_folder() -> Path:
    """Return $SENTIDOG_CACHE, or else the system's default folder for a user's cache."""
    folder = os.environ.get("SENTIDOG_CACHE")
    return Path(folder).expanduser() if folder else platformdirs.user_cache_path("sentidog")


@contextmanager
def cache_errors() -> Iterator[None]:
    """Turn an OSError into an InputError about the cache folder. The block may raise no OSError about anything else."""
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
    """Hold the lock `path` inside the block; log `waiting` if another process holds it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log(f"{waiting} ({path})")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def running_code() -> dict[str, str]:
    """Return the hash of every loaded module of this project, and the versions of the loaded LIBRARIES.

    It is part of the key of everything in the cache that was computed here. Call it after all imports.
    """
    modules = {
        name: hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()
        for name, module in sorted(sys.modules.items())
        if name.startswith("stages.") and getattr(module, "__file__", None)
    }
    libraries = {name: str(getattr(sys.modules[name], "__version__", "")) for name in LIBRARIES if name in sys.modules}
    return modules | libraries


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
