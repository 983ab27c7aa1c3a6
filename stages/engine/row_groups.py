"""Run a function on each row group of a table: in this process, by workers of this machine, or by a Dask cluster.

The results are the same. A worker gets a function, a path and a row group's number, and reads the row group itself.
Each machine of a cluster must see the same files under the same paths, and have a copy of this project.
"""

import importlib
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stages.core import cli
from stages.core.files import InputError, row_groups

if TYPE_CHECKING:
    from stages.config.params import Engine

R = TypeVar("R")
Submit = Callable[..., Callable[[], Any]]  # (function, arguments…) -> a function that waits for the result

INLINE_LIMIT = 16  # row groups; up to so many are processed here, because starting workers would take longer
AHEAD = 2  # row groups per worker that are in progress or wait in memory; with more, loky hangs when it is stopped
CONNECT_TIMEOUT = 10  # seconds to wait for a scheduler, and then for its first worker
RESULT_TIMEOUT = 60  # seconds to wait for a result before checking that any worker is left


def each_row_group(
    path: Path, work: Callable[[Path, int], R], engine: "Engine", inline_limit: int | None = None
) -> Iterator[R]:
    """Yield work(path, number) for each row group of a table, in order, with few results in memory.

    A table of at most `inline_limit` row groups, by default INLINE_LIMIT, is processed in this process.

    Raises InputError as `work` does, and if there are no workers, or all of them end before the work is done.
    """
    groups, path = range(row_groups(path)), path.resolve()
    if engine.backend == "loky" and (engine.workers == 1 or len(groups) <= (inline_limit or INLINE_LIMIT)):
        yield from (work(path, group) for group in groups)
        return
    with (_on_this_machine if engine.backend == "loky" else _on_a_cluster)(engine) as (submit, workers):
        results: deque[Callable[[], R]] = deque()
        for group in groups:
            results.append(submit(work, path, group))
            if len(results) >= AHEAD * workers:
                yield results.popleft()()
        while results:
            yield results.popleft()()


# Not joblib.Parallel (1.6): it waits forever for a task that a cluster has given up, and takes a cluster of one core
# for an empty one. The executors below are those that joblib itself uses.


@contextmanager
def _on_this_machine(engine: "Engine") -> Iterator[tuple[Submit, int]]:
    from joblib import cpu_count  # imported here: small tables do not need it
    from joblib.externals.loky import get_reusable_executor

    workers = engine.workers or cpu_count()
    executor = get_reusable_executor(workers, env={"OMP_NUM_THREADS": "1"})  # one core per worker
    cli.ending.callback(_shut_down, executor)
    try:
        yield lambda *work: executor.submit(*work).result, workers
    except BrokenProcessPool as problem:
        raise InputError("a worker was killed, which a full memory does; try fewer: engine.workers") from problem
    except (KeyboardInterrupt, GeneratorExit):  # after any other error the workers end by themselves
        _shut_down(executor, kill_workers=True)
        raise


def _shut_down(executor: Any, kill_workers: bool = False) -> None:
    executor.shutdown(kill_workers=kill_workers)
    # loky does not wait for this thread. If Python ends while the thread holds a semaphore, a warning is printed
    for thread in threading.enumerate():
        if thread.name == "QueueFeederThread":
            thread.join(1)


@contextmanager
def _on_a_cluster(engine: "Engine") -> Iterator[tuple[Submit, int]]:
    place = engine.address
    try:
        dask = importlib.import_module("distributed")
    except ImportError as problem:
        raise InputError("engine.backend is dask, which is not installed; uv sync --extra cluster") from problem
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # the errors below say the same
    try:
        # Try the port first: Dask would retry a closed one forever
        socket.create_connection(dask.comm.get_address_host_port(place), CONNECT_TIMEOUT).close()
        client = dask.Client(place, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, OverflowError) as problem:
        raise InputError(
            f"engine.address: no scheduler answers at {place} ({problem}); start one, or engine.backend: loky"
        ) from problem
    with client:
        _wait_for_a_worker(client)
        yield lambda *work: partial(_result, client.submit(*work, pure=False), dask), sum(client.ncores().values())


def _wait_for_a_worker(client: Any) -> None:
    try:
        client.wait_for_workers(1, CONNECT_TIMEOUT)
    except TimeoutError as problem:
        place = client.scheduler.address
        raise InputError(f"no worker of {place} was there in {CONNECT_TIMEOUT} seconds; start some") from problem


def _result(future: Any, dask: Any) -> Any:
    """Wait for a result as long as there are workers. Without workers, Dask itself would wait forever."""
    place = future.client.scheduler.address
    while True:
        try:
            return future.result(RESULT_TIMEOUT)
        except InputError as problem:
            raise InputError(f"{problem}\n(from a worker of {place}; it needs the same files)") from problem
        except TimeoutError:
            if future.status == "error":  # raised by the work itself, such as by a file system that does not answer
                raise
            _wait_for_a_worker(future.client)
        except dask.KilledWorker as problem:
            raise InputError(f"the workers of {place} were killed one after the other: {problem}") from problem
        except RuntimeError as problem:
            if not isinstance(problem.__cause__, ImportError):
                raise
            raise InputError(f"a worker of {place}: {problem.__cause__}; it needs a copy of this project") from problem
        except CancelledError as problem:
            raise InputError(f"the scheduler at {place} has gone; start it, then the same command") from problem
