"""The data stages give the same bytes on any machine: dvc.lock is the table of them, for the sample."""

import hashlib
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from tests.project import ROOT, arguments, outs, timed

DATA = ("download_imdb", "build_vocab", "tensorize", "fetch_glove", "embed_glove", "fetch_hotdog")
LOCKED = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]


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
    found = {path: hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest() for path in here}
    assert found == expected
