"""What the stages before the report cost, each as it last ran."""

from pathlib import Path
from typing import Any

from stages.core.files import read_json

STAGES = (
    "download_imdb", "build_vocab", "tensorize", "fetch_glove", "embed_glove", "train_linear", "train_birnn",
    "train_textcnn", "evaluate", "fetch_hotdog", "fetch_source_model", "show_augmentation", "finetune", "scratch",
    "compare",
)  # fmt: skip


def read_costs(folder: Path) -> dict[str, Any]:
    """Return each stage's cost, the total with the largest peak, and the stages without: they were run by hand."""
    paths = {name: folder / f"{name}.json" for name in STAGES}
    stages = {name: read_json(path) for name, path in paths.items() if path.exists()}
    total = {key: sum(cost[key] for cost in stages.values()) for key in ("seconds", "cpu_seconds")}
    if peaks := [cost["peak_mb"] for cost in stages.values() if "peak_mb" in cost]:
        total["peak_mb"] = max(peaks)
    return {"stages": stages, "total": total, "missing": [name for name in STAGES if name not in stages]}
