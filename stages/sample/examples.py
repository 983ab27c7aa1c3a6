"""A few reviews and drawn pictures to try a model on, where no others are at hand."""

import io

from stages.sample.draw import Draw
from stages.sample.images import CLASSES, image

SEED = 13  # neither the training split's nor the test split's

EXAMPLE_REVIEWS = (
    "this movie is so great",
    "a dull story , bad acting and an ending that makes no sense at all",
    "i expected nothing after the first half , but the rest of it was moving and truly well acted",
)


def example_images(count: int) -> list[bytes]:
    """Return PNGs, hot dogs and other objects in turn."""
    draw, encoded = Draw(SEED), []
    for i in range(count):
        buffer = io.BytesIO()
        image(draw, CLASSES[i % len(CLASSES)]).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    return encoded
