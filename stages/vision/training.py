"""What the two training stages share: from images and a network to a trained model on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from stages.core.files import InputError
from stages.core.tensors import write_tensors
from stages.inference.config import ImageConfig, Normalisation
from stages.inference.device import prepare
from stages.training.checkpoint import checkpoint
from stages.training.history import write_curves
from stages.training.trainer import Trainer
from stages.training.validation import train_and_scored
from stages.vision.batches.augmentation import augmented_view, central_view
from stages.vision.batches.image_batches import ImageBatches
from stages.vision.batches.images import Images, read_images
from stages.vision.networks import Classifier, parameter_groups, size_problem

if TYPE_CHECKING:
    from stages.config.params import Augment, Params, TrainImages


@dataclass(frozen=True)
class Task:
    """What both networks are trained on."""

    dataset: str  # "sample" | "full" | "own"
    images: Path  # a folder with train.parquet and test.parquet
    image_size: int  # pixels, both sides
    batch_size: int  # images per step
    augment: "Augment"


def task_of(params: "Params", images: Path) -> Task:
    section = params.pictures
    image_size, batch_size = (getattr(key, params.dataset) for key in (section.image_size, section.batch_size))
    return Task(params.dataset, images, image_size, batch_size, params.augment)


def train_image_model(
    make: Callable[[int], Classifier],
    task: Task,
    normalisation: Normalisation,
    params: "TrainImages",
    out: Path,
    *,
    source_model: Path | None = None,
    output_lr_factor: float = 1,
) -> dict[str, Any]:
    """Train the network that `make` returns for a number of classes, by SGD; `source_model` is the file it starts from.

    Writes model.safetensors, config.json and curves.csv to `out`. With a validation_fraction, or a
    validation part of the user's own, the test split stays unread. Returns the number of training examples and the
    seconds of each epoch, for the record of costs.

    Raises InputError when the two splits differ in their classes, or the network takes no images of this size.
    """
    hardware = prepare(params.device, params.precision, params.threads)
    torch.manual_seed(params.seed)
    train_file, test_file = task.images / "train.parquet", task.images / "test.parquet"
    images = read_images(train_file)
    classes = images.classes
    valid_file = task.images / "valid.parquet"  # the user's own validation part
    validates = valid_file.exists() or params.validation_fraction > 0
    if valid_file.exists():
        train_images, scored_images = images, _read_split(valid_file, train_file, classes)
    else:
        read_test = partial(_read_split, test_file, train_file, classes)
        train_images, scored_images = train_and_scored(
            images, read_test, params.validation_fraction, params.seed, images.contents()
        )
    classifier = make(len(classes)).to(hardware.device).to(memory_format=torch.channels_last)
    if problem := size_problem(classifier, task.image_size, hardware.device):
        raise InputError(f"pictures.image_size: {classifier.arch} takes no pictures of {problem}; most take 224")
    groups = parameter_groups(classifier, params.lr, output_lr_factor)
    optimizer = torch.optim.SGD(groups, params.lr, params.momentum, weight_decay=params.weight_decay)
    random_view, fixed_view = augmented_view(task.augment, task.image_size), central_view(task.image_size)
    train_batches = ImageBatches(train_images, random_view, normalisation, task.batch_size, hardware, seed=params.seed)
    scored_batches = ImageBatches(scored_images, fixed_view, normalisation, task.batch_size, hardware, seed=None)
    settings = {
        "params": vars(params),
        "augment": vars(task.augment),
        "arch": classifier.arch,
        "sizes": [task.image_size, task.batch_size],
        "normalisation": vars(normalisation),
    }
    inputs = [train_file, test_file, *([valid_file] if valid_file.exists() else [])]
    inputs += [source_model] if source_model else []
    with checkpoint(out.name, settings, inputs, hardware) as saved:
        trainer = Trainer(classifier, optimizer, params, hardware, saved, validates)
        trainer.fit(train_batches, scored_batches, lambda history: write_curves(out / "curves.csv", history))
        config = ImageConfig(
            model=out.name,
            classes=classes,
            dataset=task.dataset,
            trained_on=trainer.trained_on(),
            temperature=trainer.temperature,
            arch=classifier.arch,
            image_size=task.image_size,
            average_flips=classifier.average_flips,
            normalisation=normalisation,
        )
        if hardware.rank == 0:
            write_tensors(out / "model.safetensors", classifier.network.state_dict())
            config.write(out)
    return {"examples": train_batches.examples, "epochs": trainer.history.seconds}


def _read_split(file: Path, train_file: Path, classes: list[str]) -> Images:
    images = read_images(file)
    if images.classes != classes:
        raise InputError(f"{file}: classes {images.classes}, but {train_file} has {classes}")
    return images
