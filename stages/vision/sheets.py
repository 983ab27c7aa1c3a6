"""Sheets of pictures with captions, for people to look at."""

from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

from stages.core.files import replacing

TILE = 128  # pixels, both sides
GAP = 8  # pixels between tiles
TEXT = 13  # pixels, the captions' size
LAST = 5  # letters of a shortened line that stay at its end
LINE = 16  # pixels from one line of text to the next


class Row(NamedTuple):
    heading: str
    pictures: list[Image.Image]
    captions: list[str]  # one a picture; a line break makes two lines


def write_sheet(path: Path, rows: list[Row]) -> None:
    """Write `rows` as a PNG, each picture fitted into a square tile, its caption below it, shortened where it must."""
    font = ImageFont.load_default(TEXT)
    heights = [LINE + GAP + TILE + LINE * _lines(row.captions) + GAP for row in rows]
    columns = max((len(row.pictures) for row in rows), default=0)
    sheet = Image.new("RGB", (max(columns, 3) * (TILE + GAP) + GAP, sum(heights) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        draw.text((GAP, top), _fitted(row.heading, sheet.width - 2 * GAP, font), "black", font)
        for column, (picture, caption) in enumerate(zip(row.pictures, row.captions, strict=True)):
            place = (GAP + column * (TILE + GAP), top + LINE + GAP // 2)
            sheet.paste(ImageOps.pad(picture, (TILE, TILE), color="white"), place)
            lines = "\n".join(_fitted(line, TILE, font) for line in caption.split("\n"))
            draw.multiline_text((place[0], place[1] + TILE + 1), lines, "black", font, spacing=LINE - TEXT)
        top += height
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG")


def _fitted(line: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Leave out what is too wide, just before the last letters: they may be a probability."""
    fitted, cut = line, len(line) - LAST
    while cut > 0 and font.getlength(fitted) > width:
        cut -= 1
        fitted = f"{line[:cut].rstrip()}…{line[-LAST:]}"
    return fitted


def _lines(captions: list[str]) -> int:
    return max((caption.count("\n") + 1 for caption in captions if caption), default=0)
