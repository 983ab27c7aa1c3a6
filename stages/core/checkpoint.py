"""Training that survives: its whole state on disk, in a place that all that decides its result gives the name.

The place is outside the project, so that it outlives `dvc exp run --temp` and is never taken into another run.
"""

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from stages.core.cache import cache_errors, cache_folder, locked, say
from stages.core.device import Hardware
from stages.core.files import replacing
from stages.core.parallel import check_same, from_first, rank

EVERY = 60.0  # seconds between two checkpoints, at most
KEPT = 14 * 24 * 3600.0  # seconds that a checkpoint is kept which nobody goes on from


class Checkpoint:
    """One training's state on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the state, its tensors on the CPU, or None if there is none; a damaged one is set aside.

        Of several processes the first reads it, for all.
        """
        return from_first(self._load)

    def _load(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as problem:  # a damaged file can raise anything
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            say(f"a damaged checkpoint was set aside as {aside} ({problem}); starting afresh")
            return None

    def save(self, state: dict[str, Any]) -> None:
        """Write `state` so that the file is whole whenever the process or the machine stops; the first process does."""
        if rank():
            return
        whole = io.BytesIO()  # torch.save hides a full disk's OSError behind an error of its own
        torch.save(state, whole)
        with cache_errors(), replacing(self.path) as temporary, temporary.open("wb") as file:
            file.write(whole.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        self.saved = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self.saved >= EVERY


@contextmanager
def checkpoint(name: str, decisive: dict[str, Any], inputs: list[Path], hardware: Hardware) -> Iterator[Checkpoint]:
    """Hold the checkpoint of a training, which no other process can meanwhile; when the block succeeds it goes.

    Its name is made of `decisive`, the bytes of `inputs`, the project's code and where the arithmetic runs: another
    training never goes on from it. Of several processes that train together the first holds it.

    Raises InputError where one of them would train on something else than the first.
    """
    folder = cache_folder() / "checkpoints"
    facts = _facts(decisive, inputs)
    check_same(facts)
    path = folder / f"{name}-{_fingerprint({**facts, 'hardware': str(hardware)})}.pt"
    if rank():
        yield Checkpoint(path)
        return
    with cache_errors():
        folder.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), f"{name}: waiting for another process that trains the very same"):
        for half in folder.glob(f".{path.name}.*.tmp"):  # of a process that was killed while it saved
            half.unlink()
        if not path.exists() and _others(folder, name):
            say(f"{name}: starting afresh; a checkpoint of other params, inputs or code is left alone")
        yield Checkpoint(path)
        path.unlink(missing_ok=True)
        # The lock file stays: another process may be waiting for it, and a third would make a new one


def _facts(decisive: dict[str, Any], inputs: list[Path]) -> dict[str, Any]:
    code = {
        name: hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()
        for name, module in sorted(sys.modules.items())
        if name.startswith("stages.") and getattr(module, "__file__", None)
    }
    return {"params": decisive, "inputs": [_hash(path) for path in inputs], "code": code, "torch": torch.__version__}


def _fingerprint(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _others(folder: Path, name: str) -> list[Path]:
    """Checkpoints of this name that no process is training on; those that are too old are deleted on the way."""
    left = []
    for path in folder.glob(f"{name}-*.pt"):
        lock = FileLock(path.with_suffix(".lock"))
        with suppress(Timeout, FileNotFoundError), lock.acquire(timeout=0):  # in use, or just done with
            if time.time() - path.stat().st_mtime > KEPT:
                path.unlink()
            else:
                left.append(path)
    return left
