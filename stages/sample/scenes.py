"""The surroundings of the objects in the sample's images: tables and grass, plates and crumbs, light and noise.

They are drawn independently of the class, so they do not tell the classes apart.
"""

import numpy as np

from stages.sample.draw import Draw
from stages.sample.shapes import (
    TURN,
    UNIT,
    Canvas,
    Colour,
    Frame,
    Ints,
    box,
    capsule,
    circle,
    ellipse,
    ring,
    sine,
    wave,
)

CLOTHS = (
    (236, 232, 222), (205, 60, 55), (70, 105, 165), (90, 140, 85), (225, 195, 120), (120, 80, 60), (60, 62, 70),
    (200, 150, 160), (150, 175, 190), (95, 75, 110), (185, 180, 170),
)  # fmt: skip
FOODS = (
    (225, 175, 50), (190, 45, 35), (120, 165, 70), (240, 232, 215), (205, 150, 85), (165, 80, 55), (235, 140, 60),
    (110, 65, 40), (160, 60, 90),
)  # fmt: skip
GROUND = (165, 162, 158)  # the colour that backgrounds are moved towards
CONTRAST, COLOUR = 90, 115  # of 256: how much of a background's contrast, and of its mean colour, is kept
WOODS = ((176, 126, 78), (140, 95, 58), (205, 165, 115), (110, 75, 52), (190, 175, 155))
DISHES = (
    (240, 238, 232), (225, 225, 235), (200, 215, 225), (235, 210, 170), (90, 95, 105), (190, 70, 60), (75, 120, 160),
)  # fmt: skip


def tinted(draw: Draw, colour: Colour, spread: int = 12) -> Colour:
    """Return a colour near `colour`: lighter or darker as a whole, and a little off in hue."""
    lightness = draw.between(-spread, spread)
    red, green, blue = (min(max(c + lightness + draw.between(-spread, spread) // 2, 0), 255) for c in colour)
    return red, green, blue


def noise(draw: Draw, height: int, width: int, rows: int, columns: int) -> Ints:
    """Return smooth noise, -128 to 127: random values every `rows` rows and `columns` columns, linear in between."""
    high, wide = height // rows + 2, width // columns + 2
    grid = np.frombuffer(draw.bytes(high * wide), np.int8).astype(np.int32).reshape(high, wide)
    y, x = np.arange(height)[:, None], np.arange(width)
    down, right = (y % rows).astype(np.int32), (x % columns).astype(np.int32)
    lines = grid[:, x // columns] * (columns - right) + grid[:, x // columns + 1] * right
    return (lines[y[:, 0] // rows] * (rows - down) + lines[y[:, 0] // rows + 1] * down) // (rows * columns)


def _shaded(colour: Colour, shade: Ints) -> Ints:
    return np.asarray(colour, np.int32) * shade[..., None] >> 8


def _mixed(one: Colour, other: Colour, part: Ints) -> Ints:
    """Blend two colours: `one` where `part` is 0, `other` where it is 256."""
    start, end = np.asarray(one, np.int32), np.asarray(other, np.int32)
    return start + ((end - start) * part[..., None] >> 8)


def paint_background(canvas: Canvas, draw: Draw) -> None:
    height, width = canvas.height, canvas.width
    short = min(height, width)
    turn = draw.pick((0, 0, TURN // 4, draw.below(TURN)))
    one, other = tinted(draw, draw.pick(CLOTHS)), tinted(draw, draw.pick(CLOTHS))
    x, y = np.arange(width, dtype=np.int32)[None], np.arange(height, dtype=np.int32)[:, None]
    along = ((x * sine(turn + TURN // 4) + y * sine(turn)) >> 6) * UNIT // short >> 8  # UNIT to the shorter side
    across = ((y * sine(turn + TURN // 4) - x * sine(turn)) >> 6) * UNIT // short >> 8
    period = draw.between(90, 300)
    kind = draw.below(8)
    if kind == 0:
        canvas.pixels += np.asarray(one, np.int32)
    elif kind == 1:
        canvas.pixels += _mixed(one, other, (along * 256 // (2 * UNIT) + 100).clip(0, 256))
    elif kind == 2:
        canvas.pixels += _mixed(one, other, (along // period & 1) * 256)
    elif kind == 3:  # gingham
        canvas.pixels += _mixed(one, (242, 240, 235), ((along // period & 1) + (across // period & 1)) * 128)
    elif kind == 4:  # planks
        wood = tinted(draw, draw.pick(WOODS))
        plank = across // (period + 80)
        lightness = np.frombuffer(draw.bytes(64), np.uint8).astype(np.int32)[plank & 63] // 6
        grain = wave(across * 7 + wave(along + plank * 300, 700, 60), 110, 14)
        seam = np.where(across % (period + 80) < 22, -90, 0)
        canvas.pixels += _shaded(wood, 230 + lightness + grain + seam)
    elif kind == 5:  # grass, or a rough carpet
        green = tinted(draw, draw.pick(((85, 130, 55), (110, 140, 70), other)))
        blades, patches = noise(draw, height, width, 5, 2), noise(draw, height, width, 24, 24)
        canvas.pixels += _shaded(green, 250 + blades * 3 // 4 + patches // 2)
    elif kind == 6:  # stone
        grains, patches = noise(draw, height, width, 3, 3), noise(draw, height, width, 20, 20)
        canvas.pixels += _shaded(one, 250 + grains // 3 + patches // 3)
    else:  # tiles
        grout = (along % (period * 2) < 25) | (across % (period * 2) < 25)
        shade = 245 + ((along // (period * 2) * 5 + across // (period * 2) * 3) % 4) * 9
        canvas.pixels += np.where(grout[..., None], np.asarray(other, np.int32), _shaded(one, shade))
    # Reduce the contrast: beside strong patterns, a network that sees 400 images 5 times would not find the objects
    mean = canvas.pixels.sum((0, 1)) // (height * width)
    quiet = ((canvas.pixels - mean) * CONTRAST + (mean - GROUND) * COLOUR >> 8) + GROUND
    canvas.pixels = quiet.astype(np.int32)


def lay_under(frame: Frame, draw: Draw) -> None:
    """Paint a plate, a napkin, a tray or nothing under an object."""
    kind = draw.below(6)
    middle = Frame(frame.canvas, frame.x, frame.y, frame.size, draw.below(TURN) if kind == 2 else frame.turn)
    u, v = middle.u, middle.v
    colour = tinted(draw, draw.pick(DISHES))
    if kind == 0:
        radius = draw.between(950, 1200)
        middle.shadow(circle(u, v, radius), 60)
        middle.fill(circle(u, v, radius), colour)
        middle.fill(ring(u, v, radius * 3 // 4, 18), colour, 215)
    elif kind == 1:
        middle.shadow(ellipse(u, v, 1250, 650), 60)
        middle.fill(ellipse(u, v, 1250, 650), colour)
        middle.fill(abs(ellipse(u, v, 1050, 500)) - 15, colour, 215)
    elif kind == 2:
        napkin = box(u, v, 950, draw.between(600, 950), 30)
        middle.shadow(napkin, 40)
        middle.fill(napkin, colour)
        middle.fill(abs(napkin + 90) - 22, tinted(draw, draw.pick(CLOTHS)))
    elif kind == 3:
        tray = box(u, v, 1150, 560, 90)
        middle.shadow(tray, 80)
        middle.fill(tray, colour, 225)
        middle.fill(tray + 80, colour, 256 - (abs(v) * 30 // 500))
        if draw.chance(50):
            middle.fill(np.maximum(tray + 80, wave(u + v, 260, 100)), tinted(draw, draw.pick(CLOTHS)))


def scatter(canvas: Canvas, draw: Draw, least: int, most: int) -> None:
    """Paint `least` to `most` small things at random places: cups, cutlery, sauce, sticks, balls, crumbs."""
    short = min(canvas.width, canvas.height)
    for _ in range(draw.between(least, most)):
        x, y, turn = draw.below(canvas.width), draw.below(canvas.height), draw.below(TURN)
        size = short * draw.between(8, 22) // 100
        kind = draw.below(8)
        food = tinted(draw, draw.pick(FOODS))
        if kind == 0:  # a cup from above
            frame = Frame(canvas, x, y, size, turn)
            frame.shadow(circle(frame.u, frame.v, 1000), 250)
            frame.fill(circle(frame.u, frame.v, 1000), tinted(draw, draw.pick(DISHES)))
            frame.fill(circle(frame.u, frame.v, 780), food, frame.ball(frame.u, frame.v, 1000, 30))
        elif kind == 1:  # a knife, a straw, a bottle's neck
            frame = Frame(canvas, x, y, size * 2, turn)
            bar = capsule(frame.u, frame.v, 1000, draw.between(35, 110))
            frame.shadow(bar, 60)
            frame.fill(bar, tinted(draw, draw.pick((*DISHES, *FOODS))), frame.round(frame.v, 110))
        elif kind == 2:  # a squiggle of sauce
            frame = Frame(canvas, x, y, size * 3 // 2, turn)
            line = np.maximum(abs(frame.v - wave(frame.u, draw.between(300, 700), 150)) - 70, abs(frame.u) - 900)
            frame.fill(line, food)
        elif kind == 3:  # sticks: fries, pretzels
            for _ in range(draw.between(2, 6)):
                near = (x + draw.between(-size, size), y + draw.between(-size, size))
                frame = Frame(canvas, *near, size, draw.below(TURN))
                stick = box(frame.u, frame.v, 950, 150, 40)
                frame.shadow(stick)
                frame.fill(stick, food, 250 + frame.v // 8)
        elif kind == 4:  # something round: a ball, a tomato, an olive
            frame = Frame(canvas, x, y, size // 2 + 2, turn)
            frame.shadow(circle(frame.u, frame.v, 950), 300)
            frame.fill(circle(frame.u, frame.v, 950), food, frame.ball(frame.u, frame.v, 950))
        elif kind == 5:  # a blob
            frame = Frame(canvas, x, y, size, turn)
            frame.fill(ellipse(frame.u, frame.v + wave(frame.u, 900, 120), 800, draw.between(350, 700)), food)
        else:
            _crumbs(canvas, draw, x, y, size, food)


def _crumbs(canvas: Canvas, draw: Draw, x: int, y: int, size: int, colour: Colour) -> None:
    short = min(canvas.width, canvas.height)
    for _ in range(draw.between(4, 10)):
        near = (x + draw.between(-size, size) * 2, y + draw.between(-size, size) * 2)
        frame = Frame(canvas, *near, max(short * draw.between(8, 26) // 1000, 1))
        frame.fill(circle(frame.u, frame.v, 900), colour)


def develop(canvas: Canvas, draw: Draw) -> None:
    """Apply light and camera to the whole image: a gradient of brightness, a colour cast, in some a blur, and noise."""
    height, width = canvas.height, canvas.width
    x, y = np.arange(width, dtype=np.int32)[None], np.arange(height, dtype=np.int32)[:, None]
    strength = draw.between(0, 60)
    sideways = (2 * x - width) * sine(canvas.light + TURN // 4) // width
    downward = (2 * y - height) * sine(canvas.light) // height
    fall = (sideways + downward) >> 6
    exposure = draw.between(190, 275) + (fall * strength >> 8)
    cast = np.array([draw.between(240, 270) for _ in range(3)], np.int32)
    pixels = canvas.pixels * exposure[..., None] * cast >> 16
    for _ in range(draw.pick((0, 0, 1, 2))):
        edged = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
        rows = edged[:-2] + 2 * edged[1:-1] + edged[2:]
        pixels = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) >> 4
    grain = draw.between(8, 24)
    canvas.pixels = pixels + (noise(draw, height, width, 1, 1)[..., None] * grain >> 8)
