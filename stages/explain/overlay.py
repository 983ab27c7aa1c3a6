"""Draw a heat map over its image."""

import matplotlib
import numpy as np
from PIL import Image

HEAT = 0.7  # opacity of the colour where the heat is highest


def overlay(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """Return the image in grey with the heat map (height, width), 0 to 1, over it in colour."""
    grey = np.asarray(image.convert("L").convert("RGB"), np.float32)
    colour = matplotlib.colormaps["inferno"](heat)[:, :, :3] * 255
    weight = HEAT * heat[:, :, None]
    return Image.fromarray((grey * (1 - weight) + colour * weight).round().astype(np.uint8))
