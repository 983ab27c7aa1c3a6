"""The report: all that the pipeline came to -> one page that opens from disk, without a network."""

from pathlib import Path
from typing import Any

from stages.core.cli import run
from stages.core.device import prepare
from stages.core.files import read_json
from stages.core.params import load_params
from stages.page.costs import read_costs
from stages.page.pictures import picture_part
from stages.page.render import write_page
from stages.page.results import file_facts
from stages.page.reviews import review_part

DATA = (
    "imdb/train.parquet", "imdb/test.parquet", "glove.parquet",
    "hotdog/train.parquet", "hotdog/test.parquet", "source_model.safetensors",
)  # fmt: skip


def main(
    data: Path,
    test_reviews: Path,
    coverage: Path,
    birnn: Path,
    textcnn: Path,
    evaluation: Path,
    finetune: Path,
    scratch: Path,
    hotdog: Path,
    costs: Path,
    page: Path,
) -> None:
    params = load_params()
    hardware = prepare(params.report)
    reviews = review_part([birnn, textcnn], evaluation, data / "imdb/test.parquet", test_reviews, hardware)
    pictures = picture_part([finetune, scratch], hotdog, data / "hotdog/test.parquet", hardware)
    shown: dict[str, Any] = {
        "build_vocab": params.build_vocab, "tensorize": params.tensorize, "embed_glove": params.embed_glove,
        "train_birnn": params.train_birnn, "train_textcnn": params.train_textcnn, "evaluate": params.evaluate,
        "pictures": params.pictures, "augment": params.augment, "finetune": params.finetune,
        "scratch": params.scratch, "compare": params.compare, "report": params.report,
    }  # fmt: skip
    content = {
        "dataset": params.dataset,
        "reviews": reviews,
        "pictures": pictures,
        "coverage": read_json(coverage),
        "costs": read_costs(costs),
        "params": {name: section.model_dump() for name, section in shown.items()},
        "files": file_facts([data / name for name in DATA]),
    }
    write_page(page, content)
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
