"""Train the same architecture from scratch: images -> model, config, curves."""

from pathlib import Path
from typing import Any

from stages.config.params import load_params
from stages.inference.config import Normalisation
from stages.training.distributed import run
from stages.vision.networks import Classifier, build
from stages.vision.training import task_of, train_image_model


def main(images: Path, out: Path) -> dict[str, Any]:
    params = load_params()
    arch, normalisation = params.pictures.arch, Normalisation(params.scratch.mean, params.scratch.std)
    return train_image_model(
        lambda classes: Classifier(arch, build(arch, classes), average_flips=params.scratch.average_flips),
        task_of(params, images),
        normalisation,
        params.scratch,
        out,
    )


if __name__ == "__main__":
    run(main)
