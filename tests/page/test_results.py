import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from stages.page.answers import Answers
from stages.page.results import TEXTBOOK, file_facts, learning_curves, length_chart, read_trained
from tests.vision.tiny import Folder


def test_a_training_is_read_with_its_curves_and_seconds(trained: Path) -> None:
    folder = trained / "artifacts/textcnn"
    found = read_trained(folder)
    timing = json.loads((folder / "timing.json").read_text())["seconds"]
    assert (found.name, found.title, found.textbook) == ("textcnn", "TextCNN", TEXTBOOK["textcnn"])
    assert found.train_seconds == sum(row["train"] for row in timing)
    assert found.speed == pytest.approx(8 * 3 / found.train_seconds)  # reviews, epochs
    assert found.bytes == len((folder / "model.safetensors").read_bytes())
    last = json.loads((folder / "metrics.json").read_text())
    for half in ("train", "test"):
        for figure in ("loss", "accuracy"):
            assert len(found.curves[half][figure]) == 3
            assert found.curves[half][figure][-1] == last[half][figure]
    assert found.curves["validation"] == {"loss": [], "accuracy": []}
    assert found.kept_epoch is None
    assert found.score_seconds == pytest.approx(sum(row["test"] for row in timing))


def test_the_textbooks_figure_stands_beside_its_own_network_only(trained_pictures: Folder) -> None:
    assert read_trained(trained_pictures.path / "finetune").textbook is None  # a ShuffleNet


def test_a_chart_has_four_lines(trained: Path) -> None:
    models = [read_trained(trained / "artifacts" / name) for name in ("birnn", "textcnn")]
    svg = learning_curves("Reviews", models, "loss")
    for label in ("BiRNN, training", "BiRNN, test", "TextCNN, training", "TextCNN, test"):
        assert f">{label}<" in svg


def test_a_chart_shows_the_part_that_was_held_out(trained: Path, validated: Path) -> None:
    models = [read_trained(validated), read_trained(trained / "artifacts/textcnn")]
    svg = learning_curves("Reviews", models, "accuracy")
    labels = ["BiRNN, training", "BiRNN, validation", "TextCNN, training", "TextCNN, test"]
    assert re.findall(r">(\w+, \w+)<", svg) == labels
    assert "accuracy by epoch, in training and validation and test" in svg
    assert models[0].kept_epoch == json.loads((validated / "metrics.json").read_text())["kept_epoch"]
    assert models[0].score_seconds > 0


def test_reviews_of_like_length_are_measured_together(trained: Path) -> None:
    models = [read_trained(trained / "artifacts/birnn")]
    lengths = np.array([9, 1, 5, 2, 8, 3, 7, 4, 6, 10, 11, 12])
    probabilities = np.array([[0.9, 0.1]] * 12)
    answers = Answers(["n", "p"], probabilities, (lengths > 6).astype(int))  # right of those up to 6 words
    svg = length_chart(models, [answers], lengths)
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert [text for text in texts if text.startswith("to ")] == [f"to {last}" for last in (2, 4, 6, 8, 10, 12)]
    places = [
        float(y) for y in re.findall(r'<use href="#\w+" x="[\d.]+" y="([\d.]+)" style="fill: var\(--first\)', svg)
    ]
    assert len(set(places[:3])) == len(set(places[3:6])) == 1  # all right, all wrong
    assert places[0] < places[3]  # SVG counts from the top


@pytest.mark.parametrize(
    ("lengths", "names"), [([3, 7], ["3", "7"]), ([5] * 9 + [8] * 3, ["5", "8"]), ([4] * 5, ["4"])]
)
def test_reviews_of_one_length_are_in_one_group(trained: Path, lengths: list[int], names: list[str]) -> None:
    models = [read_trained(trained / "artifacts/birnn")]
    count = len(lengths)
    answers = Answers(["n", "p"], np.array([[0.9, 0.1]] * count), np.arange(count) % 2)
    texts = re.findall(r">([^<>]+)</text>", length_chart(models, [answers], np.array(lengths)))
    assert [text for text in texts if text in names or text.startswith("to ")] == names


def test_files_are_called_as_in_dvcs_lock(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"hot dog")
    assert file_facts([path]) == [
        {"path": path.as_posix(), "bytes": 7, "md5": hashlib.md5(b"hot dog", usedforsecurity=False).hexdigest()}
    ]
