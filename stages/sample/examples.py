"""A few reviews and drawn images to try a model on if there is no test split."""

import io

from stages.sample.draw import Draw
from stages.sample.images import CLASSES, draw_image

SEED = 13  # not that of the training or the test split

EXAMPLE_REVIEWS = (
    "this movie is so great",
    "a dull story , bad acting and an ending that makes no sense at all",
    "i expected nothing after the first half , but the rest of it was moving and truly well acted",
)


def example_images(count: int) -> list[bytes]:
    """Return `count` images as PNG, alternately a hot dog and another object."""
    draw, encoded = Draw(SEED), []
    for i in range(count):
        buffer = io.BytesIO()
        draw_image(draw, CLASSES[i % len(CLASSES)]).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    return encoded
