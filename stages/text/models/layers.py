"""Functions that the text models share: dropout of words and features, pooling over time."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.text.special import PAD_INDEX, UNK_INDEX


def drop_words(ids: Tensor, p: float) -> Tensor:
    """Replace each word by <unk> with probability `p`, never padding (Dai and Le 2015)."""
    if not p:
        return ids
    dropped = (torch.rand(ids.shape, device=ids.device) < p) & (ids != PAD_INDEX)
    return ids.masked_fill(dropped, UNK_INDEX)


def drop_features(vectors: Tensor, p: float, steps: int) -> Tensor:
    """Drop features of word vectors with probability `p`, with the same mask at all steps of a review.

    `steps` is the dimension of the steps. This is variational dropout (Gal and Ghahramani 2016).
    """
    if not p:
        return vectors
    return vectors * F.dropout(torch.ones_like(vectors.narrow(steps, 0, 1)), p)


def mean_and_max(states: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean and the maximum (batch, 2 * features) of states (steps, batch, features) over each review."""
    states = states.float()
    is_padding = torch.arange(len(states), device=states.device)[:, None, None] >= lengths[:, None]  # (steps, batch, 1)
    mean = states.masked_fill(is_padding, 0).sum(0) / lengths[:, None]
    return torch.cat([mean, states.masked_fill(is_padding, -torch.inf).amax(0)], 1)
