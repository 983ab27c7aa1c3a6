"""The page's part on pictures: both picture models on the test half."""

from pathlib import Path
from typing import Any

from PIL import Image

from stages.core.device import Hardware
from stages.core.files import read_json, read_table
from stages.page.answers import confusion, mix_ups, read_answers, surest_mistakes, typical
from stages.page.examples import data_uri, picture_examples
from stages.page.results import learning_curves, read_trained
from stages.vision.models import load
from stages.vision.pictures import read_pictures

MIX_UPS = 12  # pairs of classes, where they are too many for a table
SHOWN = 6  # mistakes, and typical pictures, of each model


def picture_part(folders: list[Path], comparison: Path, test: Path, hardware: Hardware) -> dict[str, Any]:
    """Return what the template shows of the models in `folders`, which compare measured in `comparison`."""
    figures = read_json(comparison / "metrics.json")
    predictions = read_table(comparison / "predictions.parquet")
    pictures = read_pictures(test)
    models, trainings = [], []
    for folder in folders:
        trained = read_trained(folder)
        trainings.append(trained)
        loaded = load(folder)
        some = read_answers(predictions, trained.name, pictures.classes)
        rows = {"mistakes": surest_mistakes(some, SHOWN), "typical": typical(some, SHOWN)}
        examples = {kind: picture_examples(loaded, some, chosen, pictures, hardware) for kind, chosen in rows.items()}
        tables = {"confusion": confusion(some), "mix_ups": mix_ups(some, MIX_UPS)}
        models.append({"trained": trained, "figures": figures[trained.name], **tables, **examples})
    with Image.open(comparison / "augmentation.png") as sheet:
        augmentation = {"address": data_uri(sheet), "width": sheet.width, "height": sheet.height}
    return {
        "count": len(pictures),
        "classes": pictures.classes,
        "models": models,
        "gain": figures["gain"],
        "augmentation": augmentation,
        "charts": {
            "accuracy": learning_curves("Pictures", trainings, "accuracy"),
            "loss": learning_curves("Pictures", trainings, "loss"),
        },
    }
