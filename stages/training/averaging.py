"""The mean of a model's weights over training steps (Polyak and Juditsky 1992).

Not torch.optim.swa_utils.AveragedModel: it also averages frozen embeddings, which makes a TextCNN step 31 % longer
instead of 2 % (docs/scale.md), and it waits for a GPU in each step.
"""

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keeps a copy, `model`, with the mean of the trained weights and buffers since `restart`.

    Integer buffers, which are counters, have their last value.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model)
        for module in self.model.modules():
            if isinstance(module, nn.RNNBase):
                module.flatten_parameters()  # deepcopy scatters the weights: a GPU would copy them in each pass
        self.steps = 0

    def restart(self) -> None:
        self.steps = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Include the current weights of `model` in the mean; call it after each step."""
        self.steps += 1
        means, values = _averaged(self.model), _averaged(model)
        torch._foreach_lerp_(_floats(means), _floats(values), 1 / self.steps)
        for mean, value in zip(means, values, strict=True):
            if not mean.is_floating_point():
                mean.copy_(value)


def _averaged(model: nn.Module) -> list[Tensor]:
    return [*(parameter for parameter in model.parameters() if parameter.requires_grad), *model.buffers()]


def _floats(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor.is_floating_point()]
