"""Integrated gradients (Sundararajan et al. 2017): how much each word of a review adds to a class's margin."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.explain.attribution import Attribution, margins
from stages.inference.config import TextConfig
from stages.inference.device import Hardware
from stages.text.special import PAD_INDEX, UNK_INDEX

POINTS = 32  # of the quadrature: the attributions sum to the difference within .2 %, with 16 points within 4 %
WORDS_PER_PASS = 1 << 14  # words times points, which bounds the memory for a long review
SPECIAL = max(UNK_INDEX, PAD_INDEX) + 1  # rows of an embedding before that of the first word


def integrated_gradients(
    model: nn.Module, config: TextConfig, ids: Tensor, target: int, hardware: Hardware
) -> Attribution:
    """Return what the words of a review, ids (words,), add to the margin of class `target`.

    The baseline is a review of equal length whose vectors are zeros. `model` is on the hardware's device. Words beyond
    the config's `pad_to` are not read. Padding gets zero attribution: if it is not masked, the baseline has it too.
    """
    model.eval()
    pad_to = config.padding.pad_to
    ids = ids.long().to(hardware.device)[:pad_to]
    words = len(ids)
    if pad_to and not config.padding.mask_padding:
        ids = F.pad(ids, (0, pad_to - words), value=UNK_INDEX)
    tables = {
        f"{name}.weight": module.weight.detach()
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding)
    }
    review = {name: table[ids] for name, table in tables.items()}  # (steps, dim)
    baseline = {name: vectors.clone() for name, vectors in review.items()}
    for vectors in baseline.values():
        vectors[:words] = 0
    added = torch.zeros(words, device=hardware.device)
    for positions, weights in _points(max(1, WORDS_PER_PASS // len(ids)), hardware.device):
        path = {name: torch.lerp(baseline[name], review[name], positions).requires_grad_() for name in tables}
        gradients = torch.autograd.grad(
            _margins(model, config, tables, path, target, hardware).sum(), list(path.values())
        )
        for name, gradient in zip(path, gradients, strict=True):
            added += ((review[name] - baseline[name]) * (weights * gradient).sum(0)).sum(1)[:words]
    ends = {name: torch.stack([baseline[name], review[name]]) for name in tables}
    from_margin, to_margin = _margins(model, config, tables, ends, target, hardware).tolist()
    return Attribution(added.cpu(), to_margin, from_margin, [])


def _margins(
    model: nn.Module,
    config: TextConfig,
    tables: dict[str, Tensor],
    reviews: dict[str, Tensor],
    target: int,
    hardware: Hardware,
) -> Tensor:
    """Return the margins (reviews,) of reviews given as vectors (reviews, steps, dim), by the name of the embedding.

    The vectors replace the rows of the embedding, one row for each word of each review. So the model's interface,
    which takes ids, needs no change.
    """
    weights = {name: torch.cat([tables[name][:SPECIAL], vectors.flatten(0, 1)]) for name, vectors in reviews.items()}
    count, steps = next(iter(reviews.values())).shape[:2]
    ids = SPECIAL + torch.arange(count * steps, device=hardware.device).view(count, steps)
    lengths = torch.full((count,), steps, device=hardware.device)
    # cuDNN is off, because its recurrent layers compute no gradients in evaluation mode
    with hardware.autocast(), torch.backends.cudnn.flags(enabled=False):
        logits = functional_call(model, weights, (ids, lengths)).float() / config.temperature  # (reviews, classes)
    return margins(logits, target)


def _points(at_once: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield positions between 0 and 1 and their weights, (points, 1, 1), of Gauss-Legendre quadrature."""
    positions, weights = (
        torch.tensor(values, dtype=torch.float32, device=device)[:, None, None] / 2
        for values in np.polynomial.legendre.leggauss(POINTS)
    )
    yield from zip((positions + 0.5).split(at_once), weights.split(at_once), strict=True)
