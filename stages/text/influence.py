"""How much each word of a review speaks for a class: integrated gradients, Sundararajan et al. 2017."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.core.device import Hardware
from stages.text.tokens import PAD_INDEX, UNK_INDEX

POINTS = 32  # on the way from the baseline to the review: the sum is right to .2 %, with 16 to 4 %
AT_ONCE = 1 << 14  # words in a pass, of all points together: it bounds the memory that a long review takes
SPECIAL = max(UNK_INDEX, PAD_INDEX) + 1  # rows of an embedding before the first word's


class Influence(NamedTuple):
    """A class's margin is its logit less the mean of the others': of two classes, the logarithm of the odds."""

    words: Tensor  # fp32 (words,), on the CPU: what each word that was read adds to the margin
    margin: float  # of the review
    baseline: float  # of as many words with vectors of zeros; the words' influences sum to the difference


def influence(model: nn.Module, config: dict[str, Any], ids: Tensor, target: int, hardware: Hardware) -> Influence:
    """Return what the words of a review, ids (words,), add to the margin of class `target`.

    `model` is on the hardware's device. Words beyond the config's `pad_to` are not read. Padding that is not masked
    is read by the model, in the baseline as well: no influence is its.
    """
    model.eval()
    pad_to = config["padding"]["pad_to"]
    ids = ids.long().to(hardware.device)[:pad_to]
    words = len(ids)
    if pad_to and not config["padding"]["mask_padding"]:
        ids = F.pad(ids, (0, pad_to - words), value=UNK_INDEX)
    tables = {f"{name}.weight": part.weight.detach() for name, part in model.named_modules()
              if isinstance(part, nn.Embedding)}  # fmt: skip
    review = {name: table[ids] for name, table in tables.items()}  # (steps, dim)
    baseline = {name: vectors.clone() for name, vectors in review.items()}
    for vectors in baseline.values():
        vectors[:words] = 0
    added = torch.zeros(words, device=hardware.device)
    for shares, weights in _points(max(1, AT_ONCE // len(ids)), hardware.device):
        path = {name: torch.lerp(baseline[name], review[name], shares).requires_grad_() for name in tables}
        gradients = torch.autograd.grad(_margins(model, tables, path, target, hardware).sum(), list(path.values()))
        for name, gradient in zip(path, gradients, strict=True):
            added += ((review[name] - baseline[name]) * (weights * gradient).sum(0)).sum(1)[:words]
    ends = {name: torch.stack([baseline[name], review[name]]) for name in tables}
    from_margin, to_margin = _margins(model, tables, ends, target, hardware).tolist()
    return Influence(added.cpu(), to_margin, from_margin)


def _margins(
    model: nn.Module, tables: dict[str, Tensor], reviews: dict[str, Tensor], target: int, hardware: Hardware
) -> Tensor:
    """Return the margins (reviews,) of reviews that are given as vectors (reviews, steps, dim), for each embedding.

    The vectors take the embedding's place, a row for every word of every review, so that no model needs another way in.
    """
    weights = {name: torch.cat([tables[name][:SPECIAL], vectors.flatten(0, 1)]) for name, vectors in reviews.items()}
    count, steps = next(iter(reviews.values())).shape[:2]
    ids = SPECIAL + torch.arange(count * steps, device=hardware.device).view(count, steps)
    lengths = torch.full((count,), steps, device=hardware.device)
    # cuDNN's recurrent layers have no gradients outside training
    with hardware.autocast(), torch.backends.cudnn.flags(enabled=False):
        logits = functional_call(model, weights, (ids, lengths)).float()  # (reviews, classes)
    others = torch.arange(logits.shape[1], device=hardware.device) != target
    return logits[:, target] - logits[:, others].mean(1)


def _points(at_once: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield places between 0 and 1 and their weights, (points, 1, 1), for an integral by Gauss and Legendre."""
    places, weights = (torch.tensor(numbers, dtype=torch.float32, device=device)[:, None, None] / 2
                       for numbers in np.polynomial.legendre.leggauss(POINTS))  # fmt: skip
    yield from zip((places + 0.5).split(at_once), weights.split(at_once), strict=True)
