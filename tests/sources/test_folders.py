import os
from pathlib import Path

import pytest

from stages.core.files import InputError
from stages.sources.folders import files_in


def test_files_come_sorted_from_all_folders_whatever_the_case_of_their_ending(tmp_path: Path) -> None:
    names = ("b.PNG", "a/2.png", "a/10.jpg", "a.png", "a/.hidden.png", ".git/c.png", "notes.md", "png")
    more = (".net/d/e.png", ".net/notes.md", "a/._2.png", "__MACOSX/a.png", ".DS_Store")
    for name in names + more:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = files_in(str(tmp_path), {".png", ".jpg"})
    files, others, hidden = ([os.path.relpath(path, tmp_path) for path in paths] for paths in found)
    assert files == ["a/10.jpg", "a/2.png", "a.png", "b.PNG"]
    assert others == ["notes.md", "png"]
    assert hidden == [".net/d/e.png", "a/.hidden.png"]


def test_a_link_to_a_folder_above_ends(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "again").symlink_to(tmp_path)
    assert files_in(str(tmp_path), {".png"}) == ([str(tmp_path / "a.png")], [str(tmp_path / "again")], [])


def test_a_folder_with_nothing_of_the_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").touch()
    with pytest.raises(InputError, match=r"nothing to read in it; expected files that end in \.jpg, \.png"):
        files_in(str(tmp_path), {".png", ".jpg"})


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "locked").mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:  # as chmod 000 would, were the tests not run by root
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="locked: Permission denied"):
        files_in(str(tmp_path), {".png"})
