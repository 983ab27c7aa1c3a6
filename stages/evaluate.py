"""Evaluate the models on the test half: models, test reviews -> metrics, curves, predictions."""

from pathlib import Path

import pyarrow as pa

from stages.core.cli import run
from stages.core.device import prepare
from stages.core.files import read_table, write_csv, write_json, write_table
from stages.core.fit import predict, score
from stages.core.metrics import in_words, mean_roc, measure, roc
from stages.core.params import load_params
from stages.text.batches import TEST_BATCH, ReviewBatches
from stages.text.models import load
from stages.text.ragged import read_reviews


def main(test: Path, test_reviews: Path, birnn: Path, textcnn: Path, out: Path) -> None:
    hardware = prepare(load_params().evaluate)
    reviews = read_reviews(test_reviews)
    table = read_table(test, ["id", "label"])
    metrics = {}
    for folder in (birnn, textcnn):
        model, config = load(folder)
        batches = ReviewBatches(reviews, TEST_BATCH, hardware.device, seed=None, **config["padding"])
        logits, labels = predict(model.to(hardware.device), batches, hardware, folder.name)
        probabilities, known = logits.softmax(1).numpy(force=True), labels.numpy(force=True)
        name, classes = config["model"], config["classes"]
        two = len(classes) == 2
        metrics[name] = measure(probabilities, known, score(logits, labels)[0])
        for number in range(1 if two else 0, len(classes)):  # of two, one says it all
            table = table.append_column(f"{name}_{classes[number]}", pa.array(probabilities[:, number]))
        predicted = [classes[i] for i in probabilities.argmax(1)]
        curve = roc(probabilities[:, 1], known == 1) if two else mean_roc(probabilities, known)
        write_json(out / f"roc_{name}.json", curve)
        write_csv(out / f"confusion_{name}.csv", pa.table({"actual": table["label"], "predicted": predicted}))
        print(f"{name}: test acc {in_words(metrics[name])}")
    write_json(out / "metrics.json", metrics)
    write_table(out / "predictions.parquet", table)


if __name__ == "__main__":
    run(main)
