import numpy as np
import pyarrow as pa

from stages.reporting.predictions import (
    ModelPredictions,
    confident_mistakes,
    confusion,
    mix_ups,
    predictions_of,
    typical,
)

CLASSES = ["no", "yes"]


def predictions(yes: list[float], labels: list[int]) -> ModelPredictions:
    p = np.array(yes)
    return ModelPredictions(CLASSES, np.stack([1 - p, p], 1), np.array(labels))


def test_one_column_is_enough_of_two_classes() -> None:
    table = pa.table({"label": ["yes", "no"], "a_yes": [0.9, 0.25], "b_yes": [0.1, 0.2]})
    found = predictions_of(table, "a", CLASSES)
    assert found.probabilities.tolist() == [[1 - 0.9, 0.9], [0.75, 0.25]]
    assert found.labels.tolist() == [1, 0]
    assert found.correct.all()


def test_of_three_classes_each_has_its_column() -> None:
    table = pa.table({"label": ["z", "x"], "m_x": [0.2, 0.2], "m_y": [0.3, 0.7], "m_z": [0.5, 0.1]})
    found = predictions_of(table, "m", ["x", "y", "z"])
    assert found.predicted.tolist() == [2, 1]
    assert found.confidence.tolist() == [0.5, 0.7]
    assert confusion(found).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_the_surest_mistakes_come_first_and_right_predictions_never() -> None:
    found = predictions([0.6, 0.95, 0.99, 0.2, 0.95], [0, 0, 1, 1, 0])
    assert confident_mistakes(found, 9) == [1, 4, 3, 0]
    assert confident_mistakes(found, 2) == [1, 4]
    assert confident_mistakes(predictions([0.9], [1]), 3) == []


def test_typical_predictions_are_right_and_of_median_confidence_in_their_class() -> None:
    found = predictions([0.1, 0.25, 0.31, 0.4, 0.0, 0.99, 0.81, 0.6, 0.05], [0, 0, 0, 0, 0, 1, 1, 1, 1])
    assert typical(found, 2) == [1, 6]  # the middle of 1, .9, .75, .69, .6, and of .99, .81, .6
    assert typical(found, 3) == [1, 2, 6]
    assert 8 not in typical(found, 10)  # wrong


def test_a_class_that_is_never_recognised_has_no_typical_prediction() -> None:
    assert typical(predictions([0.9, 0.8], [1, 0]), 4) == [0]


def test_confusion_counts_actual_in_rows_and_predictions_in_columns() -> None:
    assert confusion(predictions([0.9, 0.8, 0.2, 0.7], [0, 0, 0, 1])).tolist() == [[1, 2], [0, 1]]


def test_the_commonest_mix_ups_come_first_and_right_predictions_never() -> None:
    says, labels = np.array([0, 1, 1, 2, 2, 2, 0, 0]), np.array([0, 0, 0, 1, 2, 2, 1, 1])
    found = ModelPredictions(["a", "b", "c"], np.eye(3)[says], labels)
    assert mix_ups(found, 9) == [("a", "b", 2), ("b", "a", 2), ("b", "c", 1)]
    assert mix_ups(found, 1) == [("a", "b", 2)]
    assert mix_ups(predictions([0.9], [1]), 3) == []
