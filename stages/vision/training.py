"""The training of finetune and scratch: from images and a network to a trained model on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
from stages.vision.convolution import speed_up_convolutions
from stages.vision.networks import Classifier, parameter_groups, size_problem

if TYPE_CHECKING:
    from stages.config.params import Augment, Params, TrainImages


@dataclass(frozen=True)
class Task:
    """The training data and its params, the same for both networks."""

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
    """Train the network make(number of classes) by SGD; `source_model` is the file of the weights that it starts from.

    Writes model.safetensors, config.json and curves.csv to `out`. With a validation_fraction, or if the user holds out
    images for validation, the test split is not read. Returns the number of training examples and the seconds of each
    epoch, for the record of costs.

    Raises InputError if the splits have different classes, or the network takes no images of this size.
    """
    hardware = prepare(params.device, params.precision, params.threads)
    torch.manual_seed(params.seed)
    data = _read_data(task.images, params)
    classifier = make(len(data.train.classes)).to(hardware.device).to(memory_format=torch.channels_last)
    speed_up_convolutions(classifier)
    if problem := size_problem(classifier, task.image_size, hardware.device):
        raise InputError(f"pictures.image_size: {classifier.arch} takes no pictures of {problem}; most take 224")
    groups = parameter_groups(classifier, params.lr, output_lr_factor)
    optimizer = torch.optim.SGD(groups, params.lr, params.momentum, weight_decay=params.weight_decay, fused=True)
    random_view, fixed_view = augmented_view(task.augment, task.image_size), central_view(task.image_size)
    train_batches = ImageBatches(data.train, random_view, normalisation, task.batch_size, hardware, seed=params.seed)
    scored_batches = ImageBatches(data.scored, fixed_view, normalisation, task.batch_size, hardware, seed=None)
    settings = {"params": vars(params), "arch": classifier.arch, "normalisation": vars(normalisation)}
    settings |= {"augment": vars(task.augment), "sizes": [task.image_size, task.batch_size]}
    inputs = data.files + ([source_model] if source_model else [])
    with checkpoint(out.name, settings, inputs, hardware) as saved:
        trainer = Trainer(classifier, optimizer, params, hardware, saved, data.validates)
        trainer.fit(train_batches, scored_batches, lambda history: write_curves(out / "curves.csv", history))
        if hardware.rank == 0:
            write_tensors(out / "model.safetensors", classifier.network.state_dict())
            _config(out.name, task, data.train.classes, normalisation, classifier, trainer).write(out)
    return {"examples": train_batches.examples, "epochs": trainer.history.seconds}


def _config(
    name: str, task: Task, classes: list[str], normalisation: Normalisation, classifier: Classifier, trainer: Trainer
) -> ImageConfig:
    return ImageConfig(
        model=name,
        classes=classes,
        dataset=task.dataset,
        trained_on=trainer.trained_on(),
        temperature=trainer.temperature,
        arch=classifier.arch,
        image_size=task.image_size,
        average_flips=classifier.average_flips,
        normalisation=normalisation,
    )


class Data(NamedTuple):
    """The images to train on and those to score each epoch on."""

    train: Images
    scored: Images
    validates: bool  # whether `scored` is a validation split, or else the test split
    files: list[Path]  # of the splits


def _read_data(folder: Path, params: "TrainImages") -> Data:
    train_file, test_file, valid_file = (folder / f"{split}.parquet" for split in ("train", "test", "valid"))
    images = read_images(train_file)
    if valid_file.exists():  # the user's own validation split
        scored = _read_split(valid_file, train_file, images.classes)
        return Data(images, scored, True, [train_file, test_file, valid_file])
    read_test = partial(_read_split, test_file, train_file, images.classes)
    fraction = params.validation_fraction
    train, scored = train_and_scored(images, read_test, fraction, params.seed, images.contents())
    return Data(train, scored, fraction > 0, [train_file, test_file])


def _read_split(file: Path, train_file: Path, classes: list[str]) -> Images:
    images = read_images(file)
    if images.classes != classes:
        raise InputError(f"{file}: classes {images.classes}, but {train_file} has {classes}")
    return images
