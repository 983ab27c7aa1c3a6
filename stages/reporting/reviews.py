"""The report's part on reviews: the text models on the test split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from stages.core.files import read_json, read_row_groups, read_table
from stages.evaluation.titles import TEXT_MODELS, TITLES
from stages.explain.ngrams import top_ngrams
from stages.inference.device import Hardware
from stages.reporting.examples import review_examples
from stages.reporting.predictions import confident_mistakes, confusion, mix_ups, predictions_of, typical
from stages.reporting.results import learning_curves, length_chart, read_trained, reliability_chart, roc_chart
from stages.sources.repeats import repeated
from stages.text.batches.reviews import read_reviews
from stages.text.models.linear import LinearModel
from stages.text.models.registry import load_text_model
from stages.text.words.vocabulary import read_vocabulary

MIX_UPS = 12  # most frequent confusions, shown if there are too many classes for a table
SHOWN = 6  # mistakes of each model, and as many typical predictions
TOP_NGRAMS = 16  # of each class
NGRAM_CLASSES = 12  # classes whose n-grams are shown, at most


def review_part(data: Path, artifacts: Path, hardware: Hardware) -> dict[str, Any]:
    """Return the template's values about the text models."""
    evaluation = artifacts / "evaluation"
    found = read_json(evaluation / "figures.json")
    figures: dict[str, Any] = found["models"]
    table = read_table(evaluation / "predictions.parquet")
    texts = read_table(data / "imdb/test.parquet", ["id", "text"])
    reviews = read_reviews(artifacts / "reviews/test.safetensors")
    predictions = {name: predictions_of(table, name, reviews.classes) for name in figures}
    models, trainings, ngrams = [], [], []
    for name, of_model in predictions.items():
        tables = {"confusion": confusion(of_model), "mix_ups": mix_ups(of_model, MIX_UPS)}
        entry: dict[str, Any] = {"title": TITLES[name], "figures": figures[name], "trained": None, **tables}
        if name in TEXT_MODELS:
            model, config = load_text_model(artifacts / name)
            loaded = (model.to(hardware.device), config)
            entry["trained"] = read_trained(artifacts / name, config, artifacts / f"costs/train_{name}.json")
            trainings.append(entry["trained"])
            rows = {"mistakes": confident_mistakes(of_model, SHOWN), "typical": typical(of_model, SHOWN)}
            for kind, chosen in rows.items():
                entry[kind] = review_examples(loaded, of_model, chosen, texts, reviews, hardware)
            ngrams = ngrams or ngrams_by_class(model, config.classes, artifacts / "vocab.parquet")
        models.append(entry)
    return {
        "count": len(reviews),
        "repeated": len(repeated(_texts(data / "imdb/train.parquet"), texts["text"].to_pylist())),
        "classes": reviews.classes,
        "models": models,
        "pairs": found["pairs"],
        "ngrams": ngrams,
        "charts": {
            "accuracy": learning_curves("Reviews", trainings, "accuracy"),
            "loss": learning_curves("Reviews", trainings, "loss"),
            "roc": roc_chart({name: row["roc_auc"] for name, row in figures.items()}, evaluation, reviews.classes),
            "reliability": reliability_chart({name: row["ece"] for name, row in figures.items()}, evaluation),
            "length": length_chart(predictions, reviews.offsets.diff().numpy()),
        },
    }


def _texts(path: Path) -> Iterator[str]:
    for table in read_row_groups(path, ["text"]):
        yield from table["text"].to_pylist()


def ngrams_by_class(model: nn.Module, classes: list[str], vocab: Path) -> list[dict[str, Any]]:
    """Return the n-grams with the largest weights for each class; empty if the model has no n-grams."""
    if not isinstance(model, LinearModel):
        return []
    words = read_vocabulary(vocab).words
    return [
        {
            "name": name,
            "ngrams": [
                (" ".join(words[i] for i in ids), weight) for ids, weight in top_ngrams(model, target, TOP_NGRAMS)
            ],
        }
        for target, name in enumerate(classes[:NGRAM_CLASSES])
    ]
