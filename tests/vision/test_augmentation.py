from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from stages.vision.batches.augmentation import augmented_view, central_view
from tests.vision.tiny import TEXTBOOK

WHOLE = TEXTBOOK | {"scale": [1.0, 1.0], "ratio": [1.0, 1.0], "horizontal_flip": 0.0}


def photograph(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def augmented(image: Image.Image, size: int, seed: int, **changes: object) -> np.ndarray:
    transform = augmented_view(SimpleNamespace(**WHOLE | changes), size)
    torch.manual_seed(seed)
    return pixels(transform(image))


@pytest.mark.parametrize(("width", "height"), [(300, 260), (256, 400), (120, 90), (224, 224)])
def test_testing_is_torchvisions_reference(width: int, height: int) -> None:
    reference = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    image = photograph(width, height)
    first = pixels(central_view(224)(image))
    assert first.shape == (224, 224, 3)
    assert (first == pixels(reference(image))).all()
    assert (first == pixels(central_view(224)(image))).all()


@pytest.mark.parametrize(("size", "resized"), [(96, 109), (224, 256), (64, 73)])
def test_other_sizes_are_in_proportion(size: int, resized: int) -> None:
    image = photograph(200, 160)
    reference = transforms.Compose([transforms.Resize(resized), transforms.CenterCrop(size)])
    assert (pixels(central_view(size)(image)) == pixels(reference(image))).all()


def test_training_is_torchvisions_with_the_textbooks_values() -> None:
    image = photograph(300, 200)
    reference = transforms.Compose([transforms.RandomResizedCrop(96), transforms.RandomHorizontalFlip()])
    ours = augmented_view(SimpleNamespace(**TEXTBOOK), 96)
    for seed in range(5):
        torch.manual_seed(seed)
        expected = pixels(reference(image))
        torch.manual_seed(seed)
        assert (pixels(ours(image)) == expected).all()


def test_a_crop_of_the_whole_changes_nothing() -> None:
    image = photograph(96, 96)
    assert (augmented(image, 96, 0) == pixels(image)).all()


def test_flips_are_drawn_with_their_probability() -> None:
    image = photograph(64, 64)
    whole = pixels(image)
    assert (augmented(image, 64, 0, horizontal_flip=1.0) == whole[:, ::-1]).all()
    assert (augmented(image, 64, 0, vertical_flip=1.0) == whole[::-1]).all()
    flipped = sum((augmented(image, 64, seed, horizontal_flip=0.25) != whole).any() for seed in range(200))
    assert 30 <= flipped <= 70


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_colours_change_by_their_param_alone(name: str) -> None:
    image = photograph(64, 64)
    versions = {augmented(image, 64, seed, **{name: 0.4}).tobytes() for seed in range(4)}
    assert len(versions) == 4
    assert (augmented(image, 64, 0, **{name: 0.0}) == pixels(image)).all()


def test_brightness_is_a_factor_within_its_bounds() -> None:
    image = Image.new("RGB", (64, 64), (100, 100, 100))
    values = [augmented(image, 64, seed, brightness=0.5)[0, 0, 0] for seed in range(40)]
    assert 50 <= min(values) < 70
    assert 130 < max(values) <= 150


def test_the_crops_area_stays_within_scale() -> None:
    # A ramp from 0 to 255 along the width: what a square crop of a square picture spans is its side
    ramp = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (256, 1, 3)))
    for seed in range(20):
        row = augmented(ramp, 32, seed, scale=[0.2, 0.4])[16, :, 0]
        assert 0.2**0.5 * 256 * 31 / 32 - 3 <= row.max() - row.min() <= 0.4**0.5 * 256 * 31 / 32 + 3
