from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from stages.vision import batches
from stages.vision.augmentation import augmented_view, central_view
from stages.vision.batches import DeviceViews, Normalisation, PictureBatches, Views
from stages.vision.pictures import Pictures
from tests.vision.tiny import TEXTBOOK

IMAGENET = Normalisation([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
PLAIN = Normalisation([0.0] * 3, [1.0] * 3)
AUGMENTED = augmented_view(SimpleNamespace(**TEXTBOOK), 32)


class Counted:
    """A transform that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, picture: Image.Image) -> Image.Image:
        self.calls += 1
        return central_view(32)(picture)


def test_test_pictures_are_preprocessed_as_the_reference(half: Callable[..., Pictures], device: torch.device) -> None:
    pictures = half()
    reference = transforms.Compose(
        [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(*IMAGENET)]
    )
    expected = torch.stack([reference(pictures.decode(row)) for row in range(len(pictures))])
    ours = PictureBatches(pictures, central_view(224), IMAGENET, 4, device, seed=None)
    assert len(ours) == 3
    given = list(ours.epoch(0))
    assert [len(batch.labels) for batch in given] == [4, 4, 2]
    found = torch.cat([batch.inputs[0] for batch in given])
    assert found.dtype == torch.float32
    assert found.device.type == device.type
    torch.testing.assert_close(found.cpu(), expected, atol=2e-6, rtol=0)
    assert torch.cat([batch.labels for batch in given]).tolist() == pictures.labels.tolist()
    assert torch.cat([batch.rows for batch in given]).tolist() == list(range(10))


def test_pictures_come_in_channels_last_memory(half: Callable[..., Pictures], device: torch.device) -> None:
    (batch,) = PictureBatches(half(), AUGMENTED, PLAIN, 10, device, seed=0).epoch(0)
    assert batch.inputs[0].is_contiguous(memory_format=torch.channels_last)


def epoch(pictures: Pictures, seed: int | None, number: int, size: int = 3) -> dict[int, torch.Tensor]:
    """Row -> its picture, in the order given."""
    given = {}
    for batch in PictureBatches(pictures, AUGMENTED, PLAIN, size, torch.device("cpu"), seed=seed).epoch(number):
        assert batch.labels.tolist() == pictures.labels[batch.rows].tolist()
        given |= dict(zip(batch.rows.tolist(), batch.inputs[0], strict=True))
    return given


def test_an_epoch_is_a_shuffle_of_all_pictures_by_seed_and_number(half: Callable[..., Pictures]) -> None:
    pictures = half()
    orders = {(seed, number): list(epoch(pictures, seed, number)) for seed in (0, 1) for number in (0, 1)}
    assert all(sorted(order) == list(range(10)) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == 4
    assert list(epoch(pictures, 0, 1)) == orders[0, 1]


def test_what_is_drawn_depends_on_seed_epoch_and_picture_alone(half: Callable[..., Pictures]) -> None:
    pictures = half()
    first = epoch(pictures, 0, 0)
    torch.manual_seed(123)  # the rest of the program's draws
    again = epoch(pictures, 0, 0, size=7)
    assert all(torch.equal(first[row], again[row]) for row in range(10))
    for other in (epoch(pictures, 0, 1), epoch(pictures, 1, 0)):
        assert sum(torch.equal(first[row], other[row]) for row in range(10)) <= 1


def test_two_pictures_are_not_drawn_alike(half: Callable[..., Pictures]) -> None:
    views = Views(half(), lambda picture: Image.new("RGB", (1, 1), (int(torch.randint(256, ())), 0, 0)), seed=0)
    assert len({int(views[0, row][0, 0, 0]) for row in range(10)}) > 5


def test_the_programs_own_draws_are_left_alone(half: Callable[..., Pictures]) -> None:
    views = Views(half(), AUGMENTED, seed=0)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    _ = views[0, 0]
    assert torch.equal(torch.rand(3), expected)


def test_processes_give_the_same_pictures(half: Callable[..., Pictures]) -> None:
    pictures = half()
    alone = PictureBatches(pictures, AUGMENTED, PLAIN, 3, torch.device("cpu"), seed=0)
    shared = PictureBatches(pictures, AUGMENTED, PLAIN, 3, torch.device("cpu"), seed=0)
    shared.workers = 2
    for one, other in zip(alone.epoch(1), shared.epoch(1), strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert torch.equal(one.inputs[0], other.inputs[0])


def test_a_test_picture_is_decoded_once(half: Callable[..., Pictures]) -> None:
    transform = Counted()
    given = PictureBatches(half(), transform, IMAGENET, 4, torch.device("cpu"), seed=None)
    first, second = (torch.cat([batch.inputs[0] for batch in given.epoch(number)]) for number in (0, 1))
    assert transform.calls == 10
    assert torch.equal(first, second)


def test_test_pictures_are_kept_up_to_a_bound(half: Callable[..., Pictures], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "KEPT", 4 * 32 * 32 * 3)
    transform = Counted()
    given = PictureBatches(half(), transform, IMAGENET, 4, torch.device("cpu"), seed=None)
    first, second = (torch.cat([batch.inputs[0] for batch in given.epoch(number)]) for number in (0, 1))
    assert transform.calls == 10 + 6
    assert torch.equal(first, second)


def test_training_pictures_are_drawn_anew(half: Callable[..., Pictures]) -> None:
    transform = Counted()
    given = PictureBatches(half(), transform, IMAGENET, 4, torch.device("cpu"), seed=0)
    for number in (0, 1):
        assert sum(len(batch.rows) for batch in given.epoch(number)) == 10
    assert transform.calls == 20


def test_normalisation_is_of_red_green_and_blue(half: Callable[..., Pictures]) -> None:
    given = Normalisation([0.0, 0.5, 0.25], [1.0, 0.5, 2.0])
    paint = lambda _: Image.fromarray(np.full((2, 2, 3), (255, 0, 51), np.uint8))  # noqa: E731, a constant
    (batch,) = PictureBatches(half(), paint, given, 10, torch.device("cpu"), seed=None).epoch(0)
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
def test_no_picture_is_trained_on_alone(
    half: Callable[..., Pictures], size: int, shuffled: list[int], in_order: list[int]
) -> None:
    for seed, sizes in ((0, shuffled), (None, in_order)):
        given = PictureBatches(half(), central_view(32), PLAIN, size, torch.device("cpu"), seed=seed)
        assert len(given) == len(sizes)
        assert [len(batch.labels) for batch in given.epoch(0)] == sizes


@pytest.fixture
def resident(half: Callable[..., Pictures], monkeypatch: pytest.MonkeyPatch, device: torch.device) -> Callable:
    """Makes batches of the pictures, elsewhere (False) or on the device (True), as where there is room."""

    def make(there: bool, transform: Callable, seed: int | None) -> PictureBatches:
        monkeypatch.setattr(batches, "_room", lambda _: 2**30 * there)
        made = PictureBatches(half(), transform, PLAIN, 4, device, seed=seed)
        assert isinstance(made.views, DeviceViews) == there
        return made

    return make


def test_pictures_on_the_device_are_augmented_alike(resident: Callable) -> None:
    transform = augmented_view(SimpleNamespace(**TEXTBOOK | {"brightness": 0.4, "saturation": 0.4}), 32)
    for ours, expected in zip(
        resident(True, transform, 0).epoch(2), resident(False, transform, 0).epoch(2), strict=True
    ):
        difference = (ours.inputs[0] - expected.inputs[0]).abs() * 255
        assert difference.mean() < 1  # of 255
        assert difference.max() < 12
        assert ours.rows.tolist() == expected.rows.tolist()
        assert ours.inputs[0].is_contiguous(memory_format=torch.channels_last)


def test_test_pictures_on_the_device_are_the_same(resident: Callable) -> None:
    for ours, expected in zip(
        *(resident(there, central_view(32), None).epoch(0) for there in (True, False)), strict=True
    ):
        assert torch.equal(ours.inputs[0], expected.inputs[0])


def test_pictures_go_to_the_device_where_they_fit(
    half: Callable[..., Pictures], monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    pictures = half()
    assert pictures.decoded_bytes() == 10 * 48 * 64 * 3
    for room in (10 * 48 * 64 * 3 - 1, 10 * 48 * 64 * 3):
        monkeypatch.setattr(batches, "_room", lambda _, room=room: room)
        made = PictureBatches(pictures, AUGMENTED, PLAIN, 4, device, seed=0)
        assert isinstance(made.views, DeviceViews) == (room == 10 * 48 * 64 * 3)
