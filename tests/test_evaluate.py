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
from stages.evaluation.metrics import HEADLINE
from stages.evaluation.titles import ENSEMBLE, TEXT_MODELS
from tests.conftest import Settings

MODELS = (*TEXT_MODELS, ENSEMBLE)


def run(trained: Path, out: Path, models: Path | None = None) -> None:
    """Evaluate the models in `models`, or those of `trained`; the metrics are written beside `out`."""
    artifacts = trained / "artifacts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "load_params", lambda: SimpleNamespace(evaluate=Settings()))
        metrics = out.parent / "metrics"
        evaluate.main(trained / "data/imdb", artifacts / "reviews", models or artifacts, out, metrics)
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def out(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "evaluation"
    run(trained, folder)
    return folder


def test_these_files_are_written(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == [
        *sorted(f"confusion_{name}.csv" for name in MODELS),
        "figures.json",
        "predictions.parquet",
        *sorted(f"reliability_{name}.csv" for name in MODELS),
        *sorted(f"roc_{name}.json" for name in MODELS),
    ]
    metrics = sorted((out.parent / "metrics").iterdir())
    assert [path.name for path in metrics] == sorted(f"{name}.json" for name in MODELS)


def test_predictions_stand_in_the_order_of_the_test_reviews(trained: Path, out: Path) -> None:
    table = pq.read_table(out / "predictions.parquet")
    test = pq.read_table(trained / "data/imdb/test.parquet")
    assert table.column_names == ["id", "label", *(f"{name}_positive" for name in MODELS)]
    assert table["id"].equals(test["id"])
    assert table["label"].equals(test["label"])
    for name in MODELS:
        assert all(0 < p < 1 for p in table[f"{name}_positive"].to_pylist())


@pytest.mark.parametrize("name", MODELS)
def test_the_figures_are_those_of_the_predictions(out: Path, name: str) -> None:
    figures = json.loads((out / "figures.json").read_text())["models"][name]
    rows = pq.read_table(out / "predictions.parquet").to_pylist()
    right = [(row[f"{name}_positive"] > 0.5) == (row["label"] == "positive") for row in rows]
    losses = [-math.log(p if row["label"] == "positive" else 1 - p) for row in rows if (p := row[f"{name}_positive"])]
    assert figures["accuracy"] == sum(right) / len(rows)
    assert figures["ci_low"] < figures["accuracy"] <= figures["ci_high"]
    assert figures["loss"] == pytest.approx(sum(losses) / len(rows), rel=1e-4)
    positive = [row[f"{name}_positive"] for row in rows if row["label"] == "positive"]
    negative = [row[f"{name}_positive"] for row in rows if row["label"] == "negative"]
    pairs = [(p > n) + (p == n) / 2 for p in positive for n in negative]
    assert figures["roc_auc"] == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize("name", ["birnn", "textcnn"])
def test_the_figures_are_those_that_training_ended_with(trained: Path, out: Path, name: str) -> None:
    figures = json.loads((out / "figures.json").read_text())["models"][name]
    with (trained / f"artifacts/{name}/curves.csv").open() as file:
        *_, last = csv.DictReader(file)
    assert figures["accuracy"] == float(last["test_accuracy"])
    assert figures["loss"] == pytest.approx(float(last["test_loss"]), rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_metrics_are_the_headline_of_the_figures(out: Path, name: str) -> None:
    metrics = json.loads((out.parent / f"metrics/{name}.json").read_text())
    assert list(metrics) == list(HEADLINE)
    assert metrics.items() <= json.loads((out / "figures.json").read_text())["models"][name].items()


def test_the_ensemble_predicts_the_mean_of_the_probabilities(out: Path) -> None:
    table = pq.read_table(out / "predictions.parquet")
    mean = np.mean([table[f"{name}_positive"].to_numpy() for name in TEXT_MODELS], 0)
    np.testing.assert_allclose(table[f"{ENSEMBLE}_positive"].to_numpy(), mean, rtol=1e-5)


def test_each_pair_of_models_is_compared_on_the_same_reviews(out: Path) -> None:
    found = json.loads((out / "figures.json").read_text())
    pairs = [(pair["model"], pair["baseline"]) for pair in found["pairs"]]
    assert len(set(pairs)) == len(pairs) == len(MODELS) * (len(MODELS) - 1) / 2
    for pair in found["pairs"]:
        model, baseline = (found["models"][pair[side]]["accuracy"] for side in ("model", "baseline"))
        assert pair["accuracy"] == pytest.approx(model - baseline)
        assert pair["ci_low"] <= pair["accuracy"] <= pair["ci_high"]
        assert 0 < pair["p"] <= 1


@pytest.mark.parametrize("name", MODELS)
def test_the_reliability_diagram_has_every_review(out: Path, name: str) -> None:
    with (out / f"reliability_{name}.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    figures = json.loads((out / "figures.json").read_text())["models"][name]
    count = sum(row["count"] for row in rows)
    assert count == pq.read_metadata(out / "predictions.parquet").num_rows
    assert sum(row["accuracy"] * row["count"] for row in rows) / count == pytest.approx(figures["accuracy"])
    errors = [row["count"] * abs(row["confidence"] - row["accuracy"]) for row in rows]
    assert sum(errors) / count == pytest.approx(figures["ece"])


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
    figures = json.loads((out / "figures.json").read_text())["models"][name]
    assert np.trapezoid(y, x) == pytest.approx(figures["roc_auc"], abs=1e-3)


def test_the_models_do_not_predict_alike(out: Path) -> None:
    # Else a test above could take one for the other
    table = pq.read_table(out / "predictions.parquet")
    assert not table["birnn_positive"].equals(table["textcnn_positive"])


def test_each_model_is_printed_with_its_interval(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(trained, tmp_path / "evaluation")
    figures = json.loads((tmp_path / "evaluation/figures.json").read_text())["models"]
    assert capsys.readouterr().out.splitlines() == [
        f"{name}: test acc {figures[name]['accuracy']:.4f} "
        f"(95 % interval {figures[name]['ci_low']:.4f} to {figures[name]['ci_high']:.4f})"
        for name in MODELS
    ]


def test_the_same_bytes_twice(trained: Path, out: Path, tmp_path: Path) -> None:
    run(trained, tmp_path / "evaluation")
    written = [path.relative_to(out.parent) for path in out.parent.rglob("*") if path.is_file()]
    assert len(written) > len(MODELS)
    for path in written:
        assert (out.parent / path).read_bytes() == (tmp_path / path).read_bytes(), path


def test_a_missing_model_is_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"linear/config\.json: no such file"):
        run(trained, tmp_path / "out", models=tmp_path)
