from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from stages.inference.config import Normalisation
from stages.inference.device import Hardware
from stages.vision.batches import image_batches
from stages.vision.batches.augmentation import augmented_view, central_view
from stages.vision.batches.image_batches import DeviceViews, ImageBatches, Views
from stages.vision.batches.images import Images
from tests.vision.tiny import TEXTBOOK

IMAGENET = Normalisation([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
PLAIN = Normalisation([0.0] * 3, [1.0] * 3)
CPU = Hardware(torch.device("cpu"), "fp32", 1)
AUGMENTED = augmented_view(SimpleNamespace(**TEXTBOOK), 32)


class Counted:
    """A transform that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, image: Image.Image) -> Image.Image:
        self.calls += 1
        return central_view(32)(image)


def test_test_images_are_preprocessed_as_the_reference(split: Callable[..., Images], device: torch.device) -> None:
    images = split()
    reference = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET.mean, IMAGENET.std),
        ]
    )
    expected = torch.stack([reference(images.decode(row)) for row in range(len(images))])
    ours = ImageBatches(images, central_view(224), IMAGENET, 4, Hardware(device, "fp32", 1), seed=None)
    assert len(ours) == 3
    given = list(ours.epoch(0))
    assert [len(batch.labels) for batch in given] == [4, 4, 2]
    found = torch.cat([batch.inputs[0] for batch in given])
    assert found.dtype == torch.float32
    assert found.device.type == device.type
    torch.testing.assert_close(found.cpu(), expected, atol=2e-6, rtol=0)
    assert torch.cat([batch.labels for batch in given]).tolist() == images.labels.tolist()
    assert torch.cat([batch.rows for batch in given]).tolist() == list(range(10))


def test_images_come_in_channels_last_memory(split: Callable[..., Images], device: torch.device) -> None:
    (batch,) = ImageBatches(split(), AUGMENTED, PLAIN, 10, Hardware(device, "fp32", 1), seed=0).epoch(0)
    assert batch.inputs[0].is_contiguous(memory_format=torch.channels_last)


def epoch(images: Images, seed: int | None, number: int, size: int = 3) -> dict[int, torch.Tensor]:
    """Row -> its picture, in the order given."""
    given = {}
    for batch in ImageBatches(images, AUGMENTED, PLAIN, size, CPU, seed=seed).epoch(number):
        assert batch.labels.tolist() == images.labels[batch.rows].tolist()
        given |= dict(zip(batch.rows.tolist(), batch.inputs[0], strict=True))
    return given


def test_an_epoch_is_a_shuffle_of_all_images_by_seed_and_number(split: Callable[..., Images]) -> None:
    images = split()
    orders = {(seed, number): list(epoch(images, seed, number)) for seed in (0, 1) for number in (0, 1)}
    assert all(sorted(order) == list(range(10)) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == 4
    assert list(epoch(images, 0, 1)) == orders[0, 1]


def test_what_is_drawn_depends_on_seed_epoch_and_image_alone(split: Callable[..., Images]) -> None:
    images = split()
    first = epoch(images, 0, 0)
    torch.manual_seed(123)  # the rest of the program's draws
    again = epoch(images, 0, 0, size=7)
    assert all(torch.equal(first[row], again[row]) for row in range(10))
    for other in (epoch(images, 0, 1), epoch(images, 1, 0)):
        assert sum(torch.equal(first[row], other[row]) for row in range(10)) <= 1


def test_two_images_are_not_drawn_alike(split: Callable[..., Images]) -> None:
    views = Views(split(), lambda image: Image.new("RGB", (1, 1), (int(torch.randint(256, ())), 0, 0)), seed=0)
    assert len({int(views[0, row][0, 0, 0]) for row in range(10)}) > 5


def test_the_programs_own_draws_are_left_alone(split: Callable[..., Images]) -> None:
    views = Views(split(), AUGMENTED, seed=0)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    _ = views[0, 0]
    assert torch.equal(torch.rand(3), expected)


def test_processes_give_the_same_images(split: Callable[..., Images]) -> None:
    images = split()
    alone = ImageBatches(images, AUGMENTED, PLAIN, 3, CPU, seed=0)
    shared = ImageBatches(images, AUGMENTED, PLAIN, 3, CPU, seed=0)
    shared.workers = 2
    for one, other in zip(alone.epoch(1), shared.epoch(1), strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert torch.equal(one.inputs[0], other.inputs[0])


def test_a_test_image_is_decoded_once(split: Callable[..., Images]) -> None:
    transform = Counted()
    given = ImageBatches(split(), transform, IMAGENET, 4, CPU, seed=None)
    first, second = (torch.cat([batch.inputs[0] for batch in given.epoch(number)]) for number in (0, 1))
    assert transform.calls == 10
    assert torch.equal(first, second)


def test_test_images_are_kept_up_to_a_bound(split: Callable[..., Images], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_batches, "CACHE_BYTES", 4 * 32 * 32 * 3)
    transform = Counted()
    given = ImageBatches(split(), transform, IMAGENET, 4, CPU, seed=None)
    first, second = (torch.cat([batch.inputs[0] for batch in given.epoch(number)]) for number in (0, 1))
    assert transform.calls == 10 + 6
    assert torch.equal(first, second)


def test_training_images_are_drawn_anew(split: Callable[..., Images]) -> None:
    transform = Counted()
    given = ImageBatches(split(), transform, IMAGENET, 4, CPU, seed=0)
    for number in (0, 1):
        assert sum(len(batch.rows) for batch in given.epoch(number)) == 10
    assert transform.calls == 20


def test_normalisation_is_of_red_green_and_blue(split: Callable[..., Images]) -> None:
    given = Normalisation([0.0, 0.5, 0.25], [1.0, 0.5, 2.0])
    paint = lambda _: Image.fromarray(np.full((2, 2, 3), (255, 0, 51), np.uint8))  # noqa: E731, a constant
    (batch,) = ImageBatches(split(), paint, given, 10, CPU, seed=None).epoch(0)
    torch.testing.assert_close(batch.inputs[0][3, :, 1, 1], torch.tensor([1.0, -1.0, (0.2 - 0.25) / 2]))


@pytest.mark.parametrize(
    ("size", "shuffled", "in_order"),
    [
        (3, [3, 3, 4], [3, 3, 3, 1]),  # of ten pictures
        (9, [10], [9, 1]),
        (4, [4, 4, 2], [4, 4, 2]),
        (10, [10], [10]),
        (99, [10], [10]),
    ],
)
def test_no_image_is_trained_on_alone(
    split: Callable[..., Images], size: int, shuffled: list[int], in_order: list[int]
) -> None:
    for seed, sizes in ((0, shuffled), (None, in_order)):
        given = ImageBatches(split(), central_view(32), PLAIN, size, CPU, seed=seed)
        assert len(given) == len(sizes)
        assert [len(batch.labels) for batch in given.epoch(0)] == sizes


@pytest.fixture
def resident(split: Callable[..., Images], monkeypatch: pytest.MonkeyPatch, device: torch.device) -> Callable:
    """Makes batches of the pictures, elsewhere (False) or on the device (True), as where there is room."""

    def make(there: bool, transform: Callable, seed: int | None) -> ImageBatches:
        monkeypatch.setattr(image_batches, "_room", lambda _: 2**30 * there)
        made = ImageBatches(split(), transform, PLAIN, 4, Hardware(device, "fp32", 1), seed=seed)
        assert isinstance(made.views, DeviceViews) == there
        return made

    return make


def test_images_on_the_device_are_augmented_alike(resident: Callable) -> None:
    transform = augmented_view(SimpleNamespace(**TEXTBOOK | {"brightness": 0.4, "saturation": 0.4}), 32)
    for ours, expected in zip(
        resident(True, transform, 0).epoch(2), resident(False, transform, 0).epoch(2), strict=True
    ):
        difference = (ours.inputs[0] - expected.inputs[0]).abs() * 255
        assert difference.mean() < 1  # of 255
        assert difference.max() < 12
        assert ours.rows.tolist() == expected.rows.tolist()
        assert ours.inputs[0].is_contiguous(memory_format=torch.channels_last)


def test_test_images_on_the_device_are_the_same(resident: Callable) -> None:
    for ours, expected in zip(
        *(resident(there, central_view(32), None).epoch(0) for there in (True, False)), strict=True
    ):
        assert torch.equal(ours.inputs[0], expected.inputs[0])


def test_images_go_to_the_device_where_they_fit(
    split: Callable[..., Images], monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    images = split()
    assert images.decoded_bytes() == 10 * 48 * 64 * 3
    for room in (10 * 48 * 64 * 3 - 1, 10 * 48 * 64 * 3):
        monkeypatch.setattr(image_batches, "_room", lambda _, room=room: room)
        made = ImageBatches(images, AUGMENTED, PLAIN, 4, Hardware(device, "fp32", 1), seed=0)
        assert isinstance(made.views, DeviceViews) == (room == 10 * 48 * 64 * 3)
