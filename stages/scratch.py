"""Train the same architecture from scratch: pictures -> model, config, metrics, curves, timing."""

from pathlib import Path

from stages.core.parallel import run
from stages.core.params import load_params
from stages.vision.batches import Normalisation
from stages.vision.networks import Classifier, build
from stages.vision.train import Task, train


def main(train_pictures: Path, test_pictures: Path, out: Path) -> None:
    params = load_params()
    settings, arch = params.scratch, params.pictures.arch
    image_size = getattr(params.pictures.image_size, params.dataset)
    batch_size = getattr(params.pictures.batch_size, params.dataset)
    task = Task((train_pictures, test_pictures), image_size, batch_size, params.augment)
    normalisation = Normalisation(settings.mean, settings.std)
    train(lambda classes: Classifier(arch, build(arch, classes)), task, normalisation, settings, out)


if __name__ == "__main__":
    run(main)
