"""Pictures of the user's own through fetch_hotdog, and through dvc, which sees their edits."""

import json
from pathlib import Path

import pytest

from stages import fetch_hotdog
from stages.core.files import InputError
from stages.vision.batches.images import read_images
from tests.project import Project
from tests.test_own_data import run
from tests.vision.tiny import drawn

SHAPES = ("bar", "disc", "frame")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "my pictures"
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for i in range(5):
            (folder / shape / f"{i}.png").write_bytes(drawn(shape, i))
    return folder


def test_the_stage_reads_them_as_params_say(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run("fetch_hotdog", dataset="own", own={"pictures": str(mine), "test_fraction": 0.4, "seed": 3})
    train, test = (read_images(Path(f"data/hotdog/{split}.parquet")) for split in ("train", "test"))
    assert train.classes == test.classes == list(SHAPES)
    assert (train.labels.bincount().tolist(), test.labels.bincount().tolist()) == ([3, 3, 3], [2, 2, 2])
    assert capsys.readouterr().out.splitlines() == ["train: 3 bar, 3 disc, 3 frame", "test: 2 bar, 2 disc, 2 frame"]


def test_what_is_refused_leaves_the_outputs_as_they_were(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("fetch_hotdog", dataset="own", own={"pictures": str(mine)})
    before = [Path(f"data/hotdog/{split}.parquet").read_bytes() for split in ("train", "test")]
    (mine / "bar/9.png").write_bytes(drawn("bar", 9)[:-40])
    with pytest.raises(InputError, match=r"my pictures/bar/9\.png: a damaged picture"):
        fetch_hotdog.main(Path("data/hotdog"))
    assert [Path(f"data/hotdog/{split}.parquet").read_bytes() for split in ("train", "test")] == before


def test_dvc_sees_an_edit_of_an_image(project: Project, mine: Path) -> None:
    project.edit({"dataset": "own", "own.pictures": str(mine)})
    assert project.repro("fetch_hotdog") == ["fetch_hotdog"]
    assert project.repro("fetch_hotdog") == []
    (mine / "bar/0.png").write_bytes(drawn("bar", 77))
    (changes,) = json.loads(project.dvc("status", "--json", "fetch_hotdog"))["fetch_hotdog"]
    assert changes == {"changed deps": {str(mine): "modified"}}
    assert project.repro("fetch_hotdog") == ["fetch_hotdog"]
