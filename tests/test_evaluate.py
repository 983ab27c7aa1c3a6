import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from stages import evaluate
from stages.core.files import InputError
from tests.conftest import Settings

MODELS = ("birnn", "textcnn")


def run(trained: Path, out: Path, artifacts: Path | None = None) -> None:
    artifacts = artifacts or trained / "artifacts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "load_params", lambda: SimpleNamespace(evaluate=Settings()))
        test, reviews = trained / "data/imdb/test.parquet", trained / "artifacts/reviews/test.safetensors"
        evaluate.main(test, reviews, artifacts / "birnn", artifacts / "textcnn", out)
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def out(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    run(trained, folder)
    return folder


def test_these_files_are_written(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == [
        "confusion_birnn.csv",
        "confusion_textcnn.csv",
        "metrics.json",
        "predictions.parquet",
        "roc_birnn.json",
        "roc_textcnn.json",
    ]


def test_predictions_stand_in_the_order_of_the_test_reviews(trained: Path, out: Path) -> None:
    table = pq.read_table(out / "predictions.parquet")
    test = pq.read_table(trained / "data/imdb/test.parquet")
    assert table.column_names == ["id", "label", "birnn_positive", "textcnn_positive"]
    assert table["id"].equals(test["id"])
    assert table["label"].equals(test["label"])
    for name in MODELS:
        assert all(0 < p < 1 for p in table[f"{name}_positive"].to_pylist())


@pytest.mark.parametrize("name", MODELS)
def test_the_figures_are_those_of_the_predictions(out: Path, name: str) -> None:
    figures = json.loads((out / "metrics.json").read_text())[name]
    rows = pq.read_table(out / "predictions.parquet").to_pylist()
    right = [(row[f"{name}_positive"] > 0.5) == (row["label"] == "positive") for row in rows]
    losses = [-math.log(p if row["label"] == "positive" else 1 - p) for row in rows if (p := row[f"{name}_positive"])]
    assert figures["accuracy"] == sum(right) / len(rows)
    assert figures["accuracy_low"] < figures["accuracy"] <= figures["accuracy_high"]
    assert figures["loss"] == pytest.approx(sum(losses) / len(rows), rel=1e-4)
    positive = [row[f"{name}_positive"] for row in rows if row["label"] == "positive"]
    negative = [row[f"{name}_positive"] for row in rows if row["label"] == "negative"]
    pairs = [(p > n) + (p == n) / 2 for p in positive for n in negative]
    assert figures["roc_auc"] == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize("name", MODELS)
def test_the_figures_are_those_that_training_ended_with(trained: Path, out: Path, name: str) -> None:
    figures = json.loads((out / "metrics.json").read_text())[name]
    last = json.loads((trained / f"artifacts/{name}/metrics.json").read_text())["test"]
    assert figures["accuracy"] == last["accuracy"]
    assert figures["loss"] == pytest.approx(last["loss"], rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_confusion_table_has_a_row_for_every_review(out: Path, name: str) -> None:
    with (out / f"confusion_{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    predictions = pq.read_table(out / "predictions.parquet").to_pylist()
    assert [row["actual"] for row in rows] == [row["label"] for row in predictions]
    assert [row["predicted"] for row in rows] == [
        "positive" if row[f"{name}_positive"] > 0.5 else "negative" for row in predictions
    ]


@pytest.mark.parametrize("name", MODELS)
def test_the_area_below_the_roc_curve_is_the_one_in_the_figures(out: Path, name: str) -> None:
    points = json.loads((out / f"roc_{name}.json").read_text())
    x = [point["false_positive_rate"] for point in points]
    y = [point["true_positive_rate"] for point in points]
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    figures = json.loads((out / "metrics.json").read_text())[name]
    assert np.trapezoid(y, x) == pytest.approx(figures["roc_auc"], abs=1e-3)


def test_the_models_do_not_answer_alike(out: Path) -> None:
    # Else a test above could take one for the other
    table = pq.read_table(out / "predictions.parquet")
    assert not table["birnn_positive"].equals(table["textcnn_positive"])


def test_each_model_is_printed_with_its_interval(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(trained, tmp_path)
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert capsys.readouterr().out.splitlines() == [
        f"{name}: test acc {figures[name]['accuracy']:.4f} "
        f"(95 % interval {figures[name]['accuracy_low']:.4f} to {figures[name]['accuracy_high']:.4f})"
        for name in MODELS
    ]


def test_the_same_bytes_twice(trained: Path, out: Path, tmp_path: Path) -> None:
    run(trained, tmp_path)
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_a_missing_model_is_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"birnn/config\.json: no such file"):
        run(trained, tmp_path / "out", artifacts=tmp_path)
