"""What the four trainings came to: figures beside the textbook's, curves, time, files."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from pyarrow import csv

from stages.core.files import read_json
from stages.core.metrics import accuracy
from stages.page.answers import Answers
from stages.page.charts import Bars, Line, curves, intervals, lines
from stages.page.figures import brief, short

PARTS = {"train": "training", "validation": "validation", "test": "test"}
TITLES = {"birnn": "BiRNN", "textcnn": "TextCNN", "finetune": "Fine-tuned", "scratch": "From scratch"}
TEXTBOOK = {"birnn": 0.862, "textcnn": 0.865, "finetune": 0.939, "scratch": 0.828}  # after its last epoch
TEXTBOOK_ARCH = "resnet18"
LENGTHS = 6  # groups of reviews of like length, each of as many reviews


@dataclass(frozen=True)
class Trained:
    """What a training left, the weights aside."""

    name: str
    config: dict[str, Any]
    seconds: list[dict[str, float]]  # one row per epoch: train, and validation or test
    examples: int  # trained on in an epoch
    curves: dict[str, dict[str, list[float]]]  # part -> figure -> a value per epoch, if scored on it
    bytes: int  # of the weights' file
    kept_epoch: int | None  # from 1; None: the last, nothing was chosen

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def textbook(self) -> float | None:
        """The textbook's accuracy, of a network that it trains."""
        return TEXTBOOK[self.name] if self.config.get("arch", TEXTBOOK_ARCH) == TEXTBOOK_ARCH else None

    @property
    def train_seconds(self) -> float:
        return sum(row["train"] for row in self.seconds)

    @property
    def score_seconds(self) -> float:
        """What the passes after each epoch took, over the held-out part or the test half."""
        return sum(sum(row.values()) for row in self.seconds) - self.train_seconds

    @property
    def speed(self) -> float:
        """Training examples a second."""
        return self.examples * len(self.seconds) / self.train_seconds


def read_trained(folder: Path) -> Trained:
    timing = read_json(folder / "timing.json")
    curves = {part: {figure: _curve(folder, part, figure) for figure in ("loss", "accuracy")} for part in PARTS}
    size = (folder / "model.safetensors").stat().st_size
    config = read_json(folder / "config.json")
    kept = read_json(folder / "metrics.json").get("kept_epoch")
    return Trained(folder.name, config, timing["seconds"], timing["examples"], curves, size, kept)


def _curve(folder: Path, part: str, figure: str) -> list[float]:
    path = folder / f"plots/metrics/{part}/{figure}.tsv"
    return csv.read_csv(path, parse_options=csv.ParseOptions(delimiter="\t"))[figure].to_pylist()


def learning_curves(task: str, models: list[Trained], figure: str) -> Markup:
    """Return the chart of a figure by epoch, of two models in training and on what their epochs were scored on."""
    loss = figure == "loss"
    series = []
    for number, model in enumerate(models):
        for part, name in PARTS.items():
            values = model.curves[part][figure]
            epochs = list(range(1, len(values) + 1))
            if values:
                series.append(Line(f"{model.title}, {name}", epochs, values, number, dashed=part == "train"))
    shown = [name for part, name in PARTS.items() if any(model.curves[part][figure] for model in models)]
    what = f"{task}: {figure} by epoch, in {' and '.join(shown)}"
    return lines(what, series, "epoch", "mean cross-entropy" if loss else figure, logarithmic=loss)


def roc_chart(models: list[Trained], folder: Path, classes: list[str], areas: list[float]) -> Markup:
    """Return the ROC curves of the models, whose points evaluate left in `folder`.

    Of two classes the second's; of more the mean of all, each against the rest.
    """
    series = []
    for number, (model, area) in enumerate(zip(models, areas, strict=True)):
        points = read_json(folder / f"roc_{model.name}.json")
        x, y = ([point[f"{key}_positive_rate"] for point in points] for key in ("false", "true"))
        series.append(Line(f"{model.title}, area {short(area)}", x, y, number))
    what = f"ROC curves of {' and '.join(model.title for model in models)}"
    if len(classes) > 2:
        return curves(what, series, "not of a class, taken for it", "of the class, recognised")
    positive = brief(classes[1])
    return curves(what, series, f"not {positive}, taken for it", f"{positive}, recognised")


def length_chart(models: list[Trained], answers: list[Answers], lengths: np.ndarray) -> Markup:
    """Return the chart of accuracy by the reviews' lengths, int (reviews,), as they were read."""
    order = lengths.argsort(kind="stable")
    shortest = [lengths[rows[0]] for rows in np.array_split(order, LENGTHS) if len(rows)]
    starts = np.unique(np.searchsorted(lengths[order], shortest))  # reviews of one length are in one group
    groups = np.split(order, starts[1:])
    ends = [(lengths[rows[0]], lengths[rows[-1]]) for rows in groups]
    names = [f"{first}" if first == last else f"{first}\nto {last}" for first, last in ends]
    series = []
    for model, some in zip(models, answers, strict=True):
        figures = [accuracy(some.correct[rows]) for rows in groups]
        shares, lows, highs = ([row[key] for row in figures] for key in figures[0])
        series.append(Bars(model.title, shares, lows, highs))
    return intervals("Accuracy by the length of the review", names, series, "words of the review", "accuracy")


def file_facts(paths: list[Path]) -> list[dict[str, Any]]:
    """Return each file's path, size in bytes and MD5, which is what dvc.lock calls it."""
    facts = []
    for path in paths:
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        facts.append({"path": path.as_posix(), "bytes": path.stat().st_size, "md5": md5})
    return facts
