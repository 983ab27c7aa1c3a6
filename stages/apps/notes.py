"""The note that models were trained on the embedded sample."""

from collections.abc import Iterable
from pathlib import Path

from stages.core.files import read_json
from stages.evaluation.titles import IMAGE_MODELS
from stages.inference.config import FILE

SAMPLE = "trained on the embedded sample{}; for real use: dvc exp run -S dataset=full"
DRAWINGS = ", whose pictures are drawn"


def sample_note(artifacts: Path, names: Iterable[str]) -> str | None:
    """Return the note if one of the models was trained on the embedded sample, else None. A model may be missing."""
    for name in names:
        config = artifacts / name / FILE
        if config.exists() and read_json(config).get("dataset") == "sample":
            return SAMPLE.format(DRAWINGS if name in IMAGE_MODELS else "")
    return None
