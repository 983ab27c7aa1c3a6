"""What the two training stages share: from pictures and a network to a trained model on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

from stages.core.checkpoint import checkpoint
from stages.core.device import prepare
from stages.core.files import InputError, write_json
from stages.core.fit import Training, fit
from stages.core.parallel import written_by_first
from stages.core.tensors import write_tensors
from stages.core.validation import train_and_scored
from stages.vision.augmentation import Augment, augmented_view, central_view
from stages.vision.batches import Normalisation, PictureBatches
from stages.vision.networks import Classifier, parameter_groups
from stages.vision.pictures import Pictures, read_pictures


class Settings(Training, Protocol):
    """The keys of params.yaml that both sections hold."""

    @property
    def weight_decay(self) -> float: ...


class Task(NamedTuple):
    """What both networks are trained on."""

    inputs: tuple[Path, ...]  # train pictures, test pictures, and what else it starts from
    image_size: int  # pixels, both sides
    batch_size: int  # pictures per step
    augment: Augment


def train(
    make: Callable[[int], Classifier],
    task: Task,
    normalisation: Normalisation,
    settings: Settings,
    out: Path,
    output_lr_factor: float = 1,
) -> None:
    """Train the network that `make` gives for so many classes by SGD; all that comes of it goes to `out`.

    model.safetensors holds the weights, config.json all else that using the model needs. With a validation_fraction
    the test pictures stay unread.

    Raises InputError when the two halves have not the same classes, or the network takes no pictures of this size.
    """
    hardware = prepare(settings)
    torch.manual_seed(settings.seed)
    pictures = read_pictures(task.inputs[0])
    classes = pictures.classes
    train_pictures, scored_pictures = train_and_scored(
        pictures, lambda: _read_test(task, classes), settings.validation_fraction, settings.seed
    )
    classifier = make(len(classes)).to(hardware.device).to(memory_format=torch.channels_last)
    _check_size(classifier, task.image_size, hardware.device)
    groups = parameter_groups(classifier, settings.lr, output_lr_factor)
    optimizer = torch.optim.SGD(groups, settings.lr, weight_decay=settings.weight_decay)
    train_batches = PictureBatches(
        train_pictures,
        augmented_view(task.augment, task.image_size),
        normalisation,
        task.batch_size,
        hardware.device,
        seed=settings.seed,
    )
    scored_batches = PictureBatches(
        scored_pictures,
        central_view(task.image_size),
        normalisation,
        task.batch_size,
        hardware.device,
        seed=None,
    )
    config = {
        "model": out.name,
        "classes": classes,
        "arch": classifier.arch,
        "image_size": task.image_size,
        "normalisation": normalisation._asdict(),
        "trained_on": {
            "device": hardware.device.type,
            "precision": hardware.precision,
            "threads": hardware.threads,
        },
    }
    numbers = {"params": vars(settings), "augment": vars(task.augment), "batch_size": task.batch_size}
    with (
        checkpoint(out.name, {**config, **numbers}, list(task.inputs), hardware) as saved,
        written_by_first(out) as out,
    ):
        fit(classifier, optimizer, train_batches, scored_batches, settings, hardware, out, saved)
        write_tensors(out / "model.safetensors", classifier.network.state_dict())
        write_json(out / "config.json", config)


def _read_test(task: Task, classes: list[str]) -> Pictures:
    test_pictures = read_pictures(task.inputs[1])
    if test_pictures.classes != classes:
        raise InputError(f"{task.inputs[1]}: classes {test_pictures.classes}, but {task.inputs[0]} has {classes}")
    return test_pictures


@torch.no_grad()
def _check_size(classifier: Classifier, image_size: int, device: torch.device) -> None:
    classifier.eval()
    try:
        classifier(torch.zeros(1, 3, image_size, image_size, device=device))
    except (AssertionError, RuntimeError, ValueError) as problem:
        raise InputError(
            f"pictures.image_size: {classifier.arch} takes no pictures of {image_size} by {image_size} pixels "
            f"({str(problem).splitlines()[0]}); most take 224"
        ) from problem
