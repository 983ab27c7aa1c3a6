"""Evaluate the text models on the test split: reviews, models -> figures, curves, predictions, metrics."""

from pathlib import Path

import pyarrow as pa

from stages.config.params import load_params
from stages.core.cli import run
from stages.core.files import read_table, write_json, write_table
from stages.evaluation.comparison import compare_pairs
from stages.evaluation.metrics import mean_roc, roc
from stages.evaluation.outputs import write_outputs
from stages.evaluation.titles import ENSEMBLE, TEXT_MODELS
from stages.inference.device import prepare
from stages.inference.predict import mean_of_probabilities, predict
from stages.text.batches.review_batches import EVAL_BATCH, ReviewBatches
from stages.text.batches.reviews import read_reviews
from stages.text.models.registry import load_text_model


def main(texts: Path, reviews: Path, models: Path, out: Path, metrics: Path) -> None:
    params = load_params().evaluate
    hardware = prepare(params.device, params.precision, params.threads)
    test = read_reviews(reviews / "test.safetensors")
    classes, targets = test.classes, test.labels.numpy()
    logits = {}
    for name in TEXT_MODELS:
        model, config = load_text_model(models / name)
        batches = ReviewBatches(test, EVAL_BATCH, hardware, seed=None, padding=config.padding)
        logits[name], _ = predict(model.to(hardware.device), batches, hardware, name, config.temperature)
    logits[ENSEMBLE] = mean_of_probabilities(list(logits.values()))
    table = read_table(texts / "test.parquet", ["id", "label"])
    figures, correct = {}, {}
    for name, values in logits.items():
        figures[name], probabilities = write_outputs(name, values.cpu(), test.labels, classes, out, metrics)
        correct[name] = probabilities.argmax(1) == targets
        binary = len(classes) == 2
        for number in range(1 if binary else 0, len(classes)):  # of two classes, the second's probability is enough
            table = table.append_column(f"{name}_{classes[number]}", pa.array(probabilities[:, number]))
        curve = roc(probabilities[:, 1], targets == 1) if binary else mean_roc(probabilities, targets)
        write_json(out / f"roc_{name}.json", curve)
    write_json(out / "figures.json", {"models": figures, "pairs": compare_pairs(correct)})
    write_table(out / "predictions.parquet", table)


if __name__ == "__main__":
    run(main)
