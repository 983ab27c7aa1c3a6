"""Batch norm whose statistics are over the whole batch, of which each process has a share.

torch.nn.SyncBatchNorm is for GPUs alone, makes the processor wait for them in every layer, and takes no empty share in
bf16.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

from stages.core.parallel import processes, rank, total


def share_statistics(model: nn.Module) -> None:
    """Replace every batch norm inside `model` by one over all processes, if there are several.

    Weights and statistics stay the same tensors.
    """
    if processes() == 1:
        return
    for name, child in model.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, SharedBatchNorm):
            setattr(model, name, SharedBatchNorm(child))
        else:
            share_statistics(child)


class SharedBatchNorm(_BatchNorm):
    """In training, torch's batch norm of the batch that the processes' inputs make up; else torch's own."""

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        for name, tensor in [*norm.named_parameters(), *norm.named_buffers()]:
            setattr(self, name, tensor)
        self.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any: (batch, channels, …)."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        mean, variance, count = _statistics(input.detach())
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            momentum = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), momentum)
        return _Normalise.apply(input, self.weight, self.bias, mean, variance, count, self.eps)


def _statistics(share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each channel's mean and variance (channels,) over the shares (batch, channels, …) and their size ()."""
    channels = share.shape[1]
    own = share.new_zeros(2 * channels + 1, dtype=torch.promote_types(share.dtype, torch.float32))
    if share.numel():
        nothing = own[:channels]  # running statistics: they say in which precision the answer comes
        mean, variance = torch.batch_norm_update_stats(share, nothing, nothing, 0.0)
        own = torch.cat([mean, variance, mean.new_full((1,), share.numel() // channels)])
    every = own.new_zeros(processes(), len(own))
    every[rank()] = own
    means, variances, counts = total(every).split([channels, channels, 1], 1)
    count = counts.sum()
    mean = (means * counts).sum(0) / count
    variance = ((variances + (means - mean) ** 2) * counts).sum(0) / count  # Chan, Golub and LeVeque 1979
    return mean, variance, count


class _Normalise(torch.autograd.Function):
    """Batch norm by given statistics, with the gradient that also goes through them, into every share."""

    @staticmethod
    def forward(
        ctx: Any,
        share: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(share, weight, mean, variance, count)
        ctx.eps = eps
        return batch_norm(share, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    # pyrefly: ignore [bad-override]  # which the decorator's missing types make of it
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = grad_outputs
        share, weight, mean, variance, count = ctx.saved_tensors
        # As if the statistics were constants: to the share, and to weight and bias, which are sums over the share
        if share.numel():
            direct, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
                gradient, share, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
            )
        else:  # of which the kernel divides by zero
            direct, to_weight, to_bias = gradient, torch.zeros_like(weight), torch.zeros_like(weight)
        sums = total(torch.stack([to_weight, to_bias]))
        scale = (variance + ctx.eps).rsqrt()
        through_variance, through_mean = -sums / count * scale * weight
        slope = through_variance * scale
        offset = through_mean - slope * mean
        shape = (-1,) + (1,) * (share.ndim - 2)  # channels beside the places
        to_share = torch.addcmul(direct + offset.view(shape), share, slope.view(shape)).to(share.dtype)
        return to_share, to_weight, to_bias, None, None, None, None
