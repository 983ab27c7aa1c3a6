"""What is done to a picture before a network sees it: drawn anew in training, always the same in testing."""

from typing import Protocol, TypeVar

from PIL.Image import Image
from torch import Tensor
from torchvision.transforms import v2


class Augment(Protocol):
    """The keys of params.yaml's section of that name."""

    @property
    def scale(self) -> list[float]: ...
    @property
    def ratio(self) -> list[float]: ...
    @property
    def horizontal_flip(self) -> float: ...
    @property
    def vertical_flip(self) -> float: ...
    @property
    def brightness(self) -> float: ...
    @property
    def contrast(self) -> float: ...
    @property
    def saturation(self) -> float: ...
    @property
    def hue(self) -> float: ...


Picture = TypeVar("Picture", Image, Tensor)  # RGB; as a tensor uint8 (3, height, width)


class Transform(Protocol):
    def __call__(self, picture: Picture) -> Picture:
        """Return a picture of image_size by image_size pixels."""
        ...


def augmented_view(augment: Augment, image_size: int) -> Transform:
    """Random resized crop, flips and colours, drawn from torch's global generator: Dive into Deep Learning, 14.1."""
    colours = (augment.brightness, augment.contrast, augment.saturation, augment.hue)
    (smallest, largest), (narrowest, widest) = augment.scale, augment.ratio
    return v2.Compose(
        [
            v2.RandomResizedCrop(image_size, scale=(smallest, largest), ratio=(narrowest, widest)),
            v2.RandomHorizontalFlip(augment.horizontal_flip),
            v2.RandomVerticalFlip(augment.vertical_flip),
            *([v2.ColorJitter(*colours)] if any(colours) else []),
        ]
    )


def central_view(image_size: int) -> Transform:
    """Shorter side to 8/7 of `image_size`, the middle of that: 256 and 224 in Dive into Deep Learning, 14.2."""
    return v2.Compose([v2.Resize(image_size * 256 // 224), v2.CenterCrop(image_size)])
