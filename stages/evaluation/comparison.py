"""Paired comparison of models on the same examples."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import binomtest, norm


def compare_pairs(correct: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return the gain of each model over each of the models before it; correct: model -> bool (examples,)."""
    return [
        {"model": model, "baseline": baseline, **gain(correct[model], correct[baseline])}
        for baseline, model in combinations(correct, 2)
    ]


def gain(correct: np.ndarray, baseline: np.ndarray) -> dict[str, float]:
    """Return the gain in accuracy over a baseline, its 95 % paired interval, and McNemar's exact p.

    correct, baseline: bool (examples,), on the same examples. The interval is Bonett and Price's adjusted Wald
    interval (2012). p is the probability of a difference as large or larger if the models were equally good.
    """
    examples = len(correct)
    better, worse = int((correct & ~baseline).sum()), int((baseline & ~correct).sum())
    more, less = (better + 1) / (examples + 2), (worse + 1) / (examples + 2)
    middle = more - less
    width = norm.ppf(0.975) * np.sqrt((more + less - middle**2) / (examples + 2))
    return {
        "accuracy": float(correct.mean() - baseline.mean()),
        "ci_low": max(-1.0, float(middle - width)),
        "ci_high": min(1.0, float(middle + width)),
        "p": float(binomtest(better, better + worse).pvalue) if better + worse else 1.0,
    }
