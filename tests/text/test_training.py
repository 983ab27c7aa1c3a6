import json
from pathlib import Path

import pytest
import torch

from stages.core.device import Hardware
from stages.core.files import InputError
from stages.core.fit import predict, score
from stages.core.validation import hold_out
from stages.text.batches import TEST_BATCH, ReviewBatches
from stages.text.models import load
from stages.text.ragged import read_reviews
from stages.text.train import train
from tests.conftest import TINY, Settings


def test_the_epoch_is_chosen_without_the_test_half(validated: Path, trained: Path) -> None:
    with pytest.raises(InputError):
        read_reviews(validated.parent / "test.safetensors")
    metrics = json.loads((validated / "metrics.json").read_text())
    assert metrics.keys() == {"train", "validation", "step", "kept_epoch"}
    assert json.loads((validated / "timing.json").read_text())["examples"] == 4  # of 8
    model, config = load(validated)
    assert config["classes"] == ["negative", "positive"]
    assert config["trained_on"] == {"device": "cpu", "precision": "fp32", "threads": 1}
    reviews = read_reviews(trained / "artifacts/reviews/train.safetensors")
    held_out = reviews.select(hold_out(reviews.labels, reviews.classes, 0.5, 0)[1])
    batches = ReviewBatches(held_out, TEST_BATCH, torch.device("cpu"), seed=None, **config["padding"])
    found = score(*predict(model, batches, Hardware(torch.device("cpu"), "fp32", 1), "validation"))
    assert found == pytest.approx((metrics["validation"]["loss"], metrics["validation"]["accuracy"]), rel=1e-5)


@pytest.mark.parametrize("name", TINY)
def test_the_same_params_give_the_same_bytes(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)  # where dvclive finds no repository
    artifacts = trained / "artifacts"
    inputs = (
        *(artifacts / f"reviews/{half}.safetensors" for half in ("train", "test")),
        artifacts / "glove.safetensors",
    )
    train(*TINY[name], Settings(), inputs, tmp_path / name)
    train(*TINY[name], Settings(seed=1), inputs, tmp_path / "other" / name)
    torch.set_flush_denormal(False)
    weights, again, other = (
        (folder / name / "model.safetensors").read_bytes() for folder in (artifacts, tmp_path, tmp_path / "other")
    )
    assert again == weights
    assert other != weights
