"""The default run: the bytes of its data, and what its text models answer to a new user."""

import hashlib
import json
import math
from contextlib import chdir
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml

from stages.apps.predictions import top_class
from stages.apps.review_lines import Review
from stages.apps.review_models import ReviewModels
from stages.core.files import read_json
from stages.evaluation.titles import TEXT_MODELS
from stages.inference.device import Hardware
from tests.project import ROOT, arguments, outs, timed

DATA = ("download_imdb", "build_vocab", "tensorize", "fetch_glove", "embed_glove", "fetch_hotdog")
MODELS = ("train_linear", "train_birnn", "train_textcnn", "evaluate")
LOCKED = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
TEXTBOOK = {"this movie is so great": "positive", "this movie is so bad": "negative"}
PLAIN = TEXTBOOK | {
    "i loved every minute of it": "positive",
    "a wonderful story with great acting": "positive",
    "one of the best films i have ever seen": "positive",
    "funny, warm and beautifully shot": "positive",
    "what a waste of time": "negative",
    "the acting is terrible": "negative",
    "boring and far too long": "negative",
    "not good at all": "negative",
    "i hated this film": "negative",
    "the worst movie of the year": "negative",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with params.yaml and what the data stages write."""
    folder = tmp_path_factory.mktemp("default")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    if params["dataset"] != "sample":
        pytest.skip("params.yaml is not set to the sample")
    for name in ("train_birnn", "train_textcnn", "evaluate"):
        params[name] |= {"device": "cpu", "threads": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    with chdir(folder):
        run(*DATA)
    return folder


def run(*names: str) -> None:
    for name in names:
        import_module(f"stages.{name}").main(*map(Path, arguments(name)))


def md5(path: Path) -> str:
    """The hash that DVC has of a file or a folder."""
    if not path.is_dir():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    listed = json.dumps([{"md5": md5(path / name), "relpath": name} for name in files])
    return hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest() + ".dir"


def test_every_data_stage_gives_the_bytes_in_the_lock(folder: Path) -> None:
    """On any machine: dvc.lock is the table of them."""
    locked = {out["path"]: out["md5"] for name in DATA for out in LOCKED[name]["outs"]}
    expected = {path: md5 for path, md5 in locked.items() if not timed(path)}
    assert {path: md5(folder / path) for path in outs(*DATA) if not timed(path)} == expected


def test_the_default_run_answers_plain_sentences(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    threads = torch.get_num_threads()
    run(*MODELS)
    models = ReviewModels(Path("artifacts"), TEXT_MODELS, Hardware(torch.device("cpu"), "fp32", 1))
    answers = models.predict([Review(text) for text in PLAIN])
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    capsys.readouterr()
    for name in TEXT_MODELS:
        right = {
            text: top_class(answer.models[name]) == label
            for (text, label), answer in zip(PLAIN.items(), answers, strict=True)
        }
        assert all(right[text] for text in TEXTBOOK), name
        assert sum(right.values()) >= math.ceil(0.9 * len(PLAIN)), (name, right)
        accuracy = read_json(Path(f"artifacts/metrics/{name}.json"))["accuracy"]
        assert 0.82 < accuracy < 0.95, name  # so that experiments have something to move
