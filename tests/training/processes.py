"""What tests/training/test_distributed.py runs, once alone and once in each process that torchrun starts.

`torchrun --nproc-per-node 2 -m tests.training.processes OUT REVIEWS VECTORS` writes what process N found to OUT/N.pt
and a model to OUT/model, and then the second process fails.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from stages import train_textcnn
from stages.core.files import InputError
from stages.inference.config import Normalisation, Padding
from stages.inference.device import Hardware, prepare
from stages.text.batches.review_batches import ReviewBatches
from stages.text.batches.reviews import Reviews
from stages.text.models.birnn import BiRNN
from stages.text.models.textcnn import TextCNN
from stages.training import distributed
from stages.training.trainer import Schedule, Trainer
from stages.vision.batches.augmentation import augmented_view, central_view
from stages.vision.batches.image_batches import ImageBatches
from stages.vision.batches.images import read_images
from tests.vision.tiny import IMAGENET, TEXTBOOK, write_split

STEPS = 50


def reviews(count: int, seed: int) -> Reviews:
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.randint(1, 40, (count,), generator=generator)])
    offsets = offsets.cumsum(0)
    labels = torch.randint(2, (count,), generator=generator)
    ids = torch.randint(2, 60, (int(offsets[-1]),), generator=generator, dtype=torch.int32)
    ids[offsets[:-1]] = (labels * 30 + 10).int()  # something to learn
    return Reviews(ids, offsets, labels, ["negative", "positive"], "whitespace", 100, "start")


def trained(model: nn.Module, optimizer: Any, train: Any, test: Any, hardware: Hardware) -> dict[str, Any]:
    """What STEPS steps come to in some epochs, each with a test pass."""
    trainer = Trainer(model, optimizer, Schedule(-(-STEPS // len(train)), 1), hardware)
    losses: list[float] = []
    sizes: list[list[float]] = []
    evaluate = trainer.evaluate

    def note_and_evaluate(scored: Any) -> None:
        assert trainer.epoch
        losses.extend(trainer.epoch.losses.tolist())
        sizes.append(trainer.epoch.sizes.tolist())
        evaluate(scored)

    trainer.evaluate = note_and_evaluate
    rows = trainer.fit(train, test).rows
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return {"losses": losses, "sizes": sizes, "rows": rows, "state": state}


def texts(model: nn.Module, hardware: Hardware, padding: Padding) -> dict[str, Any]:
    """Batches of three, and a last one of one: the second process has one of three, then nothing."""
    train = ReviewBatches(reviews(40, 0), 3, hardware, seed=0, padding=padding)
    test = ReviewBatches(reviews(23, 1), 5, hardware, seed=None, padding=padding)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return trained(model, torch.optim.Adam(parameters, 0.01, fused=True), train, test, hardware)


def images(hardware: Hardware, folder: Path, norm: type[nn.Module]) -> dict[str, Any]:
    splits = [
        write_split(folder / f"{split}{hardware.rank}.parquet", split, ["disc", "square"], each, first)
        for split, each, first in (("train", 7, 0), ("test", 4, 100))
    ]
    train, test = map(read_images, splits)
    normalisation = Normalisation(**IMAGENET)
    augmented = augmented_view(SimpleNamespace(**TEXTBOOK), 32)
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3, 2), norm(4), nn.ReLU(), nn.Conv2d(4, 6, 3, 2), norm(6), nn.ReLU())
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(294, 2)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, weight_decay=0.001)
    return trained(
        model,
        optimizer,
        ImageBatches(train, augmented, normalisation, 3, hardware, seed=0),  # 3, 3, 3, 3, 2
        ImageBatches(test, central_view(32), normalisation, 7, hardware, seed=None),  # 7, 1
        hardware,
    )


def findings(folder: Path) -> dict[str, Any]:
    hardware = prepare("cpu", "fp32", 1)
    vectors = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    masked, textbook = Padding(mask_padding=True, pad_to=None), Padding(mask_padding=False, pad_to=None)
    torch.manual_seed(0)
    found: dict[str, Any] = {"birnn": texts(BiRNN(vectors, 2, "lstm", 4, 2, True), hardware, masked)}
    found["textcnn"] = texts(TextCNN(vectors, 2, [2, 3], 4, 0.0, False), hardware, masked)
    found["textbook"] = texts(BiRNN(vectors, 2, "gru", 4, 1, True), hardware, textbook)
    found["images"] = images(hardware, folder, nn.Identity)
    found["batch norm"] = images(hardware, folder, nn.BatchNorm2d)
    with distributed.shard_random_state(hardware, 1, 2):
        found["drawn"] = torch.rand(3)
    found["broadcast"] = distributed.broadcast({"rank": hardware.rank})
    found["hardware"] = str(hardware)
    return found


def main(out: Path, reviews: Path, vectors: Path) -> None:
    torch.save(findings(out), out / f"{dist.get_rank()}.pt")
    train_textcnn.main(reviews, vectors, out / "model")
    if dist.get_rank() == 1:  # an error of its own, while the first process waits for it
        raise InputError("here: wrong, put it right")
    distributed.all_reduce_sum(torch.ones(1))


if __name__ == "__main__":
    distributed.run(main)
