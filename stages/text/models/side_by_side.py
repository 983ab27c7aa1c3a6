"""Recurrent layers that run at the same time on a CPU, a thread for each layer and shard of the batch.

Threads that share the arithmetic of one layer wait for each other at every time step. Two directions need nothing of
each other, nor do two reviews: their threads meet once a layer.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from stages.inference.device import in_threads

T = TypeVar("T")


def run_side_by_side(layers: Sequence[nn.Module], inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the states (steps, batch, hiddens) of each layer, given its input (steps, batch, features).

    The batch is cut into as many shards as there are threads for each layer. The result is that of a loop, but for the
    rounding of sums over shards. With one thread, on a GPU and in an export it is a loop.
    """
    threads = torch.get_num_threads()
    if threads == 1 or inputs[0].device.type != "cpu" or torch.compiler.is_compiling():
        return [layer(vectors)[0] for layer, vectors in zip(layers, inputs, strict=True)]
    weights = [weight for layer in layers for weight in layer.parameters()]
    shards = max(1, threads // len(layers))
    return _SideBySide.apply(layers, shards, torch.is_grad_enabled(), *inputs, *weights)


class _SideBySide(torch.autograd.Function):
    """Both passes in threads: autograd by itself runs the backward pass of a CPU in one."""

    @staticmethod
    def forward(
        ctx: Any, layers: Sequence[nn.Module], shards: int, has_graph: bool, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        """`tensors`: the input of each layer, then the weights of all layers."""

        def run(layer: nn.Module, part: Tensor, needs_grad: bool) -> tuple[Tensor, Tensor]:
            with torch.set_grad_enabled(has_graph):
                part = part.detach().requires_grad_(needs_grad)
                return part, layer(part)[0]

        jobs = [
            (layer, part, has_graph and vectors.requires_grad)
            for layer, vectors in zip(layers, tensors, strict=False)
            for part in vectors.chunk(shards, 1)
        ]
        done = in_threads(run, jobs)
        ctx.layers, ctx.shards, ctx.graphs = layers, shards, done if has_graph else None
        states = [states.detach() for _, states in done]
        return tuple(torch.cat(parts, 1) for parts in _batches(states, len(layers)))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        def run(layer: nn.Module, part: Tensor, states: Tensor, gradient: Tensor) -> list[Tensor | None]:
            tensors = [part, *layer.parameters()]
            found = iter(torch.autograd.grad(states, [one for one in tensors if one.requires_grad], gradient))
            return [next(found) if one.requires_grad else None for one in tensors]

        parts = [part for gradient in gradients for part in gradient.chunk(ctx.shards, 1)]
        of_part = [layer for layer in ctx.layers for _ in range(len(parts) // len(ctx.layers))]
        done = in_threads(
            run, [(layer, *graph, part) for layer, graph, part in zip(of_part, ctx.graphs, parts, strict=True)]
        )
        inputs, weights = [], []
        for found in _batches(done, len(ctx.layers)):
            of_input, *of_weights = zip(*found, strict=True)
            inputs.append(None if of_input[0] is None else torch.cat(of_input, 1))
            weights += [None if one[0] is None else sum(one[1:], one[0]) for one in of_weights]
        return (None, None, None, *inputs, *weights)


def _batches(parts: list[T], count: int) -> list[list[T]]:
    """Split the parts of all layers into those of each."""
    size = len(parts) // count
    return [parts[i : i + size] for i in range(0, len(parts), size)]
