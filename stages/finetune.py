"""Fine-tune the source model: images, source model -> model, config, curves."""

from pathlib import Path
from typing import Any

from stages.config.params import load_params
from stages.core.tensors import read_tensors
from stages.inference.config import Normalisation
from stages.training.distributed import run
from stages.vision.networks import Classifier, from_source
from stages.vision.training import task_of, train_image_model


def main(images: Path, source_model: Path, out: Path) -> dict[str, Any]:
    params = load_params()
    arch, options = params.pictures.arch, params.finetune
    weights, about = read_tensors(source_model)
    return train_image_model(
        lambda classes: Classifier(
            arch, from_source(arch, weights, classes, source_model), options.freeze, options.average_flips
        ),
        task_of(params, images),
        Normalisation(about["mean"], about["std"]),
        options,
        out,
        source_model=source_model,
        output_lr_factor=options.output_lr_factor,
    )


if __name__ == "__main__":
    run(main)
