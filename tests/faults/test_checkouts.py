"""Where the project lies: a clone that changes line endings, an archive without git, a path of the home folder."""

import subprocess
from pathlib import Path

import pytest
import yaml

from stages.config.params import load_params, main
from stages.core.files import InputError
from stages.sources.user_data import user_path
from tests.project import ROOT


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_clone_with_autocrlf_has_the_same_bytes(tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    files = (
        ".gitattributes",
        "params.yaml",
        "dvc.yaml",
        "stages/predict.py",
        "docs/growth.csv",
        "data/example/reviews.csv",
    )
    for name in files:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_bytes((ROOT / name).read_bytes())
    git(origin, "init", "-q")
    git(origin, "-c", "core.autocrlf=false", "add", ".")
    git(origin, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "all")
    git(tmp_path, "clone", "-q", "-c", "core.autocrlf=true", str(origin), str(clone))
    for name in files:
        assert (clone / name).read_bytes() == (ROOT / name).read_bytes(), name
    assert git(clone, "status", "--porcelain") == ""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without git."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def test_without_git_check_names_the_setting_that_dvc_needs(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert "dvc config core.no_scm true" in capsys.readouterr().out
    (archive / ".git").mkdir()
    main([])
    assert "no_scm" not in capsys.readouterr().out


def test_without_git_a_relative_path_is_refused_with_the_setting(archive: Path) -> None:
    with pytest.raises(InputError, match=r"expected an absolute path(.|\n)*dvc config core\.no_scm true"):
        user_path("own.pictures", "pictures")


@pytest.mark.parametrize("key", ["reviews", "pictures"])
def test_a_path_with_a_tilde_is_refused_with_the_reason(archive: Path, key: str) -> None:
    params = yaml.safe_load((archive / "params.yaml").read_text(encoding="utf-8"))
    params["own"][key] = "~/mine"
    (archive / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    with pytest.raises(
        InputError, match=rf"own\.{key}: '~/mine' found, expected the path of a file or folder, without ~"
    ):
        load_params()
