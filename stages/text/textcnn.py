"""TextCNN: Kim 2014, in the form of Dive into Deep Learning, chapter 10.8."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.text.tokens import PAD_INDEX

ROUND = 1024  # the table of distinct words has a multiple of so many rows: few shapes, whose memory is used again


class TextCNN(nn.Module):
    """Convolutions over a trained and a constant embedding side by side, and their maxima over time.

    Two facts make it fast, and change nothing but rounding. A convolution is a sum over its kernel's positions, and
    each addend depends on one word: so on a CPU every distinct word of the batch meets the kernel once. And a maximum
    passes its gradient to one window: so only the window that won is computed with gradients.
    """

    def __init__(
        self,
        vectors: Tensor,
        classes: int,
        kernel_sizes: list[int],
        num_channels: int,
        dropout: float,
        freeze_vectors: bool,
    ) -> None:
        """`vectors`: (words, dim), copied twice."""
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=freeze_vectors, padding_idx=PAD_INDEX)
        self.constant_embedding = nn.Embedding.from_pretrained(vectors.clone(), padding_idx=PAD_INDEX)
        self.convs = nn.ModuleList(nn.Conv1d(2 * vectors.shape[1], num_channels, size) for size in kernel_sizes)
        self.dropout = nn.Dropout(dropout)
        self.decoder = nn.Linear(num_channels * len(kernel_sizes), classes)
        self.widest = max(kernel_sizes)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (batch, steps) and lengths (batch,) to logits (batch, classes)."""
        ids = F.pad(ids, (0, max(0, self.widest - ids.shape[1])), value=PAD_INDEX)
        distinct, ids = _distinct(ids) if ids.device.type == "cpu" else _each(ids)
        words = torch.cat([self.embedding(distinct), self.constant_embedding(distinct)], 1)  # (distinct, 2 * dim)
        convs = cast("Iterable[nn.Conv1d]", self.convs)
        encoding = [max_over_time(words, ids, lengths, conv.weight, cast(Tensor, conv.bias)) for conv in convs]
        return self.decoder(self.dropout(F.relu(torch.cat(encoding, 1))))


def _distinct(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct words (distinct,) of ids (batch, steps), and where each of ids stands among them."""
    distinct, places = ids.unique(return_inverse=True)
    return F.pad(distinct, (0, -len(distinct) % ROUND), value=PAD_INDEX), places


def _each(ids: Tensor) -> tuple[Tensor, Tensor]:
    """As _distinct, each word as often as it stands there: to count words would be to wait for a GPU."""
    return ids.flatten(), torch.arange(ids.numel(), device=ids.device).view_as(ids)


def max_over_time(words: Tensor, ids: Tensor, lengths: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the maximum (batch, channels) of a 1-D cross-correlation over the windows inside each review.

    words (distinct, features), ids (batch, steps) into words, lengths (batch,), weight (channels, features, size),
    bias (channels,). A review shorter than the kernel has the single window at 0.
    """
    size = weight.shape[2]
    windows = ids.unfold(1, size, 1)  # (batch, windows, size)
    with torch.no_grad():
        scores = _scores(words, windows, weight)  # (batch, windows, channels)
        outside = torch.arange(windows.shape[1], device=ids.device) > (lengths - size).clamp(min=0)[:, None]
        highest, best = scores.masked_fill_(outside[:, :, None], -torch.inf).max(1)  # (batch, channels)
    if not torch.is_grad_enabled():
        return highest + bias
    review = torch.arange(len(ids), device=ids.device)
    won = F.embedding(windows[review, best.T], words).flatten(2)  # (channels, batch, size * features)
    kernels = weight.transpose(1, 2).flatten(1)  # (channels, size * features)
    return torch.bmm(won, kernels[:, :, None])[:, :, 0].T + bias


def _scores(words: Tensor, windows: Tensor, weight: Tensor) -> Tensor:
    channels, features, size = weight.shape
    table = words @ weight.permute(1, 2, 0).reshape(features, size * channels)
    table = table.float().view(-1, channels)  # (distinct * size, channels): a word at a position of the kernel
    rows = windows * size + torch.arange(size, device=windows.device)
    return F.embedding_bag(rows.reshape(-1, size), table, mode="sum").view(*windows.shape[:2], channels)
