"""Draw the embedded sample's images: hot dogs and objects that look like them, in the layout of hotdog.zip.

Both classes have the same backgrounds, surroundings and light, and the other class has the parts of a hot dog too. So
nothing but the hot dog itself tells the classes apart. The archive has the same bytes on every machine: integer
arithmetic, fixed headers, and the integer transform of libjpeg-turbo.
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from stages.core.progress import progress
from stages.sample import objects
from stages.sample.draw import Draw
from stages.sample.scenes import develop, lay_under, paint_background, scatter, tinted
from stages.sample.shapes import TURN, Canvas, Frame, capsule

IMAGES = {"train": 200, "test": 100}  # per class
CLASSES = ("hotdog", "not-hotdog")  # the names of the folders
SEEDS = {"train": 11, "test": 12}
SHORT = 128  # pixels of the shorter side
LONG = (128, 144, 160, 170, 180, 192)  # pixels of the longer side, equally likely
SIZES = (60, 86)  # half an object's length in percent of the shorter side, least and most
QUALITY = 90  # of JPEG
DATE = (2019, 1, 28, 0, 0, 0)

Painter = Callable[[Frame, Draw], None]

UPRIGHT = {objects.burger, objects.cup, objects.house, objects.car, objects.tree}  # seen from the side, hardly turned
LOOKALIKES: tuple[Painter, ...] = (
    objects.bun, objects.split_bun, objects.sausages, objects.eclair, objects.corn, objects.banana, objects.carrot,
    objects.boat, objects.burger, objects.donut, objects.pencil, objects.bottle, objects.fish, objects.flower,
    objects.cup, objects.car,
)  # fmt: skip


def hotdog(frame: Frame, draw: Draw) -> None:
    """Paint a sausage in a bun, from above or from the side, with sauce and other toppings."""
    half, radius = draw.between(760, 930), draw.between(190, 290)
    crust, crumb = tinted(draw, draw.pick(objects.BREADS)), tinted(draw, draw.pick(objects.CRUMBS))
    meat, thick = tinted(draw, draw.pick(objects.SAUSAGES)), draw.between(110, 170)
    length = half + draw.between(-90, 130)
    gap = draw.between(140, 210)
    aside = draw.chance(40)
    top = -draw.between(30, 90) if aside else 0  # v of the sausage's axis
    objects.loaf(frame, frame.v + gap, half, radius, crust)
    if not aside:
        objects.loaf(frame, frame.v - gap, half, radius, crust)
    frame.fill(capsule(frame.u, frame.v - top, half - 40, radius - 20), crumb, 235)
    v = frame.v - top
    if draw.chance(35):
        objects.leaf_at(frame, draw, v, half - 60, thick + draw.between(20, 60))
    objects.sausage_at(frame, v, length, thick, meat, draw.chance(30))
    for _ in range(draw.pick((0, 1, 1, 1, 1, 2))):
        objects.sauce_on(frame, draw, v, length - 140, thick * draw.between(40, 85) // 100)
    if draw.chance(25):
        objects.sprinkle(frame, draw, length - 150, thick * 2 // 3, draw.pick((objects.CRUMBS, objects.GREENS)))
    if aside:
        objects.loaf(frame, frame.v - gap - 40, half, radius, crust)


def compose(draw: Draw, canvas: Canvas, paint: Painter) -> None:
    """Paint one image: background, clutter behind, the object by `paint`, clutter in front, light."""
    paint_background(canvas, draw)
    scatter(canvas, draw, 0, 2)
    short = min(canvas.width, canvas.height)
    size = short * draw.between(*SIZES) // 100
    x = canvas.width // 2 + (canvas.width * draw.between(-10, 10)) // 100
    y = canvas.height // 2 + (canvas.height * draw.between(-10, 10)) // 100
    turn = draw.between(-20, 20) if paint in UPRIGHT else draw.below(TURN)
    bend = draw.between(-160, 160)
    frame = Frame(canvas, x, y, size, turn, 0 if paint in UPRIGHT else bend)
    lay_under(frame, draw)
    paint(frame, draw)
    if draw.chance(30):
        scatter(canvas, draw, 1, 1)
    develop(canvas, draw)


def draw_image(draw: Draw, label: str) -> Image.Image:
    """Return an RGB image of the class `label`, SHORT pixels on its shorter side."""
    long = draw.pick(LONG)
    width, height = (long, SHORT) if draw.chance(65) else (SHORT, long)
    canvas = Canvas(width, height, draw.below(TURN))
    compose(draw, canvas, hotdog if label == "hotdog" else draw.pick(LOOKALIKES))
    return canvas.image()


def write_hotdog(path: Path) -> None:
    """Write the images as a zip: hotdog/{train,test}/{hotdog,not-hotdog}/<number>.jpg."""
    draws = {split: Draw(seed) for split, seed in SEEDS.items()}
    names = [(split, label, number) for split, n in IMAGES.items() for label in CLASSES for number in range(n)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for split, label, number in progress(names, total=len(names), desc="drawing pictures", unit="picture"):
            jpeg = io.BytesIO()
            draw_image(draws[split], label).save(jpeg, "JPEG", quality=QUALITY)
            member = zipfile.ZipInfo(f"hotdog/{split}/{label}/{number}.jpg", DATE)
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, jpeg.getvalue())
