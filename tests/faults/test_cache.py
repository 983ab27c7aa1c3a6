"""DVC's cache and lock, and outputs, after they were damaged: `dvc repro` ends with what was there before."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import STAGES, Project, cached, clocked, files, outs

MODEL = "artifacts/linear/model.safetensors"
VOCABULARY = "artifacts/vocab.parquet"


@pytest.fixture
def clone(ready: Project, tmp_path: Path) -> Project:
    """A clone with a cache and all outputs of its own."""
    project = ready.clone(tmp_path / "project")
    project.environment = project.environment | {"SENTIDOG_CACHE": str(tmp_path / "cache")}
    shutil.copytree(ready.folder / ".dvc/cache", project.folder / ".dvc/cache")
    project.dvc("checkout", "-q")
    return project


def all_outputs(project: Project) -> dict[str, bytes]:
    return files(project.folder, *outs(*STAGES))


def edit_by_hand(project: Project) -> None:
    for path in (VOCABULARY, "artifacts/coverage.json"):
        with (project.folder / path).open("ab") as file:
            file.write(b"edited")


def delete_outputs(project: Project) -> None:
    shutil.rmtree(project.folder / "artifacts/textcnn")
    (project.folder / VOCABULARY).unlink()


def delete_lock(project: Project) -> None:
    (project.folder / "dvc.lock").unlink()


def damage_cache(project: Project) -> None:
    """A bad disk: other bytes in an object, whose output is gone too."""
    found = cached(project, VOCABULARY)
    found.chmod(0o644)
    found.write_bytes(found.read_bytes()[:-10] + b"0123456789")
    (project.folder / VOCABULARY).unlink()


@pytest.mark.parametrize("harm", [edit_by_hand, delete_outputs, delete_lock])
def test_what_was_harmed_comes_back(project: Project, harm: Callable[[Project], None]) -> None:
    before = all_outputs(project)
    harm(project)
    assert project.repro() == []
    assert all_outputs(project) == before
    assert project.changed() == set()


def test_an_output_whose_object_is_damaged_is_made_again(clone: Project) -> None:
    before = all_outputs(clone)
    damage_cache(clone)
    assert clone.repro("evaluate") == ["build_vocab"]
    after = all_outputs(clone)
    assert after.keys() == before.keys()
    assert {path for path in after if after[path] != before[path] and not clocked(path)} == set()
    assert clone.changed() <= {"dvc.lock"}
    assert clone.repro("evaluate") == []


@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_outputs_that_are_links_into_the_cache_are_replaced_and_never_written_into(clone: Project, link: str) -> None:
    clone.dvc("config", "--local", "cache.type", link)
    clone.dvc("checkout", "--relink", "-q")
    before, objects = all_outputs(clone), sums(clone)
    assert not (clone.folder / MODEL).stat().st_mode & 0o222 or (clone.folder / MODEL).is_symlink()
    clone.edit({"train_linear.c": 1})
    assert clone.repro("train_linear") == ["train_linear"]
    assert all_outputs(clone)[MODEL] != before[MODEL]
    assert sums(clone).items() >= objects.items()
    clone.git("checkout", "-q", ".")
    assert clone.repro() == []
    assert all_outputs(clone) == before


def sums(project: Project) -> dict[str, str]:
    """Every object in the cache, and whether its bytes are those that its name says."""
    found = {}
    for path in sorted((project.folder / ".dvc/cache/files/md5").glob("??/*")):
        found[path.parent.name + path.name] = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    assert all(name.removesuffix(".dir") == md5 for name, md5 in found.items())
    return found
