from math import comb, sqrt

import numpy as np
import pytest

from stages.evaluation.comparison import gain

Z = 1.959963984540054  # 97.5 % of the normal distribution lie below


def paired(both: int, better: int, worse: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    correct = np.repeat([True, True, False, False], [both, better, worse, neither])
    baseline = np.repeat([True, False, True, False], [both, better, worse, neither])
    return correct, baseline


@pytest.mark.parametrize("counts", [(600, 120, 40, 40), (10, 0, 0, 0), (0, 9, 0, 1), (3, 4, 5, 6)])
def test_the_interval_of_a_gain_is_bonetts_and_prices(counts: tuple[int, int, int, int]) -> None:
    _, better, worse, _ = counts
    number = sum(counts)
    figures = gain(*paired(*counts))
    p, q = (better + 1) / (number + 2), (worse + 1) / (number + 2)
    half = Z * sqrt((p + q - (p - q) ** 2) / (number + 2))
    assert figures["accuracy"] == pytest.approx((better - worse) / number)
    assert figures["ci_low"] == pytest.approx(max(-1, p - q - half))
    assert figures["ci_high"] == pytest.approx(min(1, p - q + half))


def test_the_interval_of_a_gain_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    truth, held = 0.12 - 0.04, 0
    for _ in range(1000):
        both, better, worse, neither = random.multinomial(200, [0.7, 0.12, 0.04, 0.14])
        figures = gain(*paired(both, better, worse, neither))
        held += figures["ci_low"] <= truth <= figures["ci_high"]
    assert 930 <= held <= 975


@pytest.mark.parametrize(("better", "worse"), [(12, 4), (4, 12), (5, 5), (1, 0), (0, 0)])
def test_p_is_mcnemars_exact_one(better: int, worse: int) -> None:
    # A coin that is tossed for each example on which the models differ
    number = better + worse
    tail = sum(comb(number, i) for i in range(min(better, worse) + 1)) / 2**number
    assert gain(*paired(20, better, worse, 3))["p"] == pytest.approx(min(1, 2 * tail))
