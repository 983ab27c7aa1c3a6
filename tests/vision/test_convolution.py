import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.functional import cross_entropy

from stages.inference.device import in_threads
from stages.vision.convolution import FEW, MOST_SHARDS, FastConv2d, speed_up_convolutions
from stages.vision.networks import build


@pytest.fixture(autouse=True)
def _restored_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the matrices that convolutions multiplied."""
    shapes: list[tuple[int, ...]] = []
    linear = F.linear

    def spy(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        shapes.append(tuple(weight.shape))
        return linear(input, weight, bias)

    monkeypatch.setattr(F, "linear", spy)
    return shapes


def pair(convolution: nn.Conv2d) -> tuple[nn.Conv2d, nn.Conv2d]:
    fast = copy.deepcopy(convolution)
    speed_up_convolutions(fast)
    return convolution, fast


@pytest.mark.parametrize(("kernel", "stride", "padding", "bias"), [(3, 1, 1, False), (3, 2, 1, True), (1, 2, 0, False)])
@pytest.mark.parametrize("size", [(2, 2), (3, 3), (1, 3), (4, 5)])
def test_outputs_and_gradients_are_those_of_the_convolution(
    size: tuple[int, int], kernel: int, stride: int, padding: int, bias: bool, products: list[tuple[int, ...]]
) -> None:
    torch.manual_seed(0)
    plain, fast = pair(nn.Conv2d(5, 7, kernel, stride, padding, bias=bias).double())
    image = torch.randn(4, 5, *size, dtype=torch.float64)
    results = []
    for convolution in (plain, fast):
        given = image.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
        output = convolution(given)
        output.square().sum().backward()
        results.append([output, given.grad, *(parameter.grad for parameter in convolution.parameters())])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)
    few = results[0][0].shape[2] * results[0][0].shape[3] <= FEW
    assert products == ([(7, 5 * kernel * kernel)] if few else [])


def test_kernels_and_strides_need_not_be_square() -> None:
    plain, fast = pair(nn.Conv2d(3, 4, (3, 2), (2, 1), (1, 0)).double())
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(fast(images), plain(images))


def test_only_training_on_a_cpu_takes_the_product(products: list[tuple[int, ...]], device: torch.device) -> None:
    _, fast = pair(nn.Conv2d(3, 4, 3, padding=1))
    images = torch.randn(1, 3, 2, 2, device=device)
    fast = fast.to(device)
    fast(images)
    trained = len(products)
    assert trained == (1 if device.type == "cpu" else 0)
    fast.eval()(images)
    with torch.no_grad():
        fast.train()(images)
    fast.requires_grad_(False)(images)
    assert len(products) == trained


def both_passes(convolution: nn.Conv2d, threads: int, *, learns_images: bool = True) -> list[Tensor]:
    """The output, in bf16, and the gradients of the images and the weights, with so many threads."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    images = torch.randn(5, 3, 9, 8).contiguous(memory_format=torch.channels_last).requires_grad_(learns_images)
    convolution.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        output = convolution(images)
    output.float().square().sum().backward()
    assert torch.get_num_threads() == threads
    return [output, *([images.grad] if learns_images else []), *(one.grad for one in convolution.parameters())]


@pytest.mark.parametrize("threads", [2, 3, MOST_SHARDS, MOST_SHARDS + 1])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("learns_images", [False, True])
def test_threads_share_the_batch_up_to_rounding(
    threads: int, bias: bool, learns_images: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    monkeypatch.setattr(
        "stages.vision.convolution.in_threads", lambda run, jobs: counts.append(len(jobs)) or in_threads(run, jobs)
    )
    torch.manual_seed(0)
    plain, fast = pair(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=bias))
    expected, found = (both_passes(one, threads, learns_images=learns_images) for one in (plain, fast))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02 * other.abs().max().item())
    shards = len(torch.zeros(5).chunk(threads))
    assert counts == ([shards, shards] if threads <= MOST_SHARDS else [])


def test_the_bytes_are_the_same_each_time() -> None:
    _, fast = pair(nn.Conv2d(3, 8, 3, bias=True))
    first, second = ([one.clone() for one in both_passes(fast, 2)] for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_one_image_is_no_batch_to_share() -> None:
    torch.set_num_threads(2)
    plain, fast = pair(nn.Conv2d(3, 4, 3))
    image = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(fast(image), plain(image))


@pytest.mark.parametrize(
    "options", [{"groups": 3}, {"dilation": 2}, {"padding": "same"}, {"padding": 1, "padding_mode": "reflect"}]
)
def test_other_convolutions_stay_as_they_are(options: dict[str, object]) -> None:
    _, other = pair(nn.Conv2d(3, 6, 3, **options))  # type: ignore[arg-type]
    assert type(other) is nn.Conv2d


def test_a_network_keeps_its_weights_and_learns_the_same() -> None:
    torch.manual_seed(0)
    network = build("resnet18", 2).to(memory_format=torch.channels_last)
    fast = copy.deepcopy(network)
    speed_up_convolutions(fast)
    assert any(isinstance(module, FastConv2d) for module in fast.modules())
    assert fast.state_dict().keys() == network.state_dict().keys()
    images, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 1, 0])
    for model in (network, fast):
        cross_entropy(model(images), labels).backward()
    for (name, expected), found in zip(network.named_parameters(), fast.parameters(), strict=True):
        assert expected.grad is not None
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
