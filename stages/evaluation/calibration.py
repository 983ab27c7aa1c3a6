"""Calibration of a model's probabilities: of the predictions with confidence .8, a fraction of .8 should be right."""

import numpy as np

BINS = 15  # of equal width, as in Guo et al. 2017


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Return the points of a reliability diagram: the mean confidence, the accuracy and the count of each bin.

    probabilities (examples, classes), labels (examples,). Confidence is the probability of the predicted class. Empty
    bins are left out.
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "confidence": float(confidence[bins == number].mean()),
            "accuracy": float(correct[bins == number].mean()),
            "count": int((bins == number).sum()),
        }
        for number in np.unique(bins)
    ]


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error (Guo et al. 2017): the mean of |confidence - accuracy| over the examples.

    probabilities (examples, classes), labels (examples,). Confidence and accuracy are those of the example's bin.
    """
    points = reliability(probabilities, labels)
    return sum(point["count"] * abs(point["confidence"] - point["accuracy"]) for point in points) / len(labels)
