import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from pyarrow import csv

from stages.core.files import read_json, write_json
from stages.inference.config import ImageConfig, TextConfig
from stages.reporting.predictions import ModelPredictions
from stages.reporting.results import (
    TEXTBOOK,
    TrainedModel,
    file_facts,
    learning_curves,
    length_chart,
    read_trained,
)
from tests.vision.tiny import Folder

COST = {"seconds": 9.0, "examples": 8, "epochs": [{"train": 1.5, "test": 0.25}] * 3}


def read(folder: Path, cost: Path = Path("none")) -> TrainedModel:
    return read_trained(folder, TextConfig.read(folder), cost)


def test_a_training_is_read_with_its_curves_and_seconds(trained: Path, tmp_path: Path) -> None:
    folder = trained / "artifacts/textcnn"
    write_json(tmp_path / "cost.json", COST)
    found = read(folder, tmp_path / "cost.json")
    assert (found.name, found.title, found.textbook) == ("textcnn", "TextCNN", TEXTBOOK["textcnn"])
    assert (found.train_seconds, found.score_seconds) == (4.5, 0.75)
    assert found.speed == pytest.approx(8 * 3 / 4.5)  # reviews, epochs
    assert found.bytes == len((folder / "model.safetensors").read_bytes())
    rows = csv.read_csv(folder / "curves.csv").to_pylist()
    assert len(rows) == 3
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert found.curves[name] == [row[name] for row in rows]
    assert found.curves["validation_loss"] == found.curves["validation_accuracy"] == []
    assert found.kept_epoch is None


def test_a_training_without_a_recorded_cost_has_no_seconds(trained: Path) -> None:
    found = read(trained / "artifacts/textcnn")
    assert (found.seconds, found.examples) == ([], None)


def test_the_textbooks_figure_stands_beside_its_own_network_only(trained_images: Folder) -> None:
    folder = trained_images.path / "finetune"
    assert read_trained(folder, ImageConfig.read(folder), Path("none")).textbook is None  # a ShuffleNet


def test_a_chart_has_four_lines(trained: Path) -> None:
    models = [read(trained / "artifacts" / name) for name in ("birnn", "textcnn")]
    svg = learning_curves("Reviews", models, "loss")
    for label in ("BiRNN, training", "BiRNN, test", "TextCNN, training", "TextCNN, test"):
        assert f">{label}<" in svg


def test_a_chart_shows_the_validation_split(trained: Path, validated: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "cost.json", COST | {"epochs": [{"train": 1.5, "validation": 0.5}] * 4})
    models = [read(validated, tmp_path / "cost.json"), read(trained / "artifacts/textcnn")]
    svg = learning_curves("Reviews", models, "accuracy")
    labels = ["BiRNN, training", "BiRNN, validation", "TextCNN, training", "TextCNN, test"]
    assert re.findall(r">(\w+, \w+)<", svg) == labels
    assert "accuracy by epoch, in training and validation and test" in svg
    assert models[0].kept_epoch == read_json(validated / "config.json")["trained_on"]["kept_epoch"]
    assert models[0].score_seconds == 2


def test_reviews_of_similar_length_are_measured_together() -> None:
    lengths = np.array([9, 1, 5, 2, 8, 3, 7, 4, 6, 10, 11, 12])
    probabilities = np.array([[0.9, 0.1]] * 12)
    predictions = ModelPredictions(["n", "p"], probabilities, (lengths > 6).astype(int))  # right of those up to 6 words
    svg = length_chart({"birnn": predictions}, lengths)
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert [text for text in texts if text.startswith("to ")] == [f"to {last}" for last in (2, 4, 6, 8, 10, 12)]
    places = [
        float(y) for y in re.findall(r'<use href="#\w+" x="[\d.]+" y="([\d.]+)" style="fill: var\(--model0\)', svg)
    ]
    assert len(set(places[:3])) == len(set(places[3:6])) == 1  # all right, all wrong
    assert places[0] < places[3]  # SVG counts from the top


@pytest.mark.parametrize(
    ("lengths", "names"), [([3, 7], ["3", "7"]), ([5] * 9 + [8] * 3, ["5", "8"]), ([4] * 5, ["4"])]
)
def test_reviews_of_one_length_are_in_one_group(lengths: list[int], names: list[str]) -> None:
    count = len(lengths)
    predictions = ModelPredictions(["n", "p"], np.array([[0.9, 0.1]] * count), np.arange(count) % 2)
    texts = re.findall(r">([^<>]+)</text>", length_chart({"birnn": predictions}, np.array(lengths)))
    assert [text for text in texts if text in names or text.startswith("to ")] == names


def test_files_have_their_md5(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"hot dog")
    assert file_facts([path]) == [
        {"path": path.as_posix(), "bytes": 7, "md5": hashlib.md5(b"hot dog", usedforsecurity=False).hexdigest()}
    ]
