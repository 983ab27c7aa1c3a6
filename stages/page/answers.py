"""What a model answered on the test half, and which of its answers are worth a look."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Answers:
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
        """The probability of the class that is answered."""
        return self.probabilities.max(1)


def read_answers(predictions: pa.Table, name: str, classes: list[str]) -> Answers:
    """Return what model `name` answered; of two classes one column is enough."""
    columns = [f"{name}_{of}" for of in classes]
    found = [predictions[column].to_numpy() for column in columns if column in predictions.column_names]
    if len(found) == 1:
        found.insert(0, 1 - found[0])
    labels = np.array([classes.index(label) for label in predictions["label"].to_pylist()])
    return Answers(classes, np.stack(found, 1), labels)


def surest_mistakes(answers: Answers, count: int) -> list[int]:
    """Return the rows of at most `count` wrong answers, the surest first."""
    wrong = np.flatnonzero(~answers.correct)
    return wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:count].tolist()


def typical(answers: Answers, count: int) -> list[int]:
    """Return the rows of at most `count` right answers that are as sure as half of its class are, from each class."""
    rows: list[int] = []
    for number in range(len(answers.classes)):
        right = np.flatnonzero(answers.correct & (answers.labels == number))
        if len(right):
            distance = np.abs(answers.confidence[right] - np.median(answers.confidence[right]))
            rows += right[np.argsort(distance, kind="stable")][: -(-count // len(answers.classes))].tolist()
    return rows[:count]


def confusion(answers: Answers) -> np.ndarray:
    """Return how often each class (rows) was answered as each class (columns)."""
    size = len(answers.classes)
    return np.bincount(answers.labels * size + answers.predicted, minlength=size * size).reshape(size, size)


def mix_ups(answers: Answers, count: int) -> list[tuple[str, str, int]]:
    """Return the `count` commonest pairs of a class and another that it was taken for, and how often it was."""
    counts = confusion(answers)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:count]
    pairs = [(int(place) // len(counts), int(place) % len(counts)) for place in order]
    return [(answers.classes[a], answers.classes[b], int(counts[a, b])) for a, b in pairs if counts[a, b]]
