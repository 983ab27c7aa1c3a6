"""Padded batches of reviews of similar length."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stages.inference.config import Padding
from stages.inference.device import Hardware
from stages.inference.predict import Batch
from stages.text.batches.reviews import Reviews
from stages.text.special import PAD_INDEX, UNK_INDEX

POOL = 50  # batches per pool of shuffled reviews, which is sorted by length and cut into batches
LENGTH_MULTIPLE = 16  # words; masked batches are padded to a multiple: of few shapes, memory and kernels are reused
EVAL_BATCH = 256  # reviews per batch without learning


class ReviewBatches:
    """Batches of reviews on the hardware's device: ids int64 (batch, steps), lengths int64 (batch,).

    With `mask_padding`, lengths are those of the reviews. Without it, padding counts as words of index 0, as in the
    textbook. A batch is as long as `pad_to`, or as its longest review (with masking, rounded up).
    """

    def __init__(
        self, reviews: Reviews, batch_size: int, hardware: Hardware, *, seed: int | None, padding: Padding
    ) -> None:
        """Batches are shuffled by `seed` and the epoch's number; without a seed they are sorted by length."""
        self.hardware = hardware
        self.ids = reviews.ids.to(hardware.device)
        self.offsets = reviews.offsets.to(hardware.device)
        self.labels = reviews.labels.to(hardware.device)
        self.lengths = reviews.offsets.diff()  # on the CPU, where batches are planned
        self.batch_size = batch_size
        self.seed = seed
        self.padding = padding
        self.examples = len(reviews)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of epoch `number` from batch `start` on."""
        plan = self._plan(number)
        shards = [self.hardware.shard(rows) for rows in plan]
        # One copy to the device per epoch, because each copy waits for the device
        on_device = torch.cat([rows for rows, _ in shards]).to(self.ids.device).split([len(rows) for rows, _ in shards])
        for rows, whole, (_, weight) in zip(on_device[start:], plan[start:], shards[start:], strict=True):
            inputs = self._inputs(rows, self.padding.pad_to or self._longest(whole))
            yield Batch(inputs, self.labels[rows], rows, len(whole), weight)

    def _plan(self, number: int) -> list[Tensor]:
        if self.seed is None:
            return list(self.lengths.argsort(stable=True).split(self.batch_size))
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        pools = torch.randperm(self.examples, generator=generator).split(POOL * self.batch_size)
        batches = [
            rows for pool in pools for rows in pool[self.lengths[pool].argsort(stable=True)].split(self.batch_size)
        ]
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def _longest(self, rows: Tensor) -> int:
        longest = int(self.lengths[rows].max())
        return -(-longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE if self.padding.mask_padding else longest

    def _inputs(self, rows: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        starts = self.offsets[rows]  # (batch,)
        lengths = (self.offsets[rows + 1] - starts).clamp(max=steps)  # (batch,)
        step = torch.arange(steps, device=rows.device)  # (steps,)
        is_word = step < lengths[:, None]  # (batch, steps)
        places = (starts[:, None] + step).clamp(max=len(self.ids) - 1)  # (batch, steps)
        padding = PAD_INDEX if self.padding.mask_padding else UNK_INDEX
        ids = torch.where(is_word, self.ids[places], padding).long()
        if not self.padding.mask_padding:
            lengths = torch.full_like(lengths, steps)
        return ids, lengths
