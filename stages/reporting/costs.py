"""The cost of each stage before the report, in its last run."""

from pathlib import Path
from typing import Any

from stages.core.files import read_json

STAGES = (
    "download_imdb", "build_vocab", "tensorize", "fetch_glove", "embed_glove", "train_linear", "train_birnn",
    "train_textcnn", "evaluate", "fetch_hotdog", "fetch_source_model", "show_augmentation", "finetune", "scratch",
    "compare",
)  # fmt: skip


def read_costs(folder: Path) -> dict[str, Any]:
    """Return the stages' costs, their total, and the stages without a cost, which were run by hand.

    Seconds are summed; the total's memory is the largest peak.
    """
    paths = {name: folder / f"{name}.json" for name in STAGES}
    stages = {name: read_json(path) for name, path in paths.items() if path.exists()}
    total = {key: sum(cost[key] for cost in stages.values()) for key in ("seconds", "cpu_seconds")}
    if peaks := [cost["peak_mb"] for cost in stages.values() if "peak_mb" in cost]:
        total["peak_mb"] = max(peaks)
    return {"stages": stages, "total": total, "missing": [name for name in STAGES if name not in stages]}
