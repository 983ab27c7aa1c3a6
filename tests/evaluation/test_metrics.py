import json
import warnings
from math import sqrt

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from stages.evaluation.metrics import HEADLINE, ROC_POINTS, accuracy_text, headline, mean_roc, measure, roc

TWO = ["no", "yes"]
Z = 1.959963984540054  # 97.5 % of the normal distribution lie below


def wilson(right: int, number: int) -> tuple[float, float]:
    share = right / number
    middle = (share + Z**2 / (2 * number)) / (1 + Z**2 / number)
    half = Z * sqrt(share * (1 - share) / number + Z**2 / (4 * number**2)) / (1 + Z**2 / number)
    return middle - half, middle + half


def two_columns(positive: list[float]) -> np.ndarray:
    return np.array([[1 - p, p] for p in positive], np.float32)


def curve(points: list[dict[str, float]]) -> tuple[np.ndarray, np.ndarray]:
    x = np.array([point["false_positive_rate"] for point in points])
    return x, np.array([point["true_positive_rate"] for point in points])


@pytest.mark.parametrize(("right", "number"), [(7, 10), (21_345, 25_000), (1, 4), (6, 6), (0, 6)])
def test_the_interval_of_the_accuracy_is_wilsons(right: int, number: int) -> None:
    labels = np.arange(number) % 2
    says = np.where(np.arange(number) < right, labels, 1 - labels)
    figures = measure(two_columns([0.9 if label else 0.2 for label in says]), labels, 0.5, TWO)
    low, high = wilson(right, number)
    assert figures["accuracy"] == right / number
    assert figures["ci_low"] == pytest.approx(low, abs=1e-9)
    assert figures["ci_high"] == pytest.approx(high, abs=1e-9)


def test_two_classes_by_hand() -> None:
    # says 1, 1, 0, 1, 0: two hits, a miss, a false alarm; 5 of 6 pairs of a positive and a negative in order
    figures = measure(two_columns([0.9, 0.8, 0.3, 0.6, 0.1]), np.array([1, 1, 1, 0, 0]), 0.25, TWO)
    assert figures.keys() == {*HEADLINE, "precision", "recall", "recall_by_class"}
    assert figures["accuracy"] == 3 / 5
    assert figures["loss"] == 0.25
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["recall"] == pytest.approx(2 / 3)
    assert figures["f1"] == pytest.approx(2 / 3)
    assert figures["roc_auc"] == pytest.approx(5 / 6)


def test_the_second_of_two_classes_is_the_positive_one() -> None:
    # says 1, 0, 0, 0
    figures = measure(two_columns([0.9, 0.2, 0.1, 0.3]), np.array([1, 1, 0, 0]), 0.0, TWO)
    assert figures["precision"] == 1.0
    assert figures["recall"] == 0.5
    assert figures["f1"] == pytest.approx(2 / 3)
    assert figures["roc_auc"] == 0.75


def test_three_classes_are_means_over_the_classes() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.array(
        [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7], [0.6, 0.1, 0.3]]
    )  # says 0, 1, 1, 1, 2, 0
    figures = measure(probabilities, labels, 0.0, ["a", "b", "c"])
    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["precision"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert figures["recall"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert figures["f1"] == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)
    areas = []
    for label in range(3):
        ours, others = probabilities[labels == label, label], probabilities[labels != label, label]
        areas.append(np.mean([(a > b) + (a == b) / 2 for a in ours for b in others]))
    assert figures["roc_auc"] == pytest.approx(np.mean(areas))


def test_a_model_that_never_says_positive_has_precision_0_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = measure(two_columns([0.1, 0.2, 0.3]), np.array([1, 0, 0]), 0.0, TWO)
    assert (figures["precision"], figures["recall"], figures["f1"]) == (0.0, 0.0, 0.0)


def test_the_figures_are_plain_json() -> None:
    figures = measure(two_columns([0.9, 0.2]), np.array([1, 0]), 0.5, TWO)
    assert json.loads(json.dumps(figures)) == figures


def test_a_roc_curve_by_hand() -> None:
    points = roc(np.array([0.9, 0.8, 0.4, 0.3]), np.array([True, False, True, False]))
    assert [tuple(point.values()) for point in points] == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]
    assert all(point.keys() == {"false_positive_rate", "true_positive_rate"} for point in points)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.1, 0.2, 0.8, 0.9], [(0, 0), (0, 1), (1, 1)]), ([0.5] * 4, [(0, 0), (1, 1)])],
)
def test_the_roc_curves_of_a_perfect_and_a_blind_model(scores: list[float], expected: list[tuple[int, int]]) -> None:
    x, y = curve(roc(np.array(scores), np.array([False, False, True, True])))
    corners = sorted({(a, b) for a, b in zip(x, y, strict=True)})
    assert set(expected) <= set(corners)
    assert np.trapezoid(y, x) == (0.5 if scores[0] == scores[-1] else 1.0)


@pytest.mark.parametrize("positives", [12_500, 5, 24_995])
@pytest.mark.parametrize("skill", [0.0, 1.0, 4.0])
def test_a_long_roc_curve_is_thinned_to_the_same_area(positives: int, skill: float) -> None:
    chance = np.random.default_rng(0)
    positive = np.arange(25_000) < positives
    scores = chance.normal(size=25_000) + skill * positive
    points = roc(scores, positive)
    assert 2 < len(points) <= ROC_POINTS
    x, y = curve(points)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(positive, scores), abs=1e-3)


def test_equal_scores_are_one_step_of_the_curve() -> None:
    chance = np.random.default_rng(1)
    positive = chance.random(5_000) < 0.5
    scores = (chance.normal(size=5_000) + positive).round(1)
    x, y = curve(roc(scores, positive))
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(positive, scores), abs=1e-3)


def test_a_mean_roc_curve_by_hand() -> None:
    # Class 0 goes up, then along; class 1 along, then up; class 2 up half of the way along
    labels = np.array([0, 1, 2])
    probabilities = np.array([[0.5, 0.3, 0.2], [0.3, 0.1, 0.6], [0.4, 0.4, 0.3]])
    by_class = [
        [tuple(point.values()) for point in roc(probabilities[:, number], labels == number)] for number in range(3)
    ]
    assert by_class == [
        [(0, 0), (0, 1), (1, 1)],
        [(0, 0), (0.5, 0), (1, 0), (1, 1)],
        [(0, 0), (0.5, 0), (0.5, 1), (1, 1)],
    ]
    points = [tuple(point.values()) for point in mean_roc(probabilities, labels)]
    assert points == [(0, 0), (0, 0.33333), (0.5, 0.33333), (0.5, 0.66667), (1, 0.66667), (1, 1)]


@pytest.mark.parametrize(("examples", "classes"), [(9, 3), (300, 5), (20_000, 4)])
@pytest.mark.parametrize("skill", [0.0, 2.0])
def test_the_area_below_the_mean_roc_curve_is_the_mean_area(examples: int, classes: int, skill: float) -> None:
    labels = np.arange(examples) % classes
    scores = np.random.default_rng(0).normal(size=(examples, classes)).round(2)  # some equal
    scores[np.arange(examples), labels] += skill
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    points = mean_roc(probabilities, labels)
    assert len(points) <= ROC_POINTS
    x, y = curve(points)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(
        measure(probabilities, labels, 0.0, [str(i) for i in range(classes)])["roc_auc"], abs=1e-3
    )


def test_recall_by_class_is_each_classs_own() -> None:
    predicted, labels = np.array([0, 0, 1, 2, 1, 1]), np.array([0, 0, 0, 1, 1, 2])
    figures = measure(np.eye(3, dtype=np.float32)[predicted], labels, 0.5, ["cat", "dog", "cow"])
    assert figures["recall_by_class"] == pytest.approx({"cat": 2 / 3, "dog": 1 / 2, "cow": 0})


def test_a_metrics_file_has_a_few_columns() -> None:
    figures = measure(two_columns([0.9, 0.2]), np.array([1, 0]), 0.5, TWO)
    assert list(headline(figures)) == ["accuracy", "ci_low", "ci_high", "loss", "f1", "roc_auc", "ece"]
    assert headline(figures).items() <= figures.items()


def test_figures_as_text() -> None:
    words = accuracy_text({"accuracy": 0.86124, "ci_low": 0.857, "ci_high": 0.8651, "loss": 1.0})
    assert words == "0.8612 (95 % interval 0.8570 to 0.8651)"
