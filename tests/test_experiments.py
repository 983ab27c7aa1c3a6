"""Experiments by the real `dvc`: a grid in the queue, what is shown of it, and results that a second clone gets."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
import yaml

from tests.project import STAGES, Project, files, outs, ran

GRID = ("-S", "train_textcnn.lr=0.002,0.004", "evaluate")
TIMEOUT = 600  # seconds for the queue


class Queue(NamedTuple):
    project: Project
    before: dict[str, bytes]  # what the workspace held
    names: list[str]


def shown(project: Project) -> dict[str, dict[str, Any]]:
    """The experiments by name: state, params and metrics of each."""
    table = json.loads(project.dvc("exp", "show", "--json"))
    return {entry["name"]: entry["revs"][0]["data"] for commit in table for entry in commit["experiments"] or []}


@pytest.fixture(scope="module")
def queue(ready: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """A grid of two, run both at a time in the queue of a clone that has pulled all results."""
    folder = tmp_path_factory.mktemp("queue")
    ready.dvc("remote", "add", "--local", "-d", "-f", "shelf", str(folder / "shelf"))
    ready.dvc("push", "-q")
    project = ready.clone(folder / "project")
    project.dvc("remote", "add", "--local", "-d", "shelf", str(folder / "shelf"))
    project.dvc("pull", "-q")
    before = files(project.folder, "params.yaml", "dvc.lock", "dvc.yaml", *outs(*STAGES))
    project.dvc("exp", "run", "--queue", *GRID)
    waiting = [name for name, entry in shown(project).items() if entry["params"]]
    assert len(waiting) == 2
    command = [sys.executable, "-m", "dvc", "queue", "start", "-j", "2"]
    # No pipe: the workers inherit it. Now and then one of two that end at once stays, and would hold it open
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    starting = subprocess.Popen(command, cwd=project.folder, env=project.environment, start_new_session=True, **quiet)
    deadline = time.monotonic() + TIMEOUT
    assert starting.wait(TIMEOUT) == 0
    while not {"Queued", "Preparing", "Running"}.isdisjoint(project.dvc("queue", "status").split()):
        assert time.monotonic() < deadline
        time.sleep(3)
    yield Queue(project, before, waiting)
    project.run(sys.executable, "-m", "dvc", "queue", "stop", "--kill")
    with suppress(ProcessLookupError):
        os.killpg(starting.pid, signal.SIGKILL)


def test_each_point_of_the_grid_is_an_experiment_with_its_own_results(queue: Queue) -> None:
    found = shown(queue.project)
    assert sorted(found) == sorted(queue.names)
    points, figures = set(), set()
    for entry in found.values():
        section = entry["params"]["params.yaml"]["data"]["train_textcnn"]
        points.add(section["lr"])
        textcnn, birnn = (entry["metrics"][f"artifacts/metrics/{name}.json"]["data"] for name in ("textcnn", "birnn"))
        figures.add((textcnn["loss"], birnn["loss"]))
    assert points == {0.002, 0.004}
    assert len(figures) == 2
    assert len({birnn for _, birnn in figures}) == 1


def test_the_workspace_is_left_alone(queue: Queue) -> None:
    project = queue.project
    assert project.changed() == set()
    assert files(project.folder, "params.yaml", "dvc.lock", "dvc.yaml", *outs(*STAGES)) == queue.before


def test_the_log_of_an_experiment_is_lines_that_can_be_read(queue: Queue) -> None:
    for name in queue.names:
        log = queue.project.dvc("queue", "logs", name)
        assert ran(log) == ["train_textcnn", "evaluate"]
        assert "epoch 1, loss " in log
        assert "\r" not in log
        assert "\x1b" not in log


def test_two_experiments_are_compared(queue: Queue) -> None:
    diff = json.loads(queue.project.dvc("exp", "diff", "--json", *queue.names))
    assert diff["params"]["params.yaml"].keys() == {"train_textcnn.lr"}
    assert diff["metrics"].keys() == {f"artifacts/metrics/{name}.json" for name in ("textcnn", "ensemble")}
    assert "loss" in diff["metrics"]["artifacts/metrics/textcnn.json"]


def test_an_experiment_is_applied_branched_and_kept_by_gc(queue: Queue) -> None:
    project, name = queue.project, queue.names[0]
    expected = shown(project)[name]
    project.dvc("exp", "branch", name, "better")
    assert "better" in project.git("branch")
    project.dvc("exp", "apply", name)
    params = yaml.safe_load((project.folder / "params.yaml").read_text(encoding="utf-8"))
    assert params["train_textcnn"] == expected["params"]["params.yaml"]["data"]["train_textcnn"]
    model = (project.folder / "artifacts/textcnn/model.safetensors").read_bytes()
    assert model != queue.before["artifacts/textcnn/model.safetensors"]
    assert project.repro("evaluate") == []
    project.dvc("exp", "remove", *queue.names[1:])
    project.restore()
    project.dvc("gc", "--workspace", "--all-experiments", "--force")
    project.dvc("exp", "apply", name)
    assert (project.folder / "artifacts/textcnn/model.safetensors").read_bytes() == model
    project.restore()
    assert files(project.folder, *outs(*STAGES)) == {
        path: content for path, content in queue.before.items() if path.startswith(("data/", "artifacts/"))
    }
