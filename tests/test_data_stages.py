"""The data stages give the same bytes on any machine: dvc.lock is the table of them, for the sample."""

import hashlib
import json
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from tests.project import ROOT, arguments, outs, timed

DATA = ("download_imdb", "build_vocab", "tensorize", "fetch_glove", "embed_glove", "fetch_hotdog")
LOCKED = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def md5(path: Path) -> str:
    """The hash that DVC has of a file or a folder."""
    if not path.is_dir():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    listed = json.dumps([{"md5": md5(path / name), "relpath": name} for name in files])
    return hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest() + ".dir"


def test_every_data_stage_gives_the_bytes_in_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    if yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["dataset"] != "sample":
        pytest.skip("params.yaml is not set to the sample")
    for name in DATA:
        import_module(f"stages.{name}").main(*map(Path, arguments(name)))
    locked = {out["path"]: out["md5"] for name in DATA for out in LOCKED[name]["outs"]}
    expected = {path: md5 for path, md5 in locked.items() if not timed(path)}
    here = [path for path in outs(*DATA) if not timed(path)]
    found = {path: md5(Path(path)) for path in here}
    assert found == expected
