"""Fine-tune the source model: pictures, source model -> model, config, metrics, curves, timing."""

from pathlib import Path

from stages.core.parallel import run
from stages.core.params import load_params
from stages.core.tensors import read_tensors
from stages.vision.batches import Normalisation
from stages.vision.networks import Classifier, from_source
from stages.vision.train import Task, train


def main(train_pictures: Path, test_pictures: Path, source_model: Path, out: Path) -> None:
    params = load_params()
    settings, arch, freeze = params.finetune, params.pictures.arch, params.finetune.freeze
    image_size = getattr(params.pictures.image_size, params.dataset)
    batch_size = getattr(params.pictures.batch_size, params.dataset)
    task = Task((train_pictures, test_pictures, source_model), image_size, batch_size, params.augment)
    weights, about = read_tensors(source_model)
    train(
        lambda classes: Classifier(arch, from_source(arch, weights, classes, source_model), freeze),
        task,
        Normalisation(about["mean"], about["std"]),
        settings,
        out,
        settings.output_lr_factor,
    )


if __name__ == "__main__":
    run(main)
