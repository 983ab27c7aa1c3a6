"""Batches of images that are decoded and augmented when they are needed."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stages.inference.config import ImageConfig, Normalisation
from stages.inference.device import Hardware
from stages.inference.predict import Batch
from stages.vision.batches.augmentation import Transform, central_view
from stages.vision.batches.images import Images

CACHE_BYTES = 2**30  # of transformed test images, which are kept from one pass to the next
MAX_WORKERS = 16  # processes that decode images for a GPU
EVAL_BATCH = 64  # images per batch without learning


class ImageBatches:
    """Batches of images on the hardware's device: fp32 (batch, 3, size, size), normalised, channels-last.

    With a `seed`, images are shuffled by the seed and the epoch's number. An image is augmented by these and its row,
    so that every process would draw the same. Without a seed the images keep their order, and `transform` must not be
    random.
    """

    def __init__(
        self,
        images: Images,
        transform: Transform,
        normalisation: Normalisation,
        batch_size: int,
        hardware: Hardware,
        *,
        seed: int | None,
    ) -> None:
        device = hardware.device
        self.hardware = hardware
        self.examples = len(images)
        self.sizes = _sizes(len(images), batch_size, learning=seed is not None)
        self.seed = seed
        self.labels = images.labels.to(device)
        self.mean = torch.tensor(normalisation.mean, device=device).mul(255)[:, None, None]
        self.std = torch.tensor(normalisation.std, device=device).mul(255)[:, None, None]
        room = _room(device)
        if room and images.decoded_bytes() <= room:
            self.views: Views = DeviceViews(images, transform, seed, device)
            self.workers = 0
        else:
            self.views = Views(images, transform, seed)
            # On a CPU, worker processes would only compete with the network for the cores
            self.workers = min(MAX_WORKERS, (os.cpu_count() or 2) - 1) if device.type == "cuda" else 0

    def __len__(self) -> int:
        return len(self.sizes)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of epoch `number` from batch `start` on."""
        order = torch.arange(self.examples)
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
            order = torch.randperm(self.examples, generator=generator)
        shards = [(*self.hardware.shard(rows), len(rows)) for rows in order.split(self.sizes)]
        device = self.hardware.device
        loader = DataLoader(
            self.views,
            batch_sampler=[[(number, row) for row in rows.tolist()] for rows, _, _ in shards[start:]],
            num_workers=self.workers,
            collate_fn=torch.stack,
            pin_memory=device.type == "cuda" and self.workers > 0,
        )
        # One copy to the device per epoch, because each copy waits for the device
        on_device = torch.cat([rows for rows, _, _ in shards]).to(device).split([len(rows) for rows, _, _ in shards])
        for rows, images, (_, weight, size) in zip(on_device[start:], loader, shards[start:], strict=True):
            yield Batch((self._normalise(images),), self.labels[rows], rows, size, weight)

    def _normalise(self, images: Tensor) -> Tensor:
        """Normalise uint8 (batch, size, size, 3) to fp32 (batch, 3, size, size), on the device."""
        images = images.to(self.hardware.device, non_blocking=True).permute(0, 3, 1, 2)
        return images.float().sub_(self.mean).div_(self.std)


def eval_batches(images: Images, config: ImageConfig, hardware: Hardware) -> ImageBatches:
    """Return the images in order, with the model's normalisation and the view for testing."""
    view = central_view(config.image_size)
    return ImageBatches(images, view, config.normalisation, EVAL_BATCH, hardware, seed=None)


def _room(device: torch.device) -> int:
    """Return the bytes that decoded images may take on the device: a quarter of a GPU's free memory, else 0."""
    return torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else 0


def _sizes(examples: int, batch_size: int, learning: bool) -> list[int]:
    """Return the batches' sizes. In training, a last single image joins the batch before: batch norm needs two."""
    count, rest = divmod(examples, batch_size)
    if rest == 1 and count and learning:
        return [batch_size] * (count - 1) + [batch_size + 1]
    return [batch_size] * count + [rest] * (rest > 0)


class Views(Dataset[Tensor]):
    """The images as a network sees them: views[epoch, row] is uint8 (size, size, 3)."""

    def __init__(self, images: Images, transform: Callable, seed: int | None) -> None:
        self.images = images
        self.transform = transform
        self.seed = seed
        self.cached: dict[int, Tensor] = {}
        self.room = CACHE_BYTES

    def __getitem__(self, index: tuple[int, int]) -> Tensor:
        epoch, row = index
        if self.seed is None:
            return self._fixed(row)
        seed = np.random.SeedSequence([self.seed, epoch, row]).generate_state(1, np.uint64)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(seed[0]))  # the CPU's alone: dropout draws from the GPU's
            return self._view(row)

    def _fixed(self, row: int) -> Tensor:
        if row in self.cached:
            return self.cached[row]
        view = self._view(row)
        if view.nbytes <= self.room:
            self.room -= view.nbytes
            self.cached[row] = view
        return view

    def _view(self, row: int) -> Tensor:
        return torch.from_numpy(np.array(self.transform(self.images.decode(row))))


class DeviceViews(Views):
    """Views that are computed on `device`, where all images lie decoded.

    They differ from those of the CPU by rounding.
    """

    def __init__(self, images: Images, transform: Callable, seed: int | None, device: torch.device) -> None:
        super().__init__(images, transform, seed)
        with ThreadPoolExecutor(MAX_WORKERS) as pool:
            make = super()._view if seed is None else self._decoded
            self.on_device = [image.to(device) for image in pool.map(make, range(len(images)))]

    def _decoded(self, row: int) -> Tensor:
        return torch.from_numpy(np.array(self.images.decode(row))).permute(2, 0, 1)

    def _fixed(self, row: int) -> Tensor:
        return self.on_device[row]

    def _view(self, row: int) -> Tensor:
        return self.transform(self.on_device[row]).permute(1, 2, 0)
