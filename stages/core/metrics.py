"""How good a classifier is, on a test half that nothing was chosen by."""

from typing import Any

import numpy as np
from scipy.stats import binomtest, norm
from sklearn.metrics import precision_recall_fscore_support, recall_score, roc_auc_score, roc_curve

ROC_POINTS = 500  # of a curve that is committed; 25,000 thresholds look the same


def measure(probabilities: np.ndarray, labels: np.ndarray, loss: float) -> dict[str, Any]:
    """Return accuracy with its 95 % Wilson interval, loss, precision, recall, F1 and ROC AUC.

    probabilities (examples, classes), labels (examples,). Of two classes the second is the positive one; of
    more, the figures are means over the classes, each against the rest.
    """
    predicted = probabilities.argmax(1)
    two = probabilities.shape[1] == 2
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, average="binary" if two else "macro", zero_division=0
    )
    return {
        **accuracy(predicted == labels),
        "loss": loss,
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "roc_auc": float(roc_auc_score(labels, probabilities[:, 1] if two else probabilities, multi_class="ovr")),
    }


def measure_by_class(probabilities: np.ndarray, labels: np.ndarray, loss: float, classes: list[str]) -> dict[str, Any]:
    """Return accuracy with its 95 % Wilson interval, loss, and each class's recall.

    probabilities (examples, classes), labels (examples,).
    """
    predicted = probabilities.argmax(1)
    recall = recall_score(labels, predicted, labels=range(len(classes)), average=None, zero_division=0)
    return {
        **accuracy(predicted == labels),
        "loss": loss,
        "recall": {name: float(share) for name, share in zip(classes, recall, strict=True)},
    }


def gain(correct: np.ndarray, baseline: np.ndarray) -> dict[str, float]:
    """Return by how much accuracy is higher than a baseline's on the same examples, with its 95 % paired interval.

    correct, baseline: bool (examples,). The interval is Bonett and Price's adjusted Wald interval (2012).
    """
    examples = len(correct)
    better = (int((correct & ~baseline).sum()) + 1) / (examples + 2)
    worse = (int((baseline & ~correct).sum()) + 1) / (examples + 2)
    middle = better - worse
    half = norm.ppf(0.975) * np.sqrt((better + worse - middle**2) / (examples + 2))
    return {
        "accuracy": float(correct.mean() - baseline.mean()),
        "accuracy_low": max(-1.0, float(middle - half)),
        "accuracy_high": min(1.0, float(middle + half)),
    }


def accuracy(correct: np.ndarray) -> dict[str, float]:
    """Return the share of `correct`, bool (examples,), with its 95 % Wilson interval."""
    count = int(correct.sum())
    interval = binomtest(count, len(correct)).proportion_ci(method="wilson")
    return {"accuracy": count / len(correct), "accuracy_low": interval.low, "accuracy_high": interval.high}


def in_words(figures: dict[str, Any]) -> str:
    return "{accuracy:.4f} (95 % interval {accuracy_low:.4f} to {accuracy_high:.4f})".format(**figures)


def roc(scores: np.ndarray, positive: np.ndarray) -> list[dict[str, float]]:
    """Return at most ROC_POINTS points of the curve of `scores` (examples,) against `positive` bool (examples,)."""
    return _points(*_thinned_roc(scores, positive))


def mean_roc(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Return at most ROC_POINTS points of the mean of the classes' curves, each against the rest.

    probabilities (examples, classes), labels (examples,). The area below it is the mean of the areas: `measure`'s.
    """
    curves = [_thinned_roc(scores, labels == number) for number, scores in enumerate(probabilities.T)]
    x = np.unique(np.concatenate([curve[0] for curve in curves]))
    before, after = np.zeros(len(x)), np.zeros(len(x))
    for false_positive, true_positive in curves:  # where a curve goes straight up it has two values
        before += np.interp(-x[::-1], -false_positive[::-1], true_positive[::-1])[::-1] / len(curves)
        after += np.interp(x, false_positive, true_positive) / len(curves)
    return _points(*_thinned(x.repeat(2), np.stack([before, after], 1).ravel()))


def _thinned_roc(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    false_positive, true_positive, _ = roc_curve(positive, scores)
    return _thinned(false_positive, true_positive)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(x) <= ROC_POINTS:
        return x, y
    # Even steps along the curve's length, as a plot shows it
    length = np.append(0, np.cumsum(np.hypot(np.diff(x), np.diff(y))))
    keep = np.unique(np.searchsorted(length, np.linspace(0, length[-1], ROC_POINTS)))
    return x[keep], y[keep]


def _points(x: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
    return [
        {"false_positive_rate": round(float(a), 5), "true_positive_rate": round(float(b), 5)}
        for a, b in zip(x, y, strict=True)
    ]
