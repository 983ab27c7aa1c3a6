"""What each epoch came to."""

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from stages.core.files import write_csv

FIGURES = ("loss", "accuracy")
COLUMNS = [f"{split}_{figure}" for split in ("train", "validation", "test") for figure in FIGURES]


@dataclass
class History:
    rows: list[dict[str, float]] = field(default_factory=list)  # an epoch each: "train_loss", "test_accuracy", …
    seconds: list[dict[str, float]] = field(default_factory=list)  # an epoch each: split -> wall-clock seconds

    def best_epoch(self) -> int:
        """Return the number, from 1, of the epoch of highest validation accuracy; of equals, that of least loss.

        Accuracy is what models are compared by, and the loss of an overconfident model rises while it still learns.
        """
        keys = [(row["validation_accuracy"], -row["validation_loss"]) for row in self.rows]
        return 1 + keys.index(max(keys))


def write_curves(path: Path, history: History) -> None:
    """Write a row an epoch, for `dvc plots`; the columns of a split that is not scored stay empty."""
    columns = {name: pa.array([row.get(name) for row in history.rows], pa.float64()) for name in COLUMNS}
    write_csv(path, pa.table({"epoch": pa.array(range(1, len(history.rows) + 1)), **columns}))
