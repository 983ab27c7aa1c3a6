import numpy as np
import pytest

from stages.evaluation.calibration import BINS, calibration_error, reliability


def binary(confidence: np.ndarray) -> np.ndarray:
    return np.stack([confidence, 1 - confidence], 1)


def test_of_predictions_that_are_as_often_right_as_they_are_confident_the_error_is_small() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, 100_000)
    labels = (random.uniform(size=100_000) > confidence).astype(int)
    assert calibration_error(binary(confidence), labels) < 0.01


def test_the_error_is_the_distance_of_confidence_and_accuracy_weighed_by_count() -> None:
    confidence = np.array([0.9] * 10 + [0.6] * 30)
    labels = np.array([0] * 7 + [1] * 3 + [0] * 21 + [1] * 9)  # .7 right in both
    assert calibration_error(binary(confidence), labels) == pytest.approx((10 * 0.2 + 30 * 0.1) / 40)


def test_the_points_of_a_reliability_diagram() -> None:
    confidence = np.array([0.9, 0.92, 1.0, 0.6])
    points = reliability(binary(confidence), np.array([0, 1, 0, 0]))
    assert [point["count"] for point in points] == [1, 2, 1]
    assert [point["accuracy"] for point in points] == [1, 0.5, 1]
    assert [point["confidence"] for point in points] == pytest.approx([0.6, 0.91, 1.0])
    assert len(points) <= BINS


def test_of_three_classes_confidence_is_that_of_the_predicted_one() -> None:
    (point,) = reliability(np.array([[0.2, 0.5, 0.3]]), np.array([1]))
    assert point == {"confidence": 0.5, "accuracy": 1.0, "count": 1}
