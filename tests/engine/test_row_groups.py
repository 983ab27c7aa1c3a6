"""The same results in this process, from workers of this machine and of a cluster; one error where these fail."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import pyarrow as pa
import pytest

from stages.core import cli
from stages.core.files import InputError, write_table
from stages.engine import row_groups as engine
from stages.engine.row_groups import each_row_group
from tests import cluster
from tests.cluster import Cluster

GROUPS = 20
NUMBERS = [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(GROUPS)]


class Settings(NamedTuple):
    backend: str = "loky"
    workers: int | None = None
    address: str | None = None


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "numbers.parquet"
    write_table(path, pa.table({"number": range(3 * GROUPS)}), 3)
    return path


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_row_groups(table: Path, workers: int) -> None:
    assert list(each_row_group(table, cluster.numbers, Settings(workers=workers))) == NUMBERS


def test_results_of_a_cluster_are_the_same(table: Path, dask: Cluster) -> None:
    found = list(each_row_group(table, cluster.numbers, Settings("dask", address=dask.address)))
    assert found == NUMBERS


def test_many_row_groups_are_shared_out_and_few_or_one_workers_are_not(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(each_row_group(table, cluster.process_id, Settings(workers=1))) == {os.getpid()}
    assert os.getpid() not in set(each_row_group(table, cluster.process_id, Settings(workers=2)))
    monkeypatch.setattr(engine, "INLINE_LIMIT", GROUPS)
    assert set(each_row_group(table, cluster.process_id, Settings(workers=2))) == {os.getpid()}


def test_few_row_groups_do_not_even_load_the_engine(table: Path) -> None:
    code = (
        "import sys, pathlib, types; "
        "from stages.engine import row_groups as engine; from tests.cluster import numbers; "
        f"engine.INLINE_LIMIT = {GROUPS}; settings = types.SimpleNamespace(backend='loky', workers=None); "
        f"assert len(list(engine.each_row_group(pathlib.Path({str(table)!r}), numbers, settings))) == {GROUPS}; "
        "sys.exit('joblib' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=cluster.ROOT, check=True)


def test_the_seconds_of_workers_count_in_a_scripts_cost(tmp_path: Path) -> None:
    write_table(tmp_path / "table", pa.table({"number": range(2)}), 1)
    before = cli.cost()["cpu_seconds"]
    list(each_row_group(tmp_path / "table", cluster.busy, Settings(workers=2), inline_limit=1))
    cli.ending.close()
    assert cli.cost()["cpu_seconds"] - before >= 1


def test_a_cluster_is_asked_for_few_row_groups_too(table: Path, dask: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "INLINE_LIMIT", GROUPS)
    assert os.getpid() not in set(each_row_group(table, cluster.process_id, Settings("dask", address=dask.address)))


def test_only_a_few_results_wait(table: Path) -> None:
    results = each_row_group(table, cluster.numbers, Settings(workers=1))
    assert next(results) == NUMBERS[0]
    done: list[int] = []
    next(each_row_group(table, lambda _, group: done.append(group), Settings(workers=1)))
    assert done == [0]


def test_an_empty_table_has_no_results(tmp_path: Path) -> None:
    write_table(tmp_path / "empty.parquet", pa.table({"number": pa.array([], pa.int64())}))
    assert list(each_row_group(tmp_path / "empty.parquet", cluster.numbers, Settings())) == [[]]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_works_own_error_comes_out_as_it_is(table: Path, workers: int) -> None:
    with pytest.raises(InputError, match=r"^numbers\.parquet, group 2: not a number$"):
        list(each_row_group(table, cluster.refuse_the_third, Settings(workers=workers)))


def test_the_works_own_error_on_a_cluster_says_so(table: Path, dask: Cluster) -> None:
    said = r"^numbers\.parquet, group 2: not a number\n\(from a worker of tcp://.*; it needs the same files\)$"
    with pytest.raises(InputError, match=said):
        list(each_row_group(table, cluster.refuse_the_third, Settings("dask", address=dask.address)))


def test_a_worker_that_a_full_memory_kills_is_one_error(table: Path) -> None:
    with pytest.raises(InputError, match=r"a worker was killed.*engine\.workers"):
        list(each_row_group(table, cluster.die_at_the_third, Settings(workers=2)))


def test_a_cluster_goes_on_without_a_worker_that_was_killed(table: Path, dask: Cluster, tmp_path: Path) -> None:
    victim = dask.start_worker()

    def kill_at_work() -> None:
        while not (tmp_path / str(victim.pid)).exists():
            time.sleep(0.01)
        time.sleep(0.1)  # in the midst of its first piece of work
        victim.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_at_work)
    killer.start()
    work = partial(cluster.numbers_slowly, folder=tmp_path)
    dask.wait_for(3)
    found = list(each_row_group(table, work, Settings("dask", address=dask.address)))
    killer.join()
    assert victim.wait() == -signal.SIGKILL
    assert found == NUMBERS


@pytest.mark.parametrize(
    ("workers", "forgiven", "said"),
    [
        (4, 0, "the workers of {} were killed one after the other: "),  # Dask gives such work up
        (2, 3, "no worker of {} was there in 1 seconds"),  # and left without a worker it would wait for ever
    ],
)
def test_work_that_kills_every_worker_is_one_error(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, forgiven: int, said: str
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", str(forgiven))
    doomed = Cluster(tmp_path)
    try:
        for _ in range(workers):
            doomed.start_worker()
        doomed.wait_for(workers)
        monkeypatch.setattr(engine, "CONNECT_TIMEOUT", 1)
        monkeypatch.setattr(engine, "RESULT_TIMEOUT", 1)
        with pytest.raises(InputError, match=f"^{said.format(doomed.address)}"):
            list(each_row_group(table, cluster.die_at_the_third, Settings("dask", address=doomed.address)))
    finally:
        doomed.stop()


def test_a_worker_without_the_project_is_one_error(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ROOT", tmp_path)
    (tmp_path / "tests").mkdir()  # found before this project's, which may be installed
    (tmp_path / "tests/__init__.py").touch()
    strange = Cluster(tmp_path)
    try:
        strange.start_worker()
        strange.wait_for(1)
        with pytest.raises(InputError, match=r"No module named 'tests\.cluster'; it needs a copy of this project"):
            list(each_row_group(table, cluster.numbers, Settings("dask", address=strange.address)))
    finally:
        strange.stop()


@pytest.mark.parametrize("whole_group", [True, False])
def test_ctrl_c_ends_the_workers(table: Path, tmp_path: Path, whole_group: bool) -> None:
    code = (
        "import functools, pathlib, signal, types; from stages.core import cli; "
        "from stages.engine import row_groups as engine; from tests.cluster import sleep_long; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # a background job inherits that it is ignored
        f"settings = types.SimpleNamespace(backend='loky', workers=2); folder = pathlib.Path({str(tmp_path)!r}); "
        f"work = functools.partial(sleep_long, folder=folder); table = pathlib.Path({str(table)!r})\n"
        "with cli.exit_on_error(): list(engine.each_row_group(table, work, settings))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=cluster.ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while len(started := [int(path.name) for path in tmp_path.iterdir()]) < 2:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT) if whole_group else process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr
    assert process.stderr.read() == ""
    for worker in started:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(worker).wait(10)


def free_port() -> int:
    with socket.socket() as at:
        at.bind(("127.0.0.1", 0))
        return at.getsockname()[1]


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{port}", "nonsense", "tcp://127.0.0.1:99999"])
def test_a_scheduler_that_is_not_there_is_one_error(table: Path, address: str) -> None:
    address = address.format(port=free_port())
    start = time.monotonic()
    with pytest.raises(InputError, match=rf"^engine\.address: no scheduler answers at {address} \(.*\); start one"):
        list(each_row_group(table, cluster.numbers, Settings("dask", address=address)))
    assert time.monotonic() - start < engine.CONNECT_TIMEOUT


def test_a_scheduler_without_workers_is_one_error(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_TIMEOUT", 1)
    alone = Cluster(tmp_path)
    try:
        with pytest.raises(InputError, match=rf"no worker of {alone.address} was there in 1 seconds"):
            list(each_row_group(table, cluster.numbers, Settings("dask", address=alone.address)))
    finally:
        alone.stop()


def test_a_backend_that_is_not_installed_is_one_error(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"dask, which is not installed; uv sync --extra cluster"):
        list(each_row_group(table, cluster.numbers, Settings("dask", address="tcp://127.0.0.1:1")))
