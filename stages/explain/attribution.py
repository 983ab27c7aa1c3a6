"""The attribution of a prediction to the words of a review: one type for all text models."""

from typing import NamedTuple

import torch
from torch import Tensor


class Ngram(NamedTuple):
    """Consecutive words of a review, and their common contribution."""

    start: int  # position of the first word, at the n-gram's first occurrence
    size: int  # number of words
    added: float


class Attribution(NamedTuple):
    """The attributions of a class's margin to the words. They sum to `margin` - `baseline`."""

    words: Tensor  # fp32 (words,), on the CPU: what each word adds to the margin, of the words that the model read
    margin: float  # of the review
    baseline: float  # the margin without words: of zero vectors, or of no n-gram
    ngrams: list[Ngram]  # those that add most, the strongest first; empty if the model has none


def margins(logits: Tensor, target: int) -> Tensor:
    """Return the margin of class `target` in logits (…, classes): its logit less the mean of the others'.

    Of two classes it is the log odds.
    """
    is_other = torch.arange(logits.shape[-1], device=logits.device) != target
    return logits[..., target] - logits[..., is_other].mean(-1)
