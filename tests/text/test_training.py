from pathlib import Path
from typing import Any

import pytest
import torch
from pyarrow import csv

from stages.core.files import InputError
from stages.core.tensors import read_tensors
from stages.inference.config import TrainedOn
from stages.inference.device import Hardware
from stages.inference.predict import predict, score
from stages.text.batches.review_batches import EVAL_BATCH, ReviewBatches
from stages.text.batches.reviews import read_reviews
from stages.text.models.registry import load_text_model
from stages.text.training import train_text_model
from stages.training.validation import hold_out
from tests.conftest import TINY, Settings


def test_the_epoch_is_chosen_without_the_test_split(validated: Path, trained: Path) -> None:
    with pytest.raises(InputError):
        read_reviews(validated.parent / "reviews/test.safetensors")
    rows = csv.read_csv(validated / "curves.csv").to_pylist()
    assert all(row["test_loss"] is row["test_accuracy"] is None for row in rows)
    model, config = load_text_model(validated)
    assert config.classes == ["negative", "positive"]
    kept = config.trained_on.kept_epoch
    assert config.trained_on == TrainedOn("cpu", "fp32", 1, kept)
    assert kept
    reviews = read_reviews(trained / "artifacts/reviews/train.safetensors")
    held_out = reviews.select(hold_out(reviews.labels, reviews.classes, 0.5, 0)[1])
    hardware = Hardware(torch.device("cpu"), "fp32", 1)
    batches = ReviewBatches(held_out, EVAL_BATCH, hardware, seed=None, padding=config.padding)
    found = score(*predict(model, batches, hardware, "validation"))
    row = rows[kept - 1]
    assert found == pytest.approx((row["validation_loss"], row["validation_accuracy"]), rel=1e-5)


@pytest.mark.parametrize(("held_out", "scored"), [(0, "test"), (0.5, "validation")])
def test_a_training_tells_what_it_took(trained: Path, tmp_path: Path, held_out: float, scored: str) -> None:
    artifacts = trained / "artifacts"
    inputs = (artifacts / "reviews", artifacts / "glove.safetensors")
    settings = Settings(epochs=2, validation_fraction=held_out)
    cost = train_text_model(*TINY["birnn"], settings, "sample", *inputs, tmp_path / "birnn")
    torch.set_flush_denormal(False)
    assert cost["examples"] == 8 * (1 - held_out)
    assert [row.keys() for row in cost["epochs"]] == [{"train", scored}] * 2
    assert sorted(path.name for path in (tmp_path / "birnn").iterdir()) == [
        "config.json", "curves.csv", "model.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("asked", [{"patience": 1}, {"calibrate": True}, {"patience": 1, "calibrate": True}])
def test_what_needs_a_validation_split_is_refused_without_one(
    trained: Path, tmp_path: Path, asked: dict[str, Any]
) -> None:
    artifacts = trained / "artifacts"
    inputs = (artifacts / "reviews", artifacts / "glove.safetensors")
    with pytest.raises(InputError, match=rf"^{' and '.join(asked)}: there is no validation split; set validation_fra"):
        train_text_model(*TINY["birnn"], Settings(**asked), "own", *inputs, tmp_path / "birnn")
    assert not (tmp_path / "birnn").exists()


@pytest.mark.parametrize("name", TINY)
def test_the_same_params_give_the_same_bytes(trained: Path, tmp_path: Path, name: str) -> None:
    artifacts = trained / "artifacts"
    inputs = (artifacts / "reviews", artifacts / "glove.safetensors")
    train_text_model(*TINY[name], Settings(), "sample", *inputs, tmp_path / name)
    train_text_model(*TINY[name], Settings(seed=1), "sample", *inputs, tmp_path / "other" / name)
    torch.set_flush_denormal(False)
    weights, again, other = (
        (folder / name / "model.safetensors").read_bytes() for folder in (artifacts, tmp_path, tmp_path / "other")
    )
    assert again == weights
    assert other != weights


def test_a_large_epsilon_slows_word_vectors_alone(trained: Path, tmp_path: Path) -> None:
    artifacts = trained / "artifacts"
    inputs = (artifacts / "reviews", artifacts / "glove.safetensors")
    start = read_tensors(artifacts / "glove.safetensors")[0]["vectors"]
    moved = {}
    for eps in (1e-8, 1e3):
        settings = Settings(epochs=1, vector_eps=eps, average_epochs=0)
        train_text_model(*TINY["textcnn"], settings, "sample", *inputs, tmp_path / f"{eps}")
        weights = read_tensors(tmp_path / f"{eps}/model.safetensors")[0]
        moved[eps] = (float((weights["embedding.weight"] - start).norm()), float(weights["decoder.weight"].norm()))
    torch.set_flush_denormal(False)
    assert moved[1e3][0] < moved[1e-8][0] / 100
    assert moved[1e3][1] == pytest.approx(moved[1e-8][1], rel=0.2)
