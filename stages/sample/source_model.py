"""Train the embedded sample's source model on drawn objects, none of which is a hot dog.

This is step 1 of the four steps of fine-tuning (Dive into Deep Learning, 14.2): train a network on a source task. The
objects have the same backgrounds and light as the sample's images. The weights differ between machines.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.transforms.v2 import RandomResizedCrop
from torchvision.transforms.v2.functional import horizontal_flip

from stages.core.files import InputError
from stages.core.progress import progress
from stages.inference.device import prepare
from stages.inference.predict import Batch
from stages.sample import objects
from stages.sample.draw import Draw
from stages.sample.images import compose
from stages.sample.shapes import TURN, Canvas
from stages.training.history import History
from stages.training.trainer import Schedule, Trainer
from stages.vision.convolution import speed_up_convolutions
from stages.vision.networks import size_problem

CLASSES = (
    objects.banana, objects.boat, objects.bottle, objects.bun, objects.burger, objects.carrot, objects.corn,
    objects.donut, objects.fish, objects.flower, objects.house, objects.split_bun,
)  # fmt: skip
IMAGES = 128  # per class
DRAWN = 72  # pixels, both sides of a drawn picture
CROP = 64  # pixels, both sides of what the network sees
SCALE = (0.4, 1.0)  # least and greatest part of the drawn picture in a crop
RATES = (1e-3, 1e-3, 3e-4)  # Adam's learning rate in each epoch
# Initial scale of batch norm. It makes features small, as long training on many images does. With a scale of 1, the
# learning rate of fine-tuning's output layer would be too high.
GAMMA = 0.1
BATCH = 32
SEED = 21
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class DrawnBatches:
    """Batches of drawn images, fp32 (batch, 3, 64, 64), normalised; each batch has one random crop and flip."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        """Take images uint8 (n, 3, 72, 72) and labels int64 (n,), both on the training device."""
        self.images, self.labels = images, labels
        self.examples = len(labels)
        self.mean = torch.tensor(MEAN, device=images.device)[:, None, None]
        self.std = torch.tensor(STD, device=images.device)[:, None, None]
        self.crop = RandomResizedCrop(CROP, SCALE)

    def __len__(self) -> int:
        return -(-self.examples // BATCH)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(SEED + number)
        order = torch.randperm(self.examples, generator=generator).to(self.labels.device)
        for rows in order.split(BATCH)[start:]:
            images = self.crop(self.images[rows].float().div_(255))
            if torch.rand((), generator=generator) < 0.5:
                images = horizontal_flip(images)
            images = images.sub_(self.mean).div_(self.std).contiguous(memory_format=torch.channels_last)
            yield Batch((images,), self.labels[rows], rows, len(rows))


def draw_objects() -> tuple[Tensor, Tensor]:
    """Return images uint8 (n, 3, 72, 72) and labels int64 (n,)."""
    draw = Draw(SEED)
    labels = [label for _ in range(IMAGES) for label in range(len(CLASSES))]
    images = []
    for label in progress(labels, total=len(labels), desc="drawing pictures", unit="picture"):
        canvas = Canvas(DRAWN, DRAWN, draw.below(TURN))
        compose(draw, canvas, CLASSES[label])
        images.append(np.asarray(canvas.image()))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), torch.tensor(labels)


def write_source_model(path: Path, arch: str) -> None:
    """Train torchvision's `arch` on the source task and write its state dict as a .pth.

    Raises InputError if a loss is not finite, or if `arch` takes no images of CROP by CROP pixels.
    """
    hardware = prepare("auto", "auto", None)
    torch.manual_seed(SEED)
    network = get_model(arch, weights=None, num_classes=len(CLASSES))
    if size_problem(network, CROP):
        raise InputError(
            f"pictures.arch: {arch} takes no pictures of {CROP} by {CROP} pixels, of which the sample's source model "
            "is trained; point sources.source_model.sample.urls at weights of your own, or take another architecture"
        )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, GAMMA)
    speed_up_convolutions(network)
    network = network.to(hardware.device).to(memory_format=torch.channels_last)
    images, labels = draw_objects()
    batches = DrawnBatches(images.to(hardware.device), labels.to(hardware.device))
    optimizer = torch.optim.Adam(network.parameters(), RATES[0], fused=True)

    def set_rate(history: History) -> None:
        optimizer.param_groups[0]["lr"] = RATES[min(len(history.rows), len(RATES) - 1)]

    Trainer(network, optimizer, Schedule(len(RATES)), hardware).fit(batches, on_epoch_end=set_rate)
    state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    with path.open("wb") as file:  # with a path, torch.save would write its name into the file
        torch.save(state, file)
