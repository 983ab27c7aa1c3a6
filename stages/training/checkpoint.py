"""Save and restore training state. A checkpoint's path is a hash of everything that determines the result.

Checkpoints are kept outside the project, so that they outlive `dvc exp run --temp`.
"""

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from stages.core.cache import cache_errors, cache_folder, locked, log, running_code
from stages.core.files import replacing
from stages.inference.device import Hardware
from stages.training.distributed import broadcast, check_same

SAVE_INTERVAL = 60.0  # seconds between two checkpoints inside an epoch
MAX_AGE = 14 * 24 * 3600.0  # seconds after which an unused checkpoint is deleted


class Checkpoint:
    """The file with the state of one training. Process 0 reads and writes it."""

    def __init__(self, path: Path, hardware: Hardware) -> None:
        self.path = path
        self.hardware = hardware
        self.saved_at = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the state, with tensors on the CPU, or None if there is none. A damaged file is renamed."""
        return broadcast(self._load() if self.hardware.rank == 0 else None)

    def _load(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as problem:  # a damaged file can raise anything
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            log(f"a damaged checkpoint was set aside as {aside} ({problem}); starting afresh")
            return None

    def save(self, state: dict[str, Any]) -> None:
        """Write `state` atomically."""
        self.saved_at = time.monotonic()
        if self.hardware.rank:
            return
        buffer = io.BytesIO()  # written to a file, torch.save would turn the OSError of a full disk into another error
        torch.save(state, buffer)
        with cache_errors(), replacing(self.path) as temporary, temporary.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        self.saved_at = time.monotonic()  # again, so that the interval does not include the time of a slow disk

    def is_due(self) -> bool:
        return time.monotonic() - self.saved_at >= SAVE_INTERVAL


@contextmanager
def checkpoint(name: str, settings: dict[str, Any], inputs: list[Path], hardware: Hardware) -> Iterator[Checkpoint]:
    """Yield the checkpoint of one training, locked against other processes; delete it when the block succeeds.

    Its key is a hash of `settings`, the bytes of `inputs`, the running code and the hardware.

    Raises InputError if one of several processes has other settings, inputs or code than process 0.
    """
    folder = cache_folder() / "checkpoints"
    facts = {"params": settings, "inputs": [_hash(path) for path in inputs], "code": running_code()}
    check_same(facts)
    path = folder / f"{name}-{_key({**facts, 'hardware': str(hardware)})}.pt"
    if hardware.rank:
        yield Checkpoint(path, hardware)
        return
    with cache_errors():
        folder.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), f"{name}: waiting for another process that trains the very same"):
        for partial in folder.glob(f".{path.name}.*.tmp"):  # of a process that was killed while it saved
            partial.unlink()
        if not path.exists() and _others(folder, name):
            log(f"{name}: starting afresh; a checkpoint of other params, inputs or code is left alone")
        yield Checkpoint(path, hardware)
        path.unlink(missing_ok=True)
        # The lock file stays: another process may be waiting for it, and a third would make a new one


def _key(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _others(folder: Path, name: str) -> list[Path]:
    """Return this stage's other checkpoints that no process uses; delete those that are too old."""
    left = []
    for path in folder.glob(f"{name}-*.pt"):
        lock = FileLock(path.with_suffix(".lock"))
        with suppress(Timeout, FileNotFoundError), lock.acquire(timeout=0):  # in use, or just deleted
            if time.time() - path.stat().st_mtime > MAX_AGE:
                path.unlink()
            else:
                left.append(path)
    return left
