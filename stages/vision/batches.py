"""Pictures in batches, decoded and augmented as they are needed."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stages.core.fit import Batch
from stages.core.parallel import share
from stages.vision.augmentation import Transform
from stages.vision.pictures import Pictures

KEPT = 2**30  # bytes of transformed test pictures that are kept from one pass to the next
WORKERS = 16  # processes that feed a GPU, at most


class Normalisation(NamedTuple):
    """What is subtracted from red, green and blue (0 to 1), and what they are divided by after that."""

    mean: list[float]
    std: list[float]


class PictureBatches:
    """Batches of pictures on `device`: fp32 (batch, 3, size, size), normalised, in channels-last memory.

    Shuffled by `seed` and the epoch's number and drawn by them and the picture's row, whatever process draws it; or
    without a seed, in order, by a transform that draws nothing.
    """

    def __init__(
        self,
        pictures: Pictures,
        transform: Transform,
        normalisation: Normalisation,
        batch_size: int,
        device: torch.device,
        *,
        seed: int | None,
    ) -> None:
        self.examples = len(pictures)
        self.sizes = _sizes(len(pictures), batch_size, alone=seed is None)
        self.device = device
        self.seed = seed
        self.labels = pictures.labels.to(device)
        self.mean = torch.tensor(normalisation.mean, device=device).mul(255)[:, None, None]
        self.std = torch.tensor(normalisation.std, device=device).mul(255)[:, None, None]
        room = _room(device)
        if room and pictures.decoded_bytes() <= room:
            self.views: Views = DeviceViews(pictures, transform, seed, device)
            self.workers = 0
        else:
            self.views = Views(pictures, transform, seed)
            # Beside a CPU, processes that decode would only take its cores from the network
            self.workers = min(WORKERS, (os.cpu_count() or 2) - 1) if device.type == "cuda" else 0

    def __len__(self) -> int:
        return len(self.sizes)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield epoch `number` from batch `start` on: shuffled by seed and number, or without a seed in order."""
        order = torch.arange(self.examples)
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
            order = torch.randperm(self.examples, generator=generator)
        batches = order.split(self.sizes)
        shares = [share(rows) for rows in batches]
        # Where a share is empty, a picture says of what size none are
        looked_at = [own if len(own) else rows[:1] for own, rows in zip(shares, batches, strict=True)]
        loader = DataLoader(
            self.views,
            batch_sampler=[[(number, row) for row in rows.tolist()] for rows in looked_at[start:]],
            num_workers=self.workers,
            collate_fn=torch.stack,
            pin_memory=self.device.type == "cuda" and self.workers > 0,
        )
        # One copy an epoch: each waits for the device
        on_device = torch.cat(shares).to(self.device).split([len(rows) for rows in shares])
        for rows, pictures in zip(on_device[start:], loader, strict=True):
            yield Batch((self._normalise(pictures[: len(rows)]),), self.labels[rows], rows)

    def _normalise(self, pictures: Tensor) -> Tensor:
        """Turn uint8 (batch, size, size, 3) into what the network takes."""
        pictures = pictures.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return pictures.float().sub_(self.mean).div_(self.std)


def _room(device: torch.device) -> int:
    """Bytes that decoded pictures may take on the device, where transforming them there is worth it."""
    return torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else 0


def _sizes(examples: int, batch_size: int, alone: bool) -> list[int]:
    """Pictures in each batch; unless it may stay `alone`, a last one joins the batch before: batch norm needs two."""
    count, rest = divmod(examples, batch_size)
    if rest == 1 and count and not alone:
        return [batch_size] * (count - 1) + [batch_size + 1]
    return [batch_size] * count + [rest] * (rest > 0)


class Views(Dataset[Tensor]):
    """What a network sees of the pictures: uint8 (size, size, 3) for an epoch and a row."""

    def __init__(self, pictures: Pictures, transform: Callable, seed: int | None) -> None:
        self.pictures = pictures
        self.transform = transform
        self.seed = seed
        self.kept: dict[int, Tensor] = {}
        self.room = KEPT

    def __getitem__(self, index: tuple[int, int]) -> Tensor:
        epoch, row = index
        if self.seed is None:
            return self._fixed(row)
        drawn = np.random.SeedSequence([self.seed, epoch, row]).generate_state(1, np.uint64)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(drawn[0]))  # not the device's, from which dropout draws
            return self._view(row)

    def _fixed(self, row: int) -> Tensor:
        if row in self.kept:
            return self.kept[row]
        view = self._view(row)
        if view.nbytes <= self.room:
            self.room -= view.nbytes
            self.kept[row] = view
        return view

    def _view(self, row: int) -> Tensor:
        return torch.from_numpy(np.array(self.transform(self.pictures.decode(row))))


class DeviceViews(Views):
    """The same views on `device`, where all pictures lie decoded: random crops and colours are made there.

    Drawn as on the CPU, to which they are equal but for the rounding of each pixel.
    """

    def __init__(self, pictures: Pictures, transform: Callable, seed: int | None, device: torch.device) -> None:
        super().__init__(pictures, transform, seed)
        with ThreadPoolExecutor(WORKERS) as pool:
            look = super()._view if seed is None else self._decoded
            self.on_device = [picture.to(device) for picture in pool.map(look, range(len(pictures)))]

    def _decoded(self, row: int) -> Tensor:
        return torch.from_numpy(np.array(self.pictures.decode(row))).permute(2, 0, 1)

    def _fixed(self, row: int) -> Tensor:
        return self.on_device[row]

    def _view(self, row: int) -> Tensor:
        return self.transform(self.on_device[row]).permute(1, 2, 0)
