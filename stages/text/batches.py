"""Reviews in padded batches, reviews of like length together."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stages.core.fit import Batch
from stages.core.parallel import share
from stages.text.ragged import Reviews
from stages.text.tokens import PAD_INDEX, UNK_INDEX

POOL = 50  # batches that are shuffled together, then cut by length: enough to find companions of like length
ROUND = 32  # masked batches have a multiple of so many steps: few shapes, whose memory and kernels are used again
TEST_BATCH = 256  # reviews per batch where nothing is learnt


class ReviewBatches:
    """Batches of reviews on `device`: ids int64 (batch, steps), lengths int64 (batch,).

    With `mask_padding`, lengths are the reviews' own; without, padding counts as words of index 0, the textbook's way.
    A batch is as long as `pad_to`, or its longest review (when masked, rounded up).
    """

    def __init__(
        self,
        reviews: Reviews,
        batch_size: int,
        device: torch.device,
        *,
        seed: int | None,
        mask_padding: bool = True,
        pad_to: int | None = None,
    ) -> None:
        self.ids = reviews.ids.to(device)
        self.offsets = reviews.offsets.to(device)
        self.labels = reviews.labels.to(device)
        self.lengths = reviews.offsets.diff()  # on the CPU, where batches are planned
        self.batch_size = batch_size
        self.seed = seed
        self.mask_padding = mask_padding
        self.pad_to = pad_to
        self.examples = len(reviews)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield epoch `number` from batch `start` on: shuffled by seed and number, or without a seed by length."""
        plan = self._plan(number)
        shares = [share(rows) for rows in plan]
        # One copy an epoch: each waits for the device
        on_device = torch.cat(shares).to(self.ids.device).split([len(rows) for rows in shares])
        for rows, whole in zip(on_device[start:], plan[start:], strict=True):
            yield self._batch(rows, self.pad_to or self._longest(whole))

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
        return -(-longest // ROUND) * ROUND if self.mask_padding else longest

    def _batch(self, rows: Tensor, steps: int) -> Batch:
        starts = self.offsets[rows]  # (batch,)
        lengths = (self.offsets[rows + 1] - starts).clamp(max=steps)  # (batch,)
        step = torch.arange(steps, device=rows.device)  # (steps,)
        real = step < lengths[:, None]  # (batch, steps)
        places = (starts[:, None] + step).clamp(max=len(self.ids) - 1)  # (batch, steps)
        padding = PAD_INDEX if self.mask_padding else UNK_INDEX
        ids = torch.where(real, self.ids[places], padding).long()
        if not self.mask_padding:
            lengths = torch.full_like(lengths, steps)
        return Batch((ids, lengths), self.labels[rows], rows)
