"""The report's part on images: both image models on the test split."""

from pathlib import Path
from typing import Any

from PIL import Image

from stages.core.files import read_json, read_table
from stages.evaluation.titles import IMAGE_MODELS, TITLES
from stages.inference.device import Hardware
from stages.reporting.examples import data_uri, image_examples
from stages.reporting.predictions import confident_mistakes, confusion, mix_ups, predictions_of, typical
from stages.reporting.results import learning_curves, read_trained, reliability_chart
from stages.vision.batches.images import Images, read_images, read_skipped
from stages.vision.networks import load_image_model

MIX_UPS = 12  # most frequent confusions, shown if there are too many classes for a table
SHOWN = 6  # mistakes of each model, and as many typical predictions


def image_part(data: Path, artifacts: Path, hardware: Hardware) -> dict[str, Any]:
    """Return the template's values about the image models."""
    comparison = artifacts / "comparison"
    found = read_json(comparison / "figures.json")
    figures: dict[str, Any] = found["models"]
    table = read_table(comparison / "predictions.parquet")
    test = data / "hotdog/test.parquet"
    images = read_images(test)
    splits = [file for split in ("train", "valid") if (file := data / f"hotdog/{split}.parquet").exists()]
    models, trainings = [], []
    for name in IMAGE_MODELS:
        loaded = load_image_model(artifacts / name)
        trained = read_trained(artifacts / name, loaded[1], artifacts / f"costs/{name}.json")
        trainings.append(trained)
        predictions = predictions_of(table, name, images.classes)
        rows = {"mistakes": confident_mistakes(predictions, SHOWN), "typical": typical(predictions, SHOWN)}
        examples = {
            kind: image_examples(loaded, predictions, chosen, images, hardware) for kind, chosen in rows.items()
        }
        tables = {"confusion": confusion(predictions), "mix_ups": mix_ups(predictions, MIX_UPS)}
        models.append({"title": TITLES[name], "figures": figures[name], "trained": trained, **tables, **examples})
    with Image.open(artifacts / "augmentation.png") as sheet:
        augmentation = {"address": data_uri(sheet), "width": sheet.width, "height": sheet.height}
    return {
        "count": len(images),
        "repeated": _repeated(splits, images),
        "skipped": sorted({name for file in (*splits, test) for name in read_skipped(file)}),
        "classes": images.classes,
        "models": models,
        "pairs": found["pairs"],
        "augmentation": augmentation,
        "charts": {
            "accuracy": learning_curves("Pictures", trainings, "accuracy"),
            "loss": learning_curves("Pictures", trainings, "loss"),
            "reliability": reliability_chart({name: row["ece"] for name, row in figures.items()}, comparison),
        },
    }


def _repeated(splits: list[Path], test: Images) -> int:
    """Return how many of the test pictures occur in the files of the other splits, pixel for pixel."""
    known = {content for file in splits for content in read_images(file).contents()}
    return sum(content in known for content in test.contents())
