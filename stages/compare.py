"""Compare fine-tuning with training from scratch: test pictures, models -> metrics, predictions, mistakes."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.core.cli import run
from stages.core.device import prepare
from stages.core.files import InputError, write_csv, write_json, write_table
from stages.core.fit import score
from stages.core.metrics import gain, in_words, measure_by_class
from stages.core.params import load_params
from stages.vision.classify import classify
from stages.vision.models import load
from stages.vision.pictures import Pictures, read_pictures
from stages.vision.sheets import Row, write_sheet

SHOWN = 8  # mistakes per model


def main(test_pictures: Path, finetune: Path, scratch: Path, out: Path) -> None:
    hardware = prepare(load_params().compare)
    pictures = read_pictures(test_pictures)
    actual = [pictures.classes[label] for label in pictures.labels.tolist()]
    table = pa.table({"id": pictures.ids, "label": actual})
    metrics, correct, mistakes = {}, [], []
    for folder in (finetune, scratch):
        classifier, config = load(folder)
        name, classes = config["model"], config["classes"]
        if classes != pictures.classes:
            raise InputError(f"{folder}: a model of {classes}, but {test_pictures} holds {pictures.classes}")
        logits, labels = classify(classifier, config, pictures, hardware)
        probabilities, known = logits.softmax(1).numpy(force=True), labels.numpy(force=True)
        metrics[name] = measure_by_class(probabilities, known, score(logits, labels)[0], classes)
        correct.append(probabilities.argmax(1) == known)
        mistakes.append(_mistakes(name, pictures, actual, probabilities, correct[-1]))
        predicted = [classes[i] for i in probabilities.argmax(1)]
        write_csv(out / f"confusion_{name}.csv", pa.table({"actual": actual, "predicted": predicted}))
        for number, of in enumerate(classes):
            table = table.append_column(f"{name}_{of}", pa.array(probabilities[:, number]))
        print(f"{name}: test acc {in_words(metrics[name])}")
    metrics["gain"] = gain(*correct)
    print(f"gain of {finetune.name} over {scratch.name}: {in_words(metrics['gain'])}")
    write_json(out / "metrics.json", metrics)
    write_table(out / "predictions.parquet", table)
    write_sheet(out / "mistakes.png", mistakes)


def _mistakes(name: str, pictures: Pictures, actual: list[str], probabilities: np.ndarray, correct: np.ndarray) -> Row:
    sure = np.where(correct, -1, probabilities.max(1))
    rows = [int(row) for row in np.argsort(-sure, kind="stable")[:SHOWN] if not correct[row]]
    said = [pictures.classes[i] for i in probabilities.argmax(1)]
    captions = [f"{said[row]} {sure[row]:.2f}\nis {actual[row]}" for row in rows]
    return Row(f"{name}: the surest of its mistakes", [pictures.decode(row) for row in rows], captions)


if __name__ == "__main__":
    run(main)
