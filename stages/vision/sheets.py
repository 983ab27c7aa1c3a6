"""Sheets of images with captions."""

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont, ImageOps

from stages.core.files import replacing
from stages.vision.batches.augmentation import without_ends
from stages.vision.batches.images import Images

TILE = 128  # pixels, both sides
GAP = 8  # pixels between tiles
FONT_SIZE = 12  # pixels
LAST = 5  # letters at the end of a line that are kept when it is shortened
LINE_HEIGHT = 16  # pixels


class SheetRow(NamedTuple):
    heading: str
    images: list[Image.Image]
    captions: list[str]  # one per image; a caption may have several lines


def write_sheet(path: Path, rows: list[SheetRow]) -> None:
    """Write `rows` as a PNG. Images are fitted into square tiles, captions are shortened to a tile's width."""
    heights = [LINE_HEIGHT + GAP + TILE + LINE_HEIGHT * _lines(row.captions) + GAP for row in rows]
    columns = max((len(row.images) for row in rows), default=0)
    sheet = Image.new("RGB", (max(columns, 3) * (TILE + GAP) + GAP, sum(heights) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        font = _font(row.heading)
        draw.text((GAP, top), _fitted(row.heading, sheet.width - 2 * GAP, font), "black", font)
        for column, (image, caption) in enumerate(zip(row.images, row.captions, strict=True)):
            place = (GAP + column * (TILE + GAP), top + LINE_HEIGHT + GAP // 2)
            sheet.paste(ImageOps.pad(without_ends(image), (TILE, TILE), color="white"), place)
            for number, line in enumerate(caption.split("\n")):
                font = _font(line)
                at = (place[0], place[1] + TILE + 1 + number * LINE_HEIGHT)
                draw.text(at, _fitted(line, TILE, font), "black", font)
        top += height
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG")


def mistakes_row(name: str, images: Images, probabilities: np.ndarray, count: int) -> SheetRow:
    """Return a row of at most `count` mistakes, the most confident first; probabilities (images, classes)."""
    predicted, labels = probabilities.argmax(1), images.labels.numpy()
    confidence = np.where(predicted == labels, -1, probabilities.max(1))
    rows = [int(row) for row in np.argsort(-confidence, kind="stable")[:count] if confidence[row] >= 0]
    classes = images.classes
    captions = [f"{classes[predicted[row]]} {confidence[row]:.2f}\nis {classes[labels[row]]}" for row in rows]
    return SheetRow(f"{name}: its most confident mistakes", [images.decode(row) for row in rows], captions)


def _font(line: str) -> ImageFont.FreeTypeFont:
    """Return matplotlib's font, or if it lacks a letter of `line`, the first font of the system that has them all."""
    own = str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"))
    letters, found = set(map(ord, line)), own
    if not letters <= _letters(own):
        from matplotlib.font_manager import findSystemFonts  # imported here, because it searches the system's folders

        found = next((path for path in sorted(findSystemFonts()) if letters <= _letters(path)), own)
    return ImageFont.truetype(found, FONT_SIZE)


@cache
def _letters(path: str) -> frozenset[int]:
    """Return the letters of a scalable font."""
    with suppress(RuntimeError):  # a file that is no font
        face = FT2Font(path)
        return frozenset(face.get_charmap() if face.scalable else ())
    return frozenset()


def _fitted(line: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """Shorten a line to `width` pixels. The last letters are kept, because they may be a probability."""
    fitted, cut = line, len(line) - LAST
    while cut > 0 and font.getlength(fitted) > width:
        cut -= 1
        fitted = f"{line[:cut].rstrip()}…{line[-LAST:]}"
    return fitted


def _lines(captions: list[str]) -> int:
    return max((caption.count("\n") + 1 for caption in captions if caption), default=0)
