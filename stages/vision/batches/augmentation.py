"""Transforms of an image before a network sees it: random in training, fixed in testing."""

from typing import TYPE_CHECKING, Protocol, TypeVar

from PIL.Image import Image
from torch import Tensor
from torchvision.transforms import v2

if TYPE_CHECKING:
    from stages.config.params import Augment

MAX_RATIO = 16  # of an image's sides; without a limit, 65,000 by 1 pixels would be resized to 16 million by 256

AnyImage = TypeVar("AnyImage", Image, Tensor)  # RGB; as a tensor uint8 (3, height, width)


class Transform(Protocol):
    def __call__(self, image: AnyImage) -> AnyImage:
        """Return an image of image_size by image_size pixels."""
        ...


def augmented_view(augment: "Augment", image_size: int) -> Transform:
    """Return random crop, flips and colours (Dive into Deep Learning, 14.1), drawn from torch's global generator."""
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
    """Return a resize of the shorter side to 8/7 of `image_size`, and a crop of the centre.

    These are 256 and 224 pixels in Dive into Deep Learning, 14.2. The ends of a very long image are cut off first,
    which does not change the crop.
    """
    return v2.Compose([without_ends, v2.Resize(image_size * 256 // 224), v2.CenterCrop(image_size)])


def without_ends(image: AnyImage) -> AnyImage:
    """Return the image; if it is more than MAX_RATIO times as long as wide, its middle."""
    height, width = image.shape[-2:] if isinstance(image, Tensor) else image.size[::-1]
    short, long = sorted((height, width))
    kept = MAX_RATIO * short
    if long <= kept:
        return image
    kept += (long - kept) % 2  # one pixel more if the middle would otherwise be off by half a pixel
    return v2.CenterCrop((min(height, kept), min(width, kept)))(image)
