"""The files that `evaluate` and `compare` write for each model."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from stages.core.files import write_csv, write_json
from stages.evaluation.calibration import reliability
from stages.evaluation.metrics import accuracy_text, headline, measure
from stages.inference.predict import score


def write_outputs(
    name: str, logits: Tensor, labels: Tensor, classes: list[str], out: Path, metrics: Path
) -> tuple[dict[str, Any], np.ndarray]:
    """Write a model's confusion and reliability to `out`, its headline figures to `metrics`.

    Returns all figures, and the probabilities (examples, classes).


    logits (examples, classes), labels (examples,), of the test split in its order.
    """
    probabilities, targets = logits.softmax(1).numpy(force=True), labels.numpy(force=True)
    figures = measure(probabilities, targets, score(logits, labels)[0], classes)
    actual, predicted = ([classes[i] for i in side] for side in (targets, probabilities.argmax(1)))
    write_csv(out / f"confusion_{name}.csv", pa.table({"actual": actual, "predicted": predicted}))
    write_csv(out / f"reliability_{name}.csv", pa.Table.from_pylist(reliability(probabilities, targets)))
    write_json(metrics / f"{name}.json", headline(figures))
    print(f"{name}: test acc {accuracy_text(figures)}")
    return figures, probabilities
