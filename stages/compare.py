"""Compare fine-tuning with training from scratch: images, models -> figures, predictions, mistakes, metrics."""

from pathlib import Path

import pyarrow as pa
import torch

from stages.config.params import load_params
from stages.core.cli import run
from stages.core.files import InputError, write_json, write_table
from stages.evaluation.comparison import compare_pairs
from stages.evaluation.metrics import accuracy_text
from stages.evaluation.outputs import write_outputs
from stages.inference.device import prepare
from stages.inference.predict import predict
from stages.vision.batches.image_batches import eval_batches
from stages.vision.batches.images import read_images
from stages.vision.networks import load_image_model
from stages.vision.sheets import mistakes_row, write_sheet

SHOWN = 8  # mistakes per model


def main(images_folder: Path, finetune: Path, scratch: Path, out: Path, metrics: Path) -> None:
    params = load_params().compare
    hardware = prepare(params.device, params.precision, params.threads)
    images = read_images(images_folder / "test.parquet")
    classes, labels = images.classes, images.labels.numpy()
    table = pa.table({"id": images.ids, "label": [classes[label] for label in labels]})
    figures, correct, mistakes = {}, {}, []
    for folder in (finetune, scratch):
        classifier, config = load_image_model(folder)
        name = config.model
        if config.classes != classes:
            raise InputError(f"{folder}: a model of {config.classes}, but {images_folder} holds {classes}")
        classifier = classifier.to(hardware.device).to(memory_format=torch.channels_last)
        logits, _ = predict(classifier, eval_batches(images, config, hardware), hardware, name, config.temperature)
        figures[name], probabilities = write_outputs(name, logits.cpu(), images.labels, classes, out, metrics)
        correct[name] = probabilities.argmax(1) == labels
        mistakes.append(mistakes_row(name, images, probabilities, SHOWN))
        for number, label in enumerate(classes):
            table = table.append_column(f"{name}_{label}", pa.array(probabilities[:, number]))
    pairs = compare_pairs({folder.name: correct[folder.name] for folder in (scratch, finetune)})
    print("gain of {model} over {baseline}: ".format(**pairs[0]) + accuracy_text(pairs[0]))
    write_json(out / "figures.json", {"models": figures, "pairs": pairs})
    write_table(out / "predictions.parquet", table)
    write_sheet(out / "mistakes.png", mistakes)


if __name__ == "__main__":
    run(main)
