"""What tests/core/test_parallel.py runs, once alone and once in each process that torchrun starts.

`torchrun --nproc-per-node 2 -m tests.core.processes OUT` writes what process N found to OUT/N.pt, and
then the second process fails.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from stages.core import parallel
from stages.core.batch_norm import share_statistics
from stages.core.device import prepare
from stages.core.files import InputError
from stages.core.fit import Average, Epoch, predict, train_batches
from stages.text.batches import ReviewBatches
from stages.text.birnn import BiRNN
from stages.text.ragged import Reviews
from stages.text.textcnn import TextCNN
from stages.vision.augmentation import augmented_view, central_view
from stages.vision.batches import Normalisation, PictureBatches
from stages.vision.pictures import read_pictures
from tests.vision.tiny import IMAGENET, TEXTBOOK, write_half

STEPS = 50
SHARED = [torch.randn(size, 3, 4, 5, generator=torch.Generator().manual_seed(size)) * 2 + 1 for size in (1, 5, 6)]


def reviews(count: int, seed: int) -> Reviews:
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.randint(1, 40, (count,), generator=generator)])
    offsets = offsets.cumsum(0)
    labels = torch.randint(2, (count,), generator=generator)
    ids = torch.randint(2, 60, (int(offsets[-1]),), generator=generator, dtype=torch.int32)
    ids[offsets[:-1]] = (labels * 30 + 10).int()  # something to learn
    return Reviews(ids, offsets, labels, ["negative", "positive"], "whitespace", 100)


def trained(model: nn.Module, optimizer: Any, train: Any, test: Any, hardware: Any) -> dict[str, Any]:
    """What STEPS steps, some epochs, and a test pass come to."""
    losses, figures, average = [], [], Average(model)
    for number in range(-(-STEPS // len(train))):
        epoch = Epoch.start(train, hardware.device)
        for _ in train_batches(model, optimizer, train, number, hardware, epoch, average):
            pass
        losses += epoch.losses.tolist()
        figures.append((epoch.figures(), epoch.sizes.tolist(), int(epoch.correct)))
    logits, labels = predict(average.model, test, hardware, "test")
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return {"losses": losses, "figures": figures, "logits": logits, "labels": labels, "state": state}


def texts(model: nn.Module, hardware: Any, **options: Any) -> dict[str, Any]:
    """Batches of three, and a last one of one: the second process has one of three, then nothing."""
    train = ReviewBatches(reviews(40, 0), 3, hardware.device, seed=0, **options)
    test = ReviewBatches(reviews(23, 1), 5, hardware.device, seed=None, **options)
    return trained(model, torch.optim.Adam(model.parameters(), 0.01, fused=True), train, test, hardware)


def pictures(hardware: Any, folder: Path) -> dict[str, Any]:
    halves = [
        write_half(folder / f"{half}{parallel.rank()}.parquet", half, ["disc", "square"], each, first)
        for half, each, first in (("train", 7, 0), ("test", 4, 100))
    ]
    train, test = map(read_pictures, halves)
    normalisation, device = Normalisation(**IMAGENET), hardware.device
    augmented = augmented_view(SimpleNamespace(**TEXTBOOK), 32)
    torch.manual_seed(0)
    # Not torchvision's: through their many batch norms of so few numbers, a difference of 1e-7 grows to one of .01
    layers = (nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU())
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(294, 2)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, weight_decay=0.001)
    return trained(
        model,
        optimizer,
        PictureBatches(train, augmented, normalisation, 3, device, seed=0),  # 3, 3, 3, 3, 2
        PictureBatches(test, central_view(32), normalisation, 7, device, seed=None),  # 7, 1
        hardware,
    )


def normed(whole: Tensor, momentum: float | None, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """All that comes of one step of batch norm and another in evaluation, of the process's share of a batch."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=momentum)).to(torch.promote_types(dtype, torch.float32))
    with torch.no_grad():
        model[0].weight.uniform_(0.5, 2)
        model[0].bias.uniform_(-1, 1)
    share_statistics(model)
    input = parallel.share(whole.to(dtype)).clone().requires_grad_()
    output = model(input)
    slopes = parallel.share(torch.linspace(-1, 2, whole.numel()).view_as(whole))
    (output * slopes).sum().backward()
    parallel.sum_gradients(model)
    found = {"input": input.grad, "output": output.detach(), **dict(model.state_dict())}
    found |= {name: parameter.grad for name, parameter in model.named_parameters()}
    return found | {"tested": model.eval()(input).detach()}


def findings(folder: Path) -> dict[str, Any]:
    hardware = prepare(SimpleNamespace(device="cpu", precision="fp32", threads=1))
    vectors = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    found: dict[str, Any] = {"birnn": texts(BiRNN(vectors, 2, "lstm", 4, 2, True), hardware)}
    found["textcnn"] = texts(TextCNN(vectors, 2, [2, 3], 4, 0.0, False), hardware)
    book = {"mask_padding": False, "pad_to": None}
    found["textbook"] = texts(BiRNN(vectors, 2, "gru", 4, 1, True), hardware, **book)
    found["pictures"] = pictures(hardware, folder)
    found["normed"] = [normed(whole, momentum) for whole in SHARED for momentum in (0.1, None)]
    found["bf16"] = normed(SHARED[2], 0.1, torch.bfloat16)
    with parallel.drawing(hardware.device, 1, 2):
        found["drawn"] = torch.rand(3)
    found["told"] = parallel.from_first(lambda: {"rank": parallel.rank()})
    found["hardware"] = str(hardware)
    return found


def main(out: Path) -> None:
    torch.save(findings(out), out / f"{parallel.rank()}.pt")
    if parallel.rank() == 1:  # an error of its own, while the first process waits for it
        raise InputError("here: wrong, put it right")
    parallel.total(torch.ones(1))


if __name__ == "__main__":
    parallel.run(main)
