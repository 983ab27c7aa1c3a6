"""Where work on row groups is done: in this process, by workers of this machine or of a cluster. The results are the same.

A worker gets a function, a path and a row group's number, and reads the row group itself: of a cluster, each machine
sees the same files under the same paths, and runs a copy of this project.
"""

import importlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from stages.core.files import InputError, row_groups

R = TypeVar("R")

FEW = 16  # row groups that are done before a worker of this machine has started
AHEAD = 4  # results per worker that wait in memory, at most
PATIENCE = 10  # seconds for a scheduler to answer


class Engine(Protocol):
    """The keys of params.yaml that this module reads."""

    @property
    def backend(self) -> str: ...
    @property
    def workers(self) -> int | None: ...
    @property
    def address(self) -> str | None: ...


def each_row_group(path: Path, work: Callable[[Path, int], R], engine: Engine) -> Iterator[R]:
    """Yield work(path, number) of each row group of a table, in their order, few at a time.

    Raises InputError as `work` does, and if the workers are not there or end before their work does.
    """
    groups, path = range(row_groups(path)), path.resolve()
    if engine.backend == "loky" and (engine.workers == 1 or len(groups) <= FEW):
        yield from (work(path, group) for group in groups)
        return
    import joblib  # here: few row groups need none of it

    with _explained(engine), _backend(engine), joblib.Parallel(batch_size=1, max_nbytes=None) as workers:
        ahead = AHEAD * joblib.effective_n_jobs(None)
        for start in groups[::ahead]:
            yield from workers(joblib.delayed(work)(path, group) for group in groups[start : start + ahead])


@contextmanager
def _backend(engine: Engine) -> Iterator[None]:
    """Let joblib work there."""
    import joblib

    if engine.backend == "loky":
        with joblib.parallel_config("loky", n_jobs=engine.workers or -1):
            yield
        return
    try:
        dask = importlib.import_module("distributed")
    except ImportError as problem:
        raise InputError("engine.backend is dask, which is not installed; uv sync --extra cluster") from problem
    try:
        # A look first: Dask waits for a port that nobody opens
        socket.create_connection(dask.comm.get_address_host_port(engine.address), PATIENCE).close()
        client = dask.Client(engine.address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, OverflowError) as problem:
        raise InputError(
            f"engine.address: no scheduler answers at {engine.address} ({problem}); start one, or engine.backend: loky"
        ) from problem
    with client, joblib.parallel_config("dask", client=client, wait_for_workers_timeout=PATIENCE):
        yield


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Raises InputError if it is the workers that fail, not their work."""
    try:
        yield
    except BrokenProcessPool as problem:
        raise InputError("a worker was killed, which a full memory does; try fewer: engine.workers") from problem
