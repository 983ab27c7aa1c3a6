"""A disk that takes no more while a stage writes: one error that names the file, nothing half-written, nothing lost."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.project import STAGES, TO_TEXTCNN, Project, arguments, clocked, files, is_inside, outs

# Each stage with its arguments and the size beyond which no file may grow; prints with what it ends
RUN = """
import json, resource, sys
from importlib import import_module
from stages.core.cli import run

endings = {}
for name, paths, limit in json.loads(sys.argv[1]):
    main = import_module(f"stages.{name}").main
    sys.argv[1:] = paths
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        run(main)
    except SystemExit as end:
        endings[name] = end.code
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps(endings))
"""


@pytest.fixture(scope="module")
def small(ready: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with what the stages write if no file may have half the size of their largest; their messages."""
    folder = tmp_path_factory.mktemp("small")
    jobs = []
    for name in STAGES:
        here, limit = outs(name), len(largest(ready, name)[1]) // 2
        is_out = [path != "artifacts" and any(is_inside(out, path) for out in here) for path in arguments(name)]
        paths = [str(folder / path) if out else path for path, out in zip(arguments(name), is_out, strict=True)]
        jobs.append([name, paths, limit])
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(jobs)],
        cwd=ready.folder,
        # No bytecode: Python 3.11 takes a .pyc that the limit cut short for a whole one, and everyone's imports fail
        env=ready.environment | {"SENTIDOG_CACHE": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def largest(project: Project, stage: str) -> tuple[str, bytes]:
    """The largest file that the stage writes: its path and content."""
    return max(files(project.folder, *outs(stage)).items(), key=lambda item: len(item[1]))


@pytest.mark.parametrize("name", STAGES)
def test_a_file_that_cannot_grow_is_named_and_leaves_no_half(
    ready: Project, small: tuple[Path, dict[str, str]], name: str
) -> None:
    folder, endings = small
    said = re.match(r"error: (\S+): .*File too large$", endings[name], re.MULTILINE)
    assert said, endings[name]
    assert Path(said[1]).is_relative_to(folder)
    assert not (folder / largest(ready, name)[0]).exists()
    assert list(folder.rglob("*.tmp")) == []
    whole = files(ready.folder, *outs(name))
    for path, content in files(folder, *outs(name)).items():
        if not _grows(path):
            assert content == whole[path], path


def _grows(path: str) -> bool:
    """Whether it gets a row with each epoch; DVC takes none of a failed stage's outs."""
    return path.endswith("/curves.csv")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A disk of its own for a test, of so many bytes; a second call changes its size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(size: int) -> Path:
        again = "remount," if folder.is_mount() else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{again}size={size}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as problem:
            pytest.skip(f"only root can mount a small disk here ({problem})")
        return folder

    yield sized
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


def test_a_pipeline_that_fills_the_disk_ends_as_ever_once_there_is_room(
    ready: Project, small_disk: Callable[[int], Path]
) -> None:
    size = 6 << 20
    disk = small_disk(size)
    project = ready.clone(disk / "project", "HEAD~1")
    # On a full disk Python leaves half of a module's bytecode and fails on it ever after, whatever the module
    project.environment = project.environment | {"PYTHONDONTWRITEBYTECODE": "1"}
    failures = 0
    # From the archives to one model: each stage by itself is above
    while (done := project.run(sys.executable, "-m", "dvc", "repro", "train_textcnn")).returncode:
        failures += 1
        said = done.stdout + done.stderr
        # The others are SQLite's, and DVC's where no copy of an output fits
        assert re.search("No space left on device|disk is full|No possible cache link types", said), said
        assert "Traceback" not in said
        size = size * 11 // 10
        assert size < 1 << 30, said
        small_disk(size)
    assert failures > 1
    every = outs(*TO_TEXTCNN)
    assert {path: content for path, content in files(project.folder, *every).items() if not clocked(path)} == {
        path: content for path, content in files(ready.folder, *every).items() if not clocked(path)
    }
