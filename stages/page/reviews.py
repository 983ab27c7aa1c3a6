"""The page's part on reviews: both text models on the test half."""

from pathlib import Path
from typing import Any

from stages.core.device import Hardware
from stages.core.files import read_json, read_table
from stages.page.answers import confusion, mix_ups, read_answers, surest_mistakes, typical
from stages.page.examples import review_examples
from stages.page.results import learning_curves, length_chart, read_trained, roc_chart
from stages.text.models import load
from stages.text.ragged import read_reviews

MIX_UPS = 12  # pairs of classes, where they are too many for a table
SHOWN = 6  # mistakes, and typical reviews, of each model


def review_part(
    folders: list[Path], evaluation: Path, test: Path, test_reviews: Path, hardware: Hardware
) -> dict[str, Any]:
    """Return what the template shows of the models in `folders`, which evaluate measured in `evaluation`."""
    figures = read_json(evaluation / "metrics.json")
    predictions = read_table(evaluation / "predictions.parquet")
    table, reviews = read_table(test, ["id", "text"]), read_reviews(test_reviews)
    models, trainings, answers = [], [], []
    for folder in folders:
        trained = read_trained(folder)
        trainings.append(trained)
        model, config = load(folder)
        loaded = (model.to(hardware.device), config)
        some = read_answers(predictions, trained.name, config["classes"])
        rows = {"mistakes": surest_mistakes(some, SHOWN), "typical": typical(some, SHOWN)}
        examples = {
            kind: review_examples(loaded, some, chosen, table, reviews, hardware) for kind, chosen in rows.items()
        }
        tables = {"confusion": confusion(some), "mix_ups": mix_ups(some, MIX_UPS)}
        models.append({"trained": trained, "figures": figures[trained.name], **tables, **examples})
        answers.append(some)
    areas = [model["figures"]["roc_auc"] for model in models]
    return {
        "count": len(reviews),
        "classes": reviews.classes,
        "models": models,
        "charts": {
            "accuracy": learning_curves("Reviews", trainings, "accuracy"),
            "loss": learning_curves("Reviews", trainings, "loss"),
            "roc": roc_chart(trainings, evaluation, reviews.classes, areas),
            "length": length_chart(trainings, answers, reviews.offsets.diff().numpy()),
        },
    }
