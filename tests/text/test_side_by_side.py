"""Layers in threads of their own give what they give one after the other."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from stages.text.models.birnn import CELLS
from stages.text.models.side_by_side import run_side_by_side

STEPS, BATCH, DIM, HIDDENS = 7, 5, 6, 4


@pytest.fixture(autouse=True)
def _restored_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def layers(cell: str) -> list[nn.Module]:
    torch.manual_seed(0)
    return [CELLS[cell](DIM, HIDDENS) for _ in range(2)]


def both_passes(threads: int, cell: str, *, learns_inputs: bool) -> list[Tensor]:
    """The states of both layers, and the gradients of their inputs and weights, with so many threads."""
    torch.set_num_threads(threads)
    side = layers(cell)
    inputs = [torch.randn(STEPS, BATCH, DIM, requires_grad=learns_inputs) for _ in side]
    states = run_side_by_side(side, inputs)
    assert torch.get_num_threads() == threads
    sum(((number + 1) * one.square()).sum() for number, one in enumerate(states)).backward()
    assert torch.get_num_threads() == threads
    leaves = [*(inputs if learns_inputs else []), *(weight for layer in side for weight in layer.parameters())]
    return [*states, *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("learns_inputs", [False, True])
@pytest.mark.parametrize("threads", [2, 3, 4, 6, 40])  # the last: a review a shard, and none for most threads
def test_states_and_gradients_are_those_of_one_thread(cell: str, learns_inputs: bool, threads: int) -> None:
    expected, found = (both_passes(number, cell, learns_inputs=learns_inputs) for number in (1, threads))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_the_bytes_are_the_same_each_time() -> None:
    first, second = (both_passes(4, "lstm", learns_inputs=True) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_layers_that_do_not_learn_pass_gradients_on() -> None:
    found = []
    for threads in (1, 4):
        torch.set_num_threads(threads)
        side = [layer.requires_grad_(False) for layer in layers("lstm")]
        vectors = torch.randn(STEPS, BATCH, DIM, requires_grad=True)
        torch.cat(list(run_side_by_side(side, [vectors, vectors])), 2).square().sum().backward()
        found.append(vectors.grad)
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_without_gradients_states_have_no_graph(context: type) -> None:
    found = []
    for threads in (1, 4):
        torch.set_num_threads(threads)
        side = layers("gru")
        with context():
            found.append(run_side_by_side(side, [torch.randn(STEPS, BATCH, DIM)] * 2))
    for one, other in zip(*found, strict=True):
        assert not one.requires_grad
        torch.testing.assert_close(one, other)


def test_threads_use_the_precision_of_the_caller() -> None:
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        side = layers("lstm")
        with torch.autocast("cpu", torch.bfloat16):
            states = run_side_by_side(side, [torch.randn(STEPS, BATCH, DIM)] * 2)
        sum(one.float().square().sum() for one in states).backward()
        found.append([*states, *(weight.grad for layer in side for weight in layer.parameters())])
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_an_error_in_a_thread_is_raised_and_the_threads_are_restored() -> None:
    torch.set_num_threads(2)
    wrong = [torch.randn(STEPS, BATCH, DIM), torch.randn(STEPS, BATCH, DIM + 1)]
    with pytest.raises(RuntimeError):
        run_side_by_side(layers("lstm"), wrong)
    assert torch.get_num_threads() == 2
