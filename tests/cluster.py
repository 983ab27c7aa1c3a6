"""A scheduler of Dask's and its workers, on loopback, and work for them that tests can watch."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from stages.core.files import InputError, read_row_groups

ROOT = Path(__file__).parents[1]


class Cluster:
    """Processes that end with `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self._start("scheduler", "--port", "0", "--scheduler-file", str(file))
        while not file.is_file() or not file.stat().st_size:
            assert self.processes[0].poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        self.address: str = json.loads(file.read_text())["address"]

    def _start(self, role: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", "--host", "127.0.0.1", "--no-dashboard"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *options], cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self.processes.append(process)
        return process

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start one that nobody starts again."""
        return self._start("worker", self.address, "--nthreads", "1", "--no-nanny")

    def wait_for(self, workers: int) -> None:
        """Wait until so many are there."""
        from distributed import Client  # here: workers that import their work from this file need none of it

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, 60)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def numbers(path: Path, group: int) -> list[int]:
    (table,) = read_row_groups(path, ["number"], [group])
    return table["number"].to_pylist()


def process_id(path: Path, group: int) -> int:
    return os.getpid()


def refuse_the_third(path: Path, group: int) -> int:
    if group == 2:
        raise InputError(f"{path.name}, group {group}: not a number")
    return group


def die_at_the_third(path: Path, group: int) -> int:
    if group == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return group


def numbers_slowly(path: Path, group: int, *, folder: Path) -> list[int]:
    """Leave a file of this process's id at the start, then take a while."""
    (folder / str(os.getpid())).touch()
    time.sleep(0.3)
    return numbers(path, group)


def busy(path: Path, group: int) -> None:
    """Take half a second of a core."""
    end = time.process_time() + 0.5
    while time.process_time() < end:
        pass


def sleep_long(path: Path, group: int, *, folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(300)
