"""The training of convolutions on a CPU, where oneDNN is slow: over few positions, and beside another busy process.

On images of 64 or 96 pixels the last layers of a ResNet, which have most of its weights, see 2 by 2 or 3 by 3
positions. There oneDNN's convolution takes three times as long as a product of matrices, most of it for the gradients.
Over more positions a thread for each shard of the batch keeps half of its speed beside a busy process, while OpenMP's
threads keep a fifth. The figures are in docs/scale.md.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.inference.device import in_threads

FEW = 9  # positions, at most, for which the product is faster
MOST_SHARDS = 4  # each shard has a gradient of all weights to add up; with more threads the convolution is OpenMP's


class FastConv2d(nn.Conv2d):
    """nn.Conv2d that is trained on a CPU in other ways than oneDNN's.

    Over at most FEW positions it is one product of matrices, which is faster. Over more, each thread computes a shard
    of the batch. That is slightly slower on a quiet machine, and several times as fast on a busy one.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, out_channels, height, width), like nn.Conv2d."""
        learns = self.training and torch.is_grad_enabled() and self.weight.requires_grad
        if not learns or input.device.type != "cpu":
            return super().forward(input)
        sizes = zip(input.shape[2:], self.kernel_size, self.stride, self.padding, strict=True)
        height, width = ((size + 2 * int(padding) - kernel) // stride + 1 for size, kernel, stride, padding in sizes)
        if height * width > FEW:
            by_shards = 1 < torch.get_num_threads() <= MOST_SHARDS and not torch.compiler.is_compiling()
            return self._by_shards(input) if by_shards else super().forward(input)
        positions = input.permute(0, 2, 3, 1).flatten(1, 2)  # (batch, height * width, channels)
        padding = positions.new_zeros(len(input), 1, input.shape[1])
        seen = _seen(input.shape[2:], self.kernel_size, self.stride, self.padding)
        windows = torch.cat([padding, positions], 1).index_select(1, seen).view(len(input), height, width, -1)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # (out_channels, kernel_height * kernel_width * channels)
        return F.linear(windows, weight, self.bias).permute(0, 3, 1, 2)

    def _by_shards(self, input: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        return _Shards.apply(input.to(dtype), self.weight.to(dtype), bias, self.stride, self.padding)


@lru_cache
def _seen(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """Return the input position at each place of the kernel, for each output position: (outputs * kernel places,).

    Positions count from 1, row by row; 0 is padding.
    """
    numbers = torch.arange(1.0, size[0] * size[1] + 1).view(1, 1, *size)
    return F.unfold(numbers, kernel, padding=padding, stride=stride)[0].T.flatten().long()


class _Shards(torch.autograd.Function):
    """A convolution, forward and backward, in a thread for each shard of the batch."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.options = None if bias is None else [len(bias)], stride, padding, (1, 1), False, (0, 0), 1
        ctx.shards = torch.get_num_threads()
        parts = [(part, weight, bias, stride, padding) for part in input.chunk(ctx.shards)]
        return torch.cat(in_threads(torch.conv2d, parts))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        input, weight = ctx.saved_tensors
        needed = list(ctx.needs_input_grad[:3])

        def run(part: Tensor, gradient: Tensor) -> list[Tensor | None]:
            return torch.ops.aten.convolution_backward(gradient, part, weight, *ctx.options, needed)

        parts = zip(input.chunk(ctx.shards), gradients[0].chunk(ctx.shards), strict=True)
        inputs, weights, biases = zip(*in_threads(run, list(parts)), strict=True)
        return (
            torch.cat(inputs) if needed[0] else None,
            sum(weights[1:], weights[0]) if needed[1] else None,
            sum(biases[1:], biases[0]) if needed[2] else None,
            None,
            None,
        )


def speed_up_convolutions(network: nn.Module) -> None:
    """Make each plain convolution of the network a FastConv2d. Names and weights stay the same."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups == 1 and module.dilation == (1, 1) and _pads_zeros(module):
            module.__class__ = FastConv2d


def _pads_zeros(convolution: nn.Conv2d) -> bool:
    return convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
