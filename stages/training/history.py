"""The figures and the seconds of each epoch."""

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from stages.core.files import write_csv

FIGURES = ("loss", "accuracy")
COLUMNS = [f"{split}_{figure}" for split in ("train", "validation", "test") for figure in FIGURES]


@dataclass
class History:
    rows: list[dict[str, float]] = field(default_factory=list)  # one per epoch: "train_loss", "test_accuracy", …
    seconds: list[dict[str, float]] = field(default_factory=list)  # one per epoch: split -> wall-clock seconds

    def best_epoch(self) -> int:
        """Return the number, from 1, of the epoch with the highest validation accuracy; of equals, the least loss.

        Models are compared by accuracy. The loss of an overconfident model rises while its accuracy still improves.
        """
        keys = [(row["validation_accuracy"], -row["validation_loss"]) for row in self.rows]
        return 1 + keys.index(max(keys))


def write_curves(path: Path, history: History) -> None:
    """Write one row per epoch, for `dvc plots`. The columns of a split that is not scored are empty."""
    columns = {name: pa.array([row.get(name) for row in history.rows], pa.float64()) for name in COLUMNS}
    write_csv(path, pa.table({"epoch": pa.array(range(1, len(history.rows) + 1)), **columns}))
