"""A disk that takes no more while a stage writes: one error that names the file, nothing half-written, nothing lost."""

import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.project import STAGES, TO_TEXTCNN, Project, arguments, clocked, files, is_inside, outs


def run_stage(project: Project, name: str, folder: Path, limit: int) -> subprocess.CompletedProcess[str]:
    """Run a stage by itself, its outs in `folder`; no file may grow beyond `limit` bytes."""
    here = outs(name)
    paths = [
        str(folder / path) if path != "artifacts" and any(is_inside(out, path) for out in here) else path
        for path in arguments(name)
    ]
    return subprocess.run(
        [sys.executable, "-m", f"stages.{name}", *paths],
        cwd=project.folder,
        # No bytecode: Python 3.11 takes a .pyc that the limit cut short for a whole one, and everyone's imports fail
        env=project.environment | {"SENTIDOG_CACHE": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )


@pytest.mark.parametrize("name", STAGES)
def test_a_file_that_cannot_grow_is_named_and_leaves_no_half(ready: Project, tmp_path: Path, name: str) -> None:
    whole = files(ready.folder, *outs(name))
    largest = max(whole, key=lambda path: len(whole[path]))
    done = run_stage(ready, name, tmp_path, len(whole[largest]) // 2)
    assert done.returncode == 1
    said = re.search(r"^error: (\S+): .*File too large$", done.stderr, re.MULTILINE)
    assert said, done.stderr
    assert Path(said[1]).is_relative_to(tmp_path)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / largest).exists()
    assert list(tmp_path.rglob("*.tmp")) == []
    for path, content in files(tmp_path, *outs(name)).items():
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
        assert "No space left on device" in said
        assert "Traceback" not in said
        size = size * 11 // 10
        assert size < 1 << 30, said
        small_disk(size)
    assert failures > 1
    every = outs(*TO_TEXTCNN)
    assert {path: content for path, content in files(project.folder, *every).items() if not clocked(path)} == {
        path: content for path, content in files(ready.folder, *every).items() if not clocked(path)
    }
