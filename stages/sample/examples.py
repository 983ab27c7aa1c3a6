"""A few drawn pictures to try a model on, where no others are at hand."""

from PIL import Image

from stages.sample.draw import Draw
from stages.sample.pictures import CLASSES, picture

SEED = 13  # neither the training half's nor the test half's


def example_pictures(count: int) -> list[Image.Image]:
    """Return RGB pictures, hot dogs and other things in turn."""
    draw = Draw(SEED)
    return [picture(draw, CLASSES[i % len(CLASSES)]) for i in range(count)]
