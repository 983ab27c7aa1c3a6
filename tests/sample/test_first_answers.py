"""What the default run answers to a new user: the networks and the linear model, trained on the sample as it comes."""

import math
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
from tests.project import ROOT, arguments

STAGES = (
    "download_imdb", "build_vocab", "tensorize", "fetch_glove", "embed_glove", "train_linear", "train_birnn",
    "train_textcnn", "evaluate",
)  # fmt: skip
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


def test_the_default_run_answers_plain_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in ("train_birnn", "train_textcnn", "evaluate"):
        params[name] |= {"device": "cpu", "threads": 1}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    threads = torch.get_num_threads()
    for name in STAGES:
        import_module(f"stages.{name}").main(*map(Path, arguments(name)))
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
