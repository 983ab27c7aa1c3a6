"""Training convolutions over few positions, on a CPU, as products of matrices.

On images of 64 or 96 pixels the last layers of a ResNet, which have most of its weights, see 2 by 2 or 3 by 3
positions. There oneDNN's convolution takes three times as long as the product (docs/scale.md), most of it for the
gradients.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows

FEW = 9  # positions, at most, for which the product is faster


class FewPositionsConv2d(nn.Conv2d):
    """nn.Conv2d that is trained as one product, if it is on a CPU and its output has at most FEW positions."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, out_channels, height, width), like nn.Conv2d."""
        (kernel_height, kernel_width), (down, across) = self.kernel_size, self.stride
        pad_height, pad_width = int(self.padding[0]), int(self.padding[1])
        height = (input.shape[2] + 2 * pad_height - kernel_height) // down + 1
        width = (input.shape[3] + 2 * pad_width - kernel_width) // across + 1
        learns = self.training and torch.is_grad_enabled() and self.weight.requires_grad
        if not learns or input.device.type != "cpu" or height * width > FEW:
            return super().forward(input)
        padded = F.pad(input.permute(0, 2, 3, 1), (0, 0, pad_width, pad_width, pad_height, pad_height))
        windows = [
            padded[:, row : row + down * height : down, column : column + across * width : across]
            for row in range(kernel_height)
            for column in range(kernel_width)
        ]  # of each place in the kernel: (batch, height, width, channels)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # (out_channels, kernel_height * kernel_width * channels)
        return F.linear(torch.cat(windows, 3), weight, self.bias).permute(0, 3, 1, 2)


def speed_up_few_positions(network: nn.Module) -> None:
    """Make each plain convolution of the network a FewPositionsConv2d. Names and weights stay the same."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups == 1 and module.dilation == (1, 1) and _pads_zeros(module):
            module.__class__ = FewPositionsConv2d


def _pads_zeros(convolution: nn.Conv2d) -> bool:
    return convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
