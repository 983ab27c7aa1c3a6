"""The attribution of the linear model's predictions to n-grams and words. It is exact, because the model is a sum."""

import torch
from torch import Tensor

from stages.explain.attribution import Attribution, Ngram, margins
from stages.inference.config import TextConfig
from stages.text.models.linear import LinearModel

SHOWN = 8  # n-grams of a review


def ngram_attribution(model: LinearModel, config: TextConfig, ids: Tensor, target: int) -> Attribution:
    """Return what the n-grams of a review, ids (words,), add to the margin of class `target`.

    An n-gram's contribution is divided equally among its occurrences, and each occurrence's among its words.
    """
    ids = ids.long().to(model.weight.device)
    features = model.features(ids[None], torch.tensor([len(ids)], device=ids.device))[:, 0]  # (sizes, words)
    sizes, starts = (features >= 0).nonzero(as_tuple=True)  # (occurrences,), sizes from 0
    distinct, inverse, counts = features[sizes, starts].unique(return_inverse=True, return_counts=True)
    weight, bias = (margins(values, target) / config.temperature for values in (model.weight, model.bias))
    added = weight[distinct] / max(1, len(distinct)) ** 0.5  # (ngrams,)
    words = torch.zeros(len(ids), device=ids.device)
    for place in model.sizes:
        inside = sizes + 1 >= place
        part = added[inverse] / counts[inverse] / (sizes + 1)
        words.index_add_(0, (starts + place - 1)[inside], part[inside])
    first = torch.full_like(distinct, len(ids)).scatter_reduce(0, inverse, starts, "amin")
    size = torch.zeros_like(distinct).scatter_reduce(0, inverse, sizes + 1, "amax")
    order = added.abs().argsort(descending=True, stable=True)[:SHOWN]
    columns = (first[order].tolist(), size[order].tolist(), added[order].tolist())
    strongest = [Ngram(*row) for row in zip(*columns, strict=True)]
    return Attribution(words.cpu(), float(bias + added.sum()), float(bias), strongest)


def top_ngrams(model: LinearModel, target: int, count: int) -> list[tuple[list[int], float]]:
    """Return the word indices and the weight of the `count` n-grams with the largest weight for class `target`.

    The weight is what the n-gram adds to the margin, times the square root of the review's number of n-grams.
    """
    weight, features = margins(model.weight, target).sort(descending=True, stable=True)
    pairs = zip(features[:count].tolist(), weight[:count].tolist(), strict=True)
    return [(model.words_of(feature), value) for feature, value in pairs]
