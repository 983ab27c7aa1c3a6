"""Transforms of an image before a network sees it: random in training, always the same in testing."""

from typing import TYPE_CHECKING, Protocol, TypeVar

from PIL.Image import Image
from torch import Tensor
from torchvision.transforms import v2

if TYPE_CHECKING:
    from stages.config.params import Augment

MAX_RATIO = 16  # of an image's sides before it is resized: 65,000 by 1 pixels would become 16 million by 256

AnyImage = TypeVar("AnyImage", Image, Tensor)  # RGB; as a tensor uint8 (3, height, width)


class Transform(Protocol):
    def __call__(self, image: AnyImage) -> AnyImage:
        """Return an image of image_size by image_size pixels."""
        ...


def augmented_view(augment: "Augment", image_size: int) -> Transform:
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
    """Resize the shorter side to 8/7 of `image_size`, crop the centre: 256 and 224 in Dive into Deep Learning, 14.2.

    Of an image more than MAX_RATIO times as long as wide the middle counts, which the crop lies in.
    """
    return v2.Compose([without_ends, v2.Resize(image_size * 256 // 224), v2.CenterCrop(image_size)])


def without_ends(image: AnyImage) -> AnyImage:
    """Return the image, or the middle of one that is more than MAX_RATIO times as long as wide."""
    height, width = image.shape[-2:] if isinstance(image, Tensor) else image.size[::-1]
    short, long = sorted((height, width))
    kept = MAX_RATIO * short
    if long <= kept:
        return image
    kept += (long - kept) % 2  # an odd pixel more, where the middle would otherwise lie half a pixel aside
    return v2.CenterCrop((min(height, kept), min(width, kept)))(image)
