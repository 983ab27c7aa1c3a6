"""Metrics of a classifier on the test split."""

from typing import Any

import numpy as np
from scipy.stats import binomtest

from stages.evaluation.calibration import calibration_error

HEADLINE = ("accuracy", "ci_low", "ci_high", "loss", "f1", "roc_auc", "ece")  # the columns of `dvc metrics show`
ROC_POINTS = 500  # per curve, at most: a plot of more looks the same


def measure(probabilities: np.ndarray, labels: np.ndarray, loss: float, classes: list[str]) -> dict[str, Any]:
    """Return a classifier's metrics.

    They are accuracy with its 95 % Wilson interval, loss, F1, ROC AUC, expected calibration error, precision, recall,
    and each class's recall.

    probabilities (examples, classes), labels (examples,). With two classes the second is the positive one. With more,
    F1, ROC AUC, precision and recall are means over the classes, each against the rest.
    """
    # Imported here, because it is slow and the report needs `accuracy` alone
    from sklearn.metrics import precision_recall_fscore_support, recall_score, roc_auc_score

    predicted = probabilities.argmax(1)
    binary = probabilities.shape[1] == 2
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, average="binary" if binary else "macro", zero_division=0
    )
    recalls = recall_score(labels, predicted, labels=range(len(classes)), average=None, zero_division=0)
    return {
        **accuracy(predicted == labels),
        "loss": loss,
        "f1": float(f1),
        "roc_auc": float(roc_auc_score(labels, probabilities[:, 1] if binary else probabilities, multi_class="ovr")),
        "ece": calibration_error(probabilities, labels),
        "precision": float(precision),
        "recall": float(recall),
        "recall_by_class": {name: float(value) for name, value in zip(classes, recalls, strict=True)},
    }


def headline(figures: dict[str, Any]) -> dict[str, float]:
    """Return the figures for a model's metrics file, the same for every model."""
    return {name: figures[name] for name in HEADLINE}


def accuracy(correct: np.ndarray) -> dict[str, float]:
    """Return the accuracy and its 95 % Wilson interval; correct: bool (examples,)."""
    count = int(correct.sum())
    interval = binomtest(count, len(correct)).proportion_ci(method="wilson")
    return {"accuracy": count / len(correct), "ci_low": interval.low, "ci_high": interval.high}


def accuracy_text(figures: dict[str, Any]) -> str:
    return "{accuracy:.4f} (95 % interval {ci_low:.4f} to {ci_high:.4f})".format(**figures)


def roc(scores: np.ndarray, positive: np.ndarray) -> list[dict[str, float]]:
    """Return at most ROC_POINTS points of the ROC curve of `scores` (examples,) and `positive`, bool (examples,)."""
    return _points(*_thinned_roc(scores, positive))


def mean_roc(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Return at most ROC_POINTS points of the mean of the classes' ROC curves, each class against the rest.

    probabilities (examples, classes), labels (examples,). Its area is the mean of the classes' areas, as in `measure`.
    """
    curves = [_thinned_roc(scores, labels == number) for number, scores in enumerate(probabilities.T)]
    x = np.unique(np.concatenate([curve[0] for curve in curves]))
    before, after = np.zeros(len(x)), np.zeros(len(x))
    for false_positive, true_positive in curves:  # a vertical step of a curve has two values, before and after
        before += np.interp(-x[::-1], -false_positive[::-1], true_positive[::-1])[::-1] / len(curves)
        after += np.interp(x, false_positive, true_positive) / len(curves)
    return _points(*_thinned(x.repeat(2), np.stack([before, after], 1).ravel()))


def _thinned_roc(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.metrics import roc_curve

    false_positive, true_positive, _ = roc_curve(positive, scores)
    return _thinned(false_positive, true_positive)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(x) <= ROC_POINTS:
        return x, y
    # Points at equal distances along the plotted curve
    length = np.append(0, np.cumsum(np.hypot(np.diff(x), np.diff(y))))
    keep = np.unique(np.searchsorted(length, np.linspace(0, length[-1], ROC_POINTS)))
    return x[keep], y[keep]


def _points(x: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
    return [
        {"false_positive_rate": round(float(a), 5), "true_positive_rate": round(float(b), 5)}
        for a, b in zip(x, y, strict=True)
    ]
