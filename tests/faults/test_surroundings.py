"""Where and how people run it: two at once, odd folders and clocks, another locale, a home that cannot be written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.project import ROOT, TO_TEXTCNN, Project, arguments, cached, clocked, files, outs, ran

FUTURE = 4_000_000_000.0  # in the year 2096
RUN = """
import json, locale, sys
from importlib import import_module
from stages.core.cli import run

print(locale.getpreferredencoding(False))
for name, paths in json.loads(sys.argv[1]):
    sys.argv[1:] = paths
    run(import_module(f"stages.{name}").main)
"""


def same_results(one: Project, other: Project, *stages: str) -> None:
    every = outs(*stages)
    mine, theirs = (files(project.folder, *every) for project in (one, other))
    assert mine.keys() == theirs.keys()
    assert {path for path in mine if mine[path] != theirs[path] and not clocked(path)} == set()


def test_two_repros_at_once_end_as_one(ready: Project, tmp_path: Path) -> None:
    project = ready.clone(tmp_path / "project")
    project.environment = project.environment | {"SENTIDOG_CACHE": str(tmp_path / "cache")}
    shutil.copytree(ready.folder / ".dvc/cache/files", project.folder / ".dvc/cache/files")
    project.dvc("checkout", "-q")
    # Without the outs, the run cache and an object that dvc.lock names, whoever comes first has to train
    for path in outs("train_textcnn"):
        whole = project.folder / path
        shutil.rmtree(whole) if whole.is_dir() else whole.unlink()
    cached(project, "artifacts/textcnn/model.safetensors").unlink()
    command = [sys.executable, "-m", "dvc", "repro", "train_textcnn"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen(command, cwd=project.folder, env=project.environment, **pipes) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert 0 in [process.returncode for process in both], said
    for process, text in zip(both, said, strict=True):
        assert process.returncode == 0 or "lock" in text, text
        assert "Traceback" not in text
    assert "train_textcnn" in ran("".join(said))
    project.repro("train_textcnn")
    same_results(project, ready, *TO_TEXTCNN)
    assert project.changed() <= {"dvc.lock"}  # which holds the seconds' hashes
    assert list((tmp_path / "cache").rglob("[!.]*.pt")) == []


def test_an_odd_folder_clock_and_locale_change_nothing(ready: Project, tmp_path: Path) -> None:
    project = ready.clone(tmp_path / "mit Leerzeichen и кириллицей", "HEAD~1")
    odd = {"LC_ALL": "C", "LANG": "C", "TZ": "Pacific/Kiritimati", "SENTIDOG_CACHE": str(tmp_path / "der Cache ж")}
    project.environment = project.environment | odd
    for name in project.git("ls-files", "-z").split("\0"):
        if name:
            os.utime(project.folder / name, (FUTURE, FUTURE))
    # From the archives to a trained model, and a drawing: no other stage reads or writes more kinds of files
    stages = [*TO_TEXTCNN, "fetch_hotdog", "show_augmentation"]
    assert sorted(project.repro("train_textcnn", "show_augmentation")) == sorted(stages)
    same_results(project, ready, *stages)
    assert project.changed() == {"dvc.lock"}
    assert project.repro("train_textcnn", "show_augmentation") == []


ENCODINGS = {"UTF-8": {"PYTHONUTF8": "1"}, "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}}


def test_where_text_is_ascii_unless_a_program_says_otherwise_the_bytes_are_the_same(tmp_path: Path) -> None:
    # LC_ALL=C alone does not make it so: Python then takes UTF-8 by itself
    texts = {"très bon": "un café très agréable", "passable": "un café comme un autre", "mauvais": "très mauvais café"}
    rows = [f"{text} {i},{label}" for i in range(4) for label, text in texts.items()]
    (tmp_path / "reviews.csv").write_text("\n".join(["avis,qualité", *rows]) + "\n", encoding="utf-8")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | {"dataset": "own"}
    params["own"] |= {"reviews": str(tmp_path / "reviews.csv"), "text": "avis", "label": "qualité"}
    params["build_vocab"]["min_freq"] = 1
    params["train_textcnn"] |= {"device": "cpu", "threads": 1, "epochs": 1, "num_channels": 4}
    stages = [(name, arguments(name)) for name in TO_TEXTCNN]
    written = {}
    for encoding, variables in ENCODINGS.items():
        folder = tmp_path / encoding
        folder.mkdir()
        (folder / "params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
        command = [sys.executable, "-c", RUN, json.dumps(stages)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert (done.stdout.splitlines()[0].upper() == "UTF-8") == (encoding == "UTF-8")
        found = files(folder, *outs(*TO_TEXTCNN))
        written[encoding] = {path: content for path, content in found.items() if not clocked(path)}
    assert "très bon".encode() in written["ASCII"]["artifacts/textcnn/config.json"]
    assert written["ASCII"] == written["UTF-8"]


def test_a_home_that_cannot_be_written_is_told_with_the_way_out(ready: Project, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file, so that root cannot write into it either", encoding="utf-8")
    removed = ("SENTIDOG_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA")
    homeless = {name: value for name, value in ready.environment.items() if name not in removed}
    *inputs, _ = arguments("train_textcnn")
    command = [sys.executable, "-m", "stages.train_textcnn", *inputs, str(tmp_path / "out/textcnn")]

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        environment = homeless | {"HOME": str(home), "USERPROFILE": str(home)} | more
        return subprocess.run(command, cwd=ready.folder, env=environment, capture_output=True, text=True, check=False)

    failed = run()
    assert failed.returncode == 1
    assert f"error: {home}" in failed.stderr
    assert "cannot be written" in failed.stderr
    assert "set SENTIDOG_CACHE to another folder" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "out/textcnn/model.safetensors").exists()
    assert run(SENTIDOG_CACHE=str(tmp_path / "elsewhere")).returncode == 0
    assert (tmp_path / "out/textcnn/model.safetensors").exists()
