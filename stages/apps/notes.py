"""What a user should know of the models before believing them."""

from collections.abc import Iterable
from pathlib import Path

from stages.core.files import read_json
from stages.evaluation.titles import IMAGE_MODELS
from stages.inference.config import FILE

SAMPLE = "trained on the embedded sample{}; for real use: dvc exp run -S dataset=full"
DRAWN = ", whose pictures are drawn"


def sample_note(artifacts: Path, names: Iterable[str]) -> str | None:
    """Return a note if one of the models was trained on the embedded sample; a missing model has none."""
    for name in names:
        config = artifacts / name / FILE
        if config.exists() and read_json(config).get("dataset") == "sample":
            return SAMPLE.format(DRAWN if name in IMAGE_MODELS else "")
    return None
