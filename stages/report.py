"""Write the report: all results -> one HTML file that opens from disk, without a network."""

from pathlib import Path
from typing import Any

from stages.config.params import load_params
from stages.core.cli import run
from stages.core.files import read_json
from stages.evaluation.titles import TITLES
from stages.inference.device import prepare
from stages.reporting.costs import read_costs
from stages.reporting.images import image_part
from stages.reporting.render import write_page
from stages.reporting.results import file_facts
from stages.reporting.reviews import review_part

DATA = (
    "imdb/train.parquet", "imdb/test.parquet", "glove.parquet",
    "hotdog/train.parquet", "hotdog/test.parquet", "source_model.safetensors",
)  # fmt: skip


def main(data: Path, artifacts: Path, page: Path) -> None:
    params = load_params()
    hardware = prepare(params.report.device, params.report.precision, params.report.threads)
    sections: dict[str, Any] = {
        "build_vocab": params.build_vocab, "tensorize": params.tensorize, "embed_glove": params.embed_glove,
        "train_linear": params.train_linear, "train_birnn": params.train_birnn,
        "train_textcnn": params.train_textcnn, "evaluate": params.evaluate,
        "pictures": params.pictures, "augment": params.augment, "finetune": params.finetune,
        "scratch": params.scratch, "compare": params.compare, "report": params.report,
    }  # fmt: skip
    content = {
        "dataset": params.dataset,
        "titles": TITLES,
        "reviews": review_part(data, artifacts, hardware),
        "pictures": image_part(data, artifacts, hardware),
        "coverage": read_json(artifacts / "coverage.json"),
        "costs": read_costs(artifacts / "costs"),
        "params": {name: section.model_dump() for name, section in sections.items()},
        "files": file_facts([data / name for name in DATA]),
    }
    write_page(page, content)
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
