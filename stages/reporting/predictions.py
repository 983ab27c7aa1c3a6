"""A model's predictions on the test split, and the choice of examples to show."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class ModelPredictions:
    classes: list[str]
    probabilities: np.ndarray  # (examples, classes)
    labels: np.ndarray  # int (examples,): indices of classes

    @property
    def predicted(self) -> np.ndarray:
        return self.probabilities.argmax(1)

    @property
    def correct(self) -> np.ndarray:
        return self.predicted == self.labels

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the predicted class."""
        return self.probabilities.max(1)


def predictions_of(table: pa.Table, name: str, classes: list[str]) -> ModelPredictions:
    """Return the predictions of model `name` from the table that evaluate or compare wrote.

    With two classes it may have one column of probabilities only.
    """
    columns = [f"{name}_{label}" for label in classes]
    found = [table[column].to_numpy() for column in columns if column in table.column_names]
    if len(found) == 1:
        found.insert(0, 1 - found[0])
    labels = np.array([classes.index(label) for label in table["label"].to_pylist()])
    return ModelPredictions(classes, np.stack(found, 1), labels)


def confident_mistakes(predictions: ModelPredictions, count: int) -> list[int]:
    """Return the rows of at most `count` mistakes, the most confident first."""
    wrong = np.flatnonzero(~predictions.correct)
    return wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:count].tolist()


def typical(predictions: ModelPredictions, count: int) -> list[int]:
    """Return the rows of at most `count` right predictions, those nearest to the median confidence of each class."""
    rows: list[int] = []
    for number in range(len(predictions.classes)):
        right = np.flatnonzero(predictions.correct & (predictions.labels == number))
        if len(right):
            distance = np.abs(predictions.confidence[right] - np.median(predictions.confidence[right]))
            rows += right[np.argsort(distance, kind="stable")][: -(-count // len(predictions.classes))].tolist()
    return rows[:count]


def confusion(predictions: ModelPredictions) -> np.ndarray:
    """Return how often each class (rows) was predicted as each class (columns)."""
    size = len(predictions.classes)
    pairs = predictions.labels * size + predictions.predicted
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def mix_ups(predictions: ModelPredictions, count: int) -> list[tuple[str, str, int]]:
    """Return the `count` most frequent pairs of an actual and another predicted class, with their counts."""
    counts, classes = confusion(predictions), predictions.classes
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:count]
    pairs = [(int(place) // len(counts), int(place) % len(counts)) for place in order]
    return [(classes[a], classes[b], int(counts[a, b])) for a, b in pairs if counts[a, b]]
