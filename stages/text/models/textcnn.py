"""TextCNN: Kim 2014, in the form of Dive into Deep Learning, chapter 10.8."""

from collections.abc import Iterable
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.text.models.layers import drop_features, drop_words
from stages.text.special import PAD_INDEX

TABLE_MULTIPLE = 1024  # the table of distinct words is padded to a multiple: of few shapes, memory is reused


class TextCNN(nn.Module):
    """Convolutions over a trained and a constant embedding side by side, and their maxima over time.

    Two shortcuts make it fast and change the results only by rounding. A convolution is a sum over the kernel's
    positions, and each term depends on one word: on a CPU, each distinct word of the batch is multiplied by the kernel
    once. The gradient of a maximum flows to one window: only that window is computed with gradients, from the products
    with the kernel if the batch has few distinct words, else from the words' vectors.
    """

    def __init__(
        self,
        vectors: Tensor,
        classes: int,
        kernel_sizes: list[int],
        num_channels: int,
        dropout: float,
        freeze_vectors: bool,
        pooling: Literal["max", "mean_max"] = "max",
        word_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
    ) -> None:
        """`vectors`: (words, dim), copied twice. `dropout` is before the output.

        `pooling`: the maximum over time, or the mean as well.
        """
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=freeze_vectors, padding_idx=PAD_INDEX)
        self.constant_embedding = nn.Embedding.from_pretrained(vectors.clone(), padding_idx=PAD_INDEX)
        self.convs = nn.ModuleList(nn.Conv1d(2 * vectors.shape[1], num_channels, size) for size in kernel_sizes)
        self.dropout = nn.Dropout(dropout)
        pools = 2 if pooling == "mean_max" else 1
        self.decoder = nn.Linear(pools * num_channels * len(kernel_sizes), classes)
        self.widest = max(kernel_sizes)
        self.pooling = pooling
        self.word_dropout, self.embedding_dropout = word_dropout, embedding_dropout

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (batch, steps) and lengths (batch,) to logits (batch, classes)."""
        ids = drop_words(ids, self.word_dropout if self.training else 0)
        if self.pooling == "mean_max" or (self.training and self.embedding_dropout):
            return self.dense(ids, lengths)  # the mean needs every window; with dropout, a word has no single vector
        ids = F.pad(ids, (0, max(0, self.widest - ids.shape[1])), value=PAD_INDEX)
        distinct, ids = _distinct(ids) if ids.device.type == "cpu" else _each(ids)
        words = torch.cat([self.embedding(distinct), self.constant_embedding(distinct)], 1)  # (distinct, 2 * dim)
        convs = cast("Iterable[nn.Conv1d]", self.convs)
        encoding = [max_over_time(words, ids, lengths, conv.weight, cast(Tensor, conv.bias)) for conv in convs]
        return self.decoder(self.dropout(F.relu(torch.cat(encoding, 1))))

    def dense(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Compute what `forward` computes in the textbook's way: convolutions over all windows, with gradients."""
        ids = F.pad(ids, (0, self.widest - 1), value=PAD_INDEX)  # so that the shortest review has a window
        vectors = torch.cat([self.embedding(ids), self.constant_embedding(ids)], 2)  # (batch, steps, 2 * dim)
        vectors = drop_features(vectors, self.embedding_dropout if self.training else 0, 1)
        if torch.is_autocast_enabled(ids.device.type):  # once here, not in each convolution
            vectors = vectors.to(torch.get_autocast_dtype(ids.device.type))
        image = vectors.mT[:, :, None]  # (batch, 2 * dim, 1, steps), a line of pixels in channels-last memory
        maxima, means = [], []
        for conv in cast("Iterable[nn.Conv1d]", self.convs):
            scores = F.relu(F.conv2d(image, conv.weight[:, :, None], conv.bias))[:, :, 0]  # (batch, channels, windows)
            windows = (lengths - conv.kernel_size[0] + 1).clamp(min=1)  # inside the review
            outside = (torch.arange(scores.shape[2], device=ids.device) >= windows[:, None])[:, None]
            scores = scores.masked_fill(outside, 0)
            maxima.append(scores.max(2).values)  # unlike amax it has a gradient of one window
            means.append(scores.sum(2, dtype=torch.float32) / windows[:, None])
        return self.decoder(self.dropout(torch.cat(maxima + means if self.pooling == "mean_max" else maxima, 1)))


def _distinct(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct words (distinct,) of ids (batch, steps), and the position of each id among them."""
    distinct, places = ids.unique(return_inverse=True)
    return F.pad(distinct, (0, -len(distinct) % TABLE_MULTIPLE), value=PAD_INDEX), places


def _each(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return all words in the form of _distinct, with repetitions. To find the distinct ones would wait for a GPU."""
    return ids.flatten(), torch.arange(ids.numel(), device=ids.device).view_as(ids)


def max_over_time(words: Tensor, ids: Tensor, lengths: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the maximum (batch, channels) of a 1-D cross-correlation over the windows inside each review.

    words (distinct, features), ids (batch, steps) of rows in words, lengths (batch,), weight (channels, features,
    size), bias (channels,). A review that is shorter than the kernel has one window, at 0.
    """
    channels, features, size = weight.shape
    through_table = torch.is_grad_enabled() and len(words) < len(ids) * channels  # fewer rows than maxima
    with torch.set_grad_enabled(through_table):
        table = words @ weight.permute(1, 2, 0).reshape(features, size * channels)
        table = table.float().view(-1, channels)  # (distinct * size, channels): each word at each place of the kernel
    windows = ids.unfold(1, size, 1)  # (batch, windows, size)
    rows = windows * size + torch.arange(size, device=ids.device)  # of the table
    with torch.no_grad():
        scores = F.embedding_bag(rows.reshape(-1, size), table, mode="sum").view(*windows.shape[:2], channels)
        outside = torch.arange(windows.shape[1], device=ids.device) > (lengths - size).clamp(min=0)[:, None]
        highest, best = scores.masked_fill_(outside[:, :, None], -torch.inf).max(1)  # (batch, channels)
    if not torch.is_grad_enabled():
        return highest + bias
    review = torch.arange(len(ids), device=ids.device)
    if through_table:
        channel = torch.arange(channels, device=ids.device)
        terms = rows[review[:, None], best] * channels + channel[:, None]  # (batch, channels, size), of the flat table
        return table.flatten().gather(0, terms.flatten()).view(terms.shape).sum(2) + bias
    winners = F.embedding(windows[review, best.T], words).flatten(2)  # (channels, batch, size * features)
    kernels = weight.transpose(1, 2).flatten(1)  # (channels, size * features)
    return torch.bmm(winners, kernels[:, :, None])[:, :, 0].T + bias
