"""The results of the trainings: charts, the textbook's figures, time, files."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from pyarrow import csv

from stages.core.files import read_json
from stages.evaluation.metrics import accuracy
from stages.evaluation.titles import TITLES
from stages.inference.config import ImageConfig, ModelConfig
from stages.reporting.charts import Bars, Line, curves, intervals, lines
from stages.reporting.formats import brief, short
from stages.reporting.predictions import ModelPredictions

SPLIT_TITLES = {"train": "training", "validation": "validation", "test": "test"}
TEXTBOOK = {"birnn": 0.862, "textcnn": 0.865, "finetune": 0.939, "scratch": 0.828}  # after its last epoch
TEXTBOOK_ARCH = "resnet18"
MIN_EXAMPLES = 10  # of a bin in the reliability diagram: the accuracy of fewer is chance
LENGTH_GROUPS = 6  # equally large groups of reviews of similar length


@dataclass(frozen=True)
class TrainedModel:
    """What the report shows of a trained model."""

    config: ModelConfig
    curves: dict[str, list[float]]  # "train_loss", "test_accuracy", … -> a value per epoch; empty if not scored
    bytes: int  # of the weights' file
    examples: int | None  # training examples per epoch; None: the cost was not recorded
    seconds: list[dict[str, float]]  # one row per epoch: split -> wall-clock seconds

    @property
    def name(self) -> str:
        return self.config.model

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def kept_epoch(self) -> int | None:
        return self.config.trained_on.kept_epoch

    @property
    def arch(self) -> str | None:
        return self.config.arch if isinstance(self.config, ImageConfig) else None

    @property
    def textbook(self) -> float | None:
        """The textbook's accuracy, None if it does not train this network."""
        return TEXTBOOK.get(self.name) if self.arch in (None, TEXTBOOK_ARCH) else None

    @property
    def train_seconds(self) -> float:
        return sum(row["train"] for row in self.seconds)

    @property
    def score_seconds(self) -> float:
        """The seconds of the passes after each epoch, over the validation or the test split."""
        return sum(sum(row.values()) for row in self.seconds) - self.train_seconds

    @property
    def speed(self) -> float:
        """Training examples per second."""
        return (self.examples or 0) * len(self.seconds) / self.train_seconds


def read_trained(folder: Path, config: ModelConfig, cost: Path) -> TrainedModel:
    """Read a model's folder, and the record of its training's cost. After a run by hand there is no such record."""
    file = folder / "curves.csv"  # only of models that are trained in epochs
    table = csv.read_csv(file).to_pydict() if file.exists() else {}
    values = {name: [value for value in column if value is not None] for name, column in table.items()}
    took = read_json(cost) if cost.exists() else {}
    size = (folder / "model.safetensors").stat().st_size
    return TrainedModel(config, values, size, took.get("examples"), took.get("epochs", []))


def learning_curves(task: str, models: list[TrainedModel], figure: str) -> Markup:
    """Return the chart of `figure`, "accuracy" or "loss", by epoch, on the training split and the scored splits.

    Models that are not trained in epochs are left out.
    """
    is_loss = figure == "loss"
    scored = [split for split in SPLIT_TITLES if any(model.curves.get(f"{split}_{figure}") for model in models)]
    shown = {split: SPLIT_TITLES[split] for split in scored}
    series = []
    for number, model in enumerate(models):
        for split, name in shown.items():
            values = model.curves.get(f"{split}_{figure}", [])
            if values:
                epochs = list(range(1, len(values) + 1))
                series.append(Line(f"{model.title}, {name}", epochs, values, number, dashed=split == "train"))
    what = f"{task}: {figure} by epoch, in {' and '.join(shown.values())}"
    return lines(what, series, "epoch", "mean cross-entropy" if is_loss else figure, logarithmic=is_loss)


def roc_chart(areas: dict[str, float], evaluation: Path, classes: list[str]) -> Markup:
    """Return the chart of the ROC curves. `areas`: model -> area; `evaluation`: the folder of the curves' points.

    With two classes, the second is the positive one. With more, each curve is the mean over the classes, each against
    the rest.
    """
    series = []
    for number, (name, area) in enumerate(areas.items()):
        points = read_json(evaluation / f"roc_{name}.json")
        x, y = ([point[f"{key}_positive_rate"] for point in points] for key in ("false", "true"))
        series.append(Line(f"{TITLES[name]}, area {short(area)}", x, y, number))
    what = f"ROC curves of {_titles(areas)}"
    of = "mean" if len(classes) > 2 else brief(classes[1])
    return curves(what, series, f"false positive rate, {of}", f"true positive rate, {of}", "by chance")


def reliability_chart(errors: dict[str, float], folder: Path) -> Markup:
    """Return the reliability diagram. `errors`: model -> calibration error; `folder`: that of the diagrams' points.

    Confidence is in bins of equal width. Bins of fewer than MIN_EXAMPLES are left out.
    """
    series = []
    for number, (name, error) in enumerate(errors.items()):
        table = csv.read_csv(folder / f"reliability_{name}.csv").to_pydict()
        rows = [
            row
            for row in zip(table["confidence"], table["accuracy"], table["count"], strict=True)
            if row[2] >= MIN_EXAMPLES
        ]
        x, y = ([row[column] for row in rows] for column in (0, 1))
        series.append(Line(f"{TITLES[name]}, error {short(error)}", x, y, number))
    what = f"Reliability of {_titles(errors)}"
    return curves(what, series, "confidence", "accuracy", "calibrated")


def length_chart(predictions: dict[str, ModelPredictions], lengths: np.ndarray) -> Markup:
    """Return the chart of accuracy by length; lengths: int (reviews,), in words after the cut to max_len."""
    order = lengths.argsort(kind="stable")
    shortest = [lengths[rows[0]] for rows in np.array_split(order, LENGTH_GROUPS) if len(rows)]
    starts = np.unique(np.searchsorted(lengths[order], shortest))  # reviews of equal length stay in one group
    groups = np.split(order, starts[1:])
    ends = [(lengths[rows[0]], lengths[rows[-1]]) for rows in groups]
    names = [f"{first}" if first == last else f"{first}\nto {last}" for first, last in ends]
    series = []
    for number, (name, some) in enumerate(predictions.items()):
        figures = [accuracy(some.correct[rows]) for rows in groups]
        values, lows, highs = ([row[key] for row in figures] for key in ("accuracy", "ci_low", "ci_high"))
        series.append(Bars(TITLES[name], number, values, lows, highs))
    return intervals("Accuracy by the length of the review", names, series, "words of the review", "accuracy")


def _titles(names: Iterable[str]) -> str:
    return " and ".join(TITLES[name] for name in names)


def file_facts(paths: list[Path]) -> list[dict[str, Any]]:
    """Return each file's path, size in bytes and MD5."""
    facts = []
    for path in paths:
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        facts.append({"path": path.as_posix(), "bytes": path.stat().st_size, "md5": md5})
    return facts
