"""A linear model of a review's n-grams, as in Wang and Manning 2012, but with logistic regression instead of an SVM."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows

# The code of an n-gram is (feature of its first n - 1 words << SHIFT) + index of its last word
SHIFT = 32  # bits


class LinearModel(nn.Module):
    """The logits are the sum of the weights of a review's distinct n-grams, divided by the square root of their number.

    Features are numbered by size, then by code. An n-gram is a feature only if its first n - 1 words are one. A code
    therefore takes 64 bits, whatever n and the size of the vocabulary are.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """Take codes_1, codes_2, … int64 (features of the size,), sorted; weight (features, classes); bias (classes,).

        Raises ValueError if their shapes do not fit each other.
        """
        super().__init__()
        names = sorted(name for name in weights if name.startswith("codes_"))
        self.sizes = range(1, 1 + len(names))
        for name in [*names, "weight", "bias"]:
            self.register_buffer(name, weights[name])
        features = sum(len(weights[name]) for name in names)
        if self.weight.shape != (features, len(self.bias)):
            raise ValueError(f"weight {tuple(self.weight.shape)}, expected {(features, len(self.bias))}")

    def features(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (batch, steps) and lengths (batch,) to features, int64 (sizes, batch, steps).

        These are, for each size, the feature that starts at each word, or -1 if there is none.
        """
        step = torch.arange(ids.shape[1], device=ids.device)
        prefix, offset, found = torch.zeros_like(ids), 0, []
        for size in self.sizes:
            codes = self.get_buffer(f"codes_{size}")
            last = F.pad(ids, (0, size - 1))[:, size - 1 :]  # the word that ends the n-gram
            is_feature = (prefix >= 0) & (step + size <= lengths[:, None])
            if len(codes):
                code = (prefix << SHIFT) + last
                place = torch.searchsorted(codes, code).clamp(max=len(codes) - 1)
                prefix = torch.where(is_feature & (codes[place] == code), place + offset, -1)
            else:
                prefix = torch.full_like(prefix, -1)
            offset += len(codes)
            found.append(prefix)
        return torch.stack(found)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (batch, steps) and lengths (batch,) to logits (batch, classes)."""
        features = self.features(ids, lengths).transpose(0, 1).flatten(1).sort(1).values  # (batch, sizes * steps)
        is_repeated = F.pad(features[:, 1:] == features[:, :-1], (1, 0))
        absent = len(self.weight)
        features = features.masked_fill(is_repeated | (features < 0), absent)
        weight = F.pad(self.weight, (0, 0, 0, 1))  # a row of zeros for `absent`
        count = (features < absent).sum(1, keepdim=True).clamp(min=1)
        return F.embedding_bag(features, weight, mode="sum", padding_idx=absent) / count.sqrt() + self.bias

    def words_of(self, feature: int) -> list[int]:
        """Return the indices of a feature's words."""
        for size in self.sizes:
            codes = self.get_buffer(f"codes_{size}")
            if feature < len(codes):
                prefix, last = divmod(int(codes[feature]), 1 << SHIFT)
                return [*(self.words_of(prefix) if size > 1 else []), last]
            feature -= len(codes)
        raise IndexError(feature)
