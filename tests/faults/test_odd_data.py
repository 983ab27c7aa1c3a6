"""Reviews in odd numbers and lengths go through every text stage."""

import io
import math
import tarfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from stages.core.files import read_json
from stages.inference.device import Hardware
from stages.reporting.reviews import review_part
from stages.text.batches.reviews import read_reviews
from tests.project import ROOT, arguments

CHAIN = ("download_imdb", "build_vocab", "tensorize", "fetch_glove", "embed_glove", "train_linear", "train_birnn",
         "train_textcnn")  # fmt: skip
CPU = Hardware(torch.device("cpu"), "fp32", 1)
WORDS = ("good", "bad", "film", "not", "very", "a")
Reviews = dict[str, list[str]]  # "train/pos" -> its texts


def split(name: str, count: int, good: str = "a good film", bad: str = "a very bad film") -> Reviews:
    return {f"{name}/pos": [good] * count, f"{name}/neg": [bad] * count}


def pack(path: Path, reviews: Reviews) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for place, texts in reviews.items():
            for number, text in enumerate(texts):
                info = tarfile.TarInfo(f"aclImdb/{place}/{number}_{9 if place.endswith('pos') else 2}.txt")
                data = text.encode()
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("reviews", "changes"),
    [
        pytest.param(split("train", 1) | split("test", 1), {}, id="one review a class"),
        pytest.param(split("train", 2) | split("test", 40), {}, id="a test split larger than the training split"),
        pytest.param(split("train", 4, "good", "bad") | split("test", 2, "good", "bad"), {}, id="reviews of one word"),
        pytest.param(split("train", 4) | split("test", 2, "unheard of", "\n"), {}, id="no known word, and no word"),
        pytest.param(
            split("train", 4) | split("test", 2, " ", "\n"), {"tokenizer": "characters"}, id="no letter at all"
        ),
        pytest.param(split("train", 3) | split("test", 2), {"batch_size": 100_000}, id="a batch larger than the data"),
        pytest.param(
            split("train", 2, "good film " * 50_000) | split("test", 2, bad="bad " * 100_000),
            {},
            id="reviews of 100,000 words",
        ),
        pytest.param(
            split("train", 1, "good film " * 5_000) | split("test", 1, bad="bad " * 10_000),
            {"max_len": 10_000},
            id="all of 10,000 words read",
        ),
    ],
)
def test_every_stage_copes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reviews: Reviews, changes: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENTIDOG_CACHE", str(tmp_path / "cache"))
    pack(tmp_path / "reviews.tar.gz", reviews)
    vectors = "".join(f"{word} {i / 7} {1 - i / 3} 0.5\n" for i, word in enumerate(WORDS))
    (tmp_path / "vectors.txt").write_text(vectors, encoding="utf-8")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["sources"]["imdb"]["sample"]["urls"] = [str(tmp_path / "reviews.tar.gz")]
    params["sources"]["glove"]["sample"]["urls"] = [str(tmp_path / "vectors.txt")]
    params["build_vocab"] = {"tokenizer": changes.get("tokenizer", "whitespace"), "min_freq": 1}
    params["embed_glove"]["dim"] = 3
    params["tensorize"]["max_len"] = changes.get("max_len", 500)
    small = {"device": "cpu", "threads": 1, "epochs": 1, "batch_size": changes.get("batch_size", 64)}
    params["train_birnn"] |= small | {"num_hiddens": 3, "num_layers": 1}
    params["train_textcnn"] |= small | {"num_channels": 3}
    params["evaluate"] |= {"device": "cpu", "threads": 1}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    threads = torch.get_num_threads()
    for name in (*CHAIN, "evaluate"):
        import_module(f"stages.{name}").main(*map(Path, arguments(name)))
    shown = review_part(Path("data"), Path("artifacts"), CPU)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    figures = read_json(Path("artifacts/evaluation/figures.json"))["models"]
    for model in ("linear", "birnn", "textcnn"):
        assert 0 <= figures[model]["accuracy"] <= 1
        assert figures[model]["loss"] < 100
    for path in Path("artifacts/reviews").iterdir():
        lengths = read_reviews(path).offsets.diff()
        assert 1 <= lengths.min() <= lengths.max() <= params["tensorize"]["max_len"]
    for model in shown["models"]:
        for review in model.get("mistakes", []) + model.get("typical", []):  # the ensemble has none
            assert all(math.isfinite(word.added) for word in review.words)
