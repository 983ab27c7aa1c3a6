"""The stages of the reviews, killed again and again at random: they end with the bytes of a run that nobody killed.

uv run pytest tests/faults/test_campaign.py --kills 30 -n 0 -s
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.project import TO_EVALUATE, Project, clocked, files, outs

LONGEST = 8.0  # seconds to a kill; the slowest stage takes less, so that each round gets further
GROUP, DVC_ALONE = "dvc and its stage", "dvc alone"
CHANGE = {"train_textcnn.seed": 1, "train_textcnn.epochs": 60}


def start(project: Project, *command: str) -> subprocess.Popen[bytes]:
    log = (project.folder.parent / "log.txt").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *command],
        cwd=project.folder,
        env=project.environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes], whom: str) -> None:
    if whom == GROUP:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def orphans(folder: Path) -> list[int]:
    """Processes of stages that run in `folder` or below: of a dvc that was killed, or of its queue."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink().is_relative_to(folder) and b"stages." in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # gone meanwhile
    return found


def same_results(one: Project, other: Project, *stages: str) -> None:
    paths = outs(*stages)
    mine, theirs = (files(project.folder, *paths) for project in (one, other))
    assert mine.keys() == theirs.keys()
    for path, content in theirs.items():
        if not clocked(path):
            assert mine[path] == content, path


@pytest.mark.timeout(7200)  # 30 kills take a quarter of an hour
@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")
def test_a_pipeline_that_is_killed_ends_as_one_that_was_not(
    ready: Project, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = request.config.getoption("--kills")
    chance = random.Random(kills)
    cache = tmp_path / "cache"
    project, done, rounds, locks, busy = None, 0, 0, 0, 0
    killed = False
    while done < kills or project is not None:
        if project is None:
            rounds += 1
            project = ready.clone(tmp_path / f"round{rounds}" / "project", "HEAD~1")
            project.environment = project.environment | {"SENTIDOG_CACHE": str(cache)}
        said = project.folder.parent / "log.txt"
        before = len(said.read_text()) if said.exists() else 0
        process = start(project, "repro", "evaluate")
        try:
            process.wait(chance.uniform(0.2, LONGEST) if done < kills else 600)
        except subprocess.TimeoutExpired:
            assert done < kills, said.read_text()
            kill(process, (GROUP, DVC_ALONE)[done % 2])
            done, killed = done + 1, True
            continue
        if process.returncode and killed and "dvc.lock' " in said.read_text()[before:]:
            # DVC writes its lock file in place: a kill in that moment leaves half of it, and this is the way out
            project.git("checkout", "dvc.lock")
            locks, killed = locks + 1, False
            continue
        if process.returncode and killed and "Directory not empty" in said.read_text()[before:]:
            # DVC clears a folder away in which the training goes on that its killed forerunner had started
            busy, killed = busy + 1, False
            continue
        assert process.returncode == 0, said.read_text()
        while orphans(project.folder):
            time.sleep(0.1)
        same_results(project, ready, *TO_EVALUATE)
        assert project.repro("evaluate") == []
        assert not list((cache / "checkpoints").glob("[!.]*.pt"))
        assert not [path for path in project.folder.rglob("*.tmp") if ".dvc" not in path.parts]
        project = None
    print(f"{done} kills, {rounds} pipelines, {locks} half-written dvc.lock, {busy} folders not empty, nothing lost")


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")
def test_a_killed_experiment_of_the_queue_goes_on_and_ends_with_the_same_bytes(ready: Project, tmp_path: Path) -> None:
    unharmed = _with_results(ready, tmp_path / "unharmed/project", tmp_path / "unharmed/cache")
    unharmed.edit(CHANGE)
    assert unharmed.repro("train_textcnn") == ["train_textcnn"]
    project = _with_results(ready, tmp_path / "project", tmp_path / "cache")
    values = [f"-S{key}={value}" for key, value in CHANGE.items()]
    checkpoints = tmp_path / "cache/checkpoints"

    def queue(name: str) -> subprocess.Popen[bytes]:
        project.dvc("exp", "run", "--queue", "--name", name, *values, "train_textcnn")
        return start(project, "queue", "start")  # which ends only after the training has begun

    def wait_for(state: str) -> None:
        while state not in (said := project.dvc("queue", "status")):
            assert not {"Success", "Failed"} & set(said.split()), said
            # In case that the worker of before ended as the next was to take this on. No pipe, which workers would hold
            assert start(project, "queue", "start").wait() == 0

    try:
        starting = queue("killed")
        while not list(checkpoints.glob("textcnn-*.pt")):
            assert not starting.poll(), (tmp_path / "log.txt").read_text()
            time.sleep(0.02)
        for process in orphans(project.folder):  # the training, and where it stays its shell
            os.kill(process, signal.SIGKILL)
        assert starting.wait() == 0
        wait_for("Failed")
        project.dvc("queue", "remove", "--failed")
        assert queue("later").wait() == 0
        wait_for("Success")
    finally:
        project.run(sys.executable, "-m", "dvc", "queue", "stop", "--kill")
    assert "going on from a checkpoint: epoch " in project.dvc("queue", "logs", "later")
    project.dvc("exp", "apply", "later")
    same_results(project, unharmed, "train_textcnn")
    assert not list(checkpoints.glob("[!.]*.pt"))


def _with_results(ready: Project, folder: Path, cache: Path) -> Project:
    """A clone of `ready` with all its results and a download cache of its own."""
    project = ready.clone(folder)
    project.environment = project.environment | {"SENTIDOG_CACHE": str(cache)}
    # With the run cache: --temp checks nothing out, and without it every stage would run
    shutil.copytree(ready.folder / ".dvc/cache", project.folder / ".dvc/cache")
    project.dvc("checkout", "-q")
    return project
