"""What a prediction for a review rests on, whatever the model."""

from typing import NamedTuple

import torch
from torch import Tensor


class Ngram(NamedTuple):
    """Words that follow each other in a review, and what they add together."""

    start: int  # place of the first word, where they first occur
    size: int  # number of words
    added: float


class Attribution(NamedTuple):
    """The attributions to a class's margin sum to the difference of `margin` and `baseline`."""

    words: Tensor  # fp32 (words,), on the CPU: what each word that was read adds to the margin
    margin: float  # of the review
    baseline: float  # the margin without words: of zero vectors, or of no n-gram
    ngrams: list[Ngram]  # those that add most, the strongest first; empty if the model has none


def margins(logits: Tensor, target: int) -> Tensor:
    """Return the margin of class `target` in logits (…, classes): its logit less the mean of the others'.

    Of two classes it is the log odds.
    """
    is_other = torch.arange(logits.shape[-1], device=logits.device) != target
    return logits[..., target] - logits[..., is_other].mean(-1)
