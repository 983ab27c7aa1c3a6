"""The objects in the sample's images. Each is painted into a frame, lengthwise from u = -1000 to 1000."""

import numpy as np

from stages.sample.draw import Draw
from stages.sample.scenes import CLOTHS, DISHES, tinted
from stages.sample.shapes import (
    TURN,
    Colour,
    Frame,
    Ints,
    box,
    capsule,
    circle,
    convex,
    ellipse,
    lens,
    norm,
    ring,
    sine,
    wave,
)

BREADS = ((222, 170, 95), (205, 145, 75), (232, 190, 125), (180, 115, 60), (240, 205, 140))
CRUMBS = ((245, 228, 185), (250, 236, 205), (235, 210, 160))
SAUSAGES = ((170, 72, 48), (205, 105, 80), (140, 62, 40), (200, 85, 48), (215, 125, 100), (120, 52, 40))
MUSTARD, KETCHUP, MAYONNAISE = (232, 190, 40), (190, 30, 25), (245, 238, 215)
SAUCES = (MUSTARD, MUSTARD, KETCHUP, KETCHUP, MAYONNAISE)
GREENS = ((110, 165, 60), (80, 140, 50), (150, 190, 80))
TOMATO = (205, 55, 40)
CHEESE = (245, 195, 70)


# Parts of food


def loaf(frame: Frame, v: Ints, half: int, radius: int, colour: Colour, shadow: bool = True) -> None:
    """Paint a round-ended piece of bread or the like. Its axis is where `v` is 0."""
    distance = capsule(frame.u, v, half, radius)
    if shadow:
        frame.shadow(distance)
    frame.fill(distance, colour, frame.round(v, radius, 110))


def sausage_at(frame: Frame, v: Ints, half: int, radius: int, colour: Colour, grilled: bool) -> None:
    distance = capsule(frame.u, v, half, radius)
    frame.shadow(distance, 70)
    shade = frame.round(v, radius, 150)
    if grilled:
        shade = np.where(((frame.u + v // 2) % 260 < 70) & (abs(v) < radius * 2 // 3), shade * 5 // 8, shade)
    frame.fill(distance, colour, shade)
    shine = capsule(frame.u, v + radius // 3, half * 4 // 5, radius // 9 + 5)
    frame.fill(shine, (255, 235, 220), opacity=90, soft=60)


def sauce_on(frame: Frame, draw: Draw, v: Ints, half: int, height: int) -> None:
    """Paint a line of sauce along the axis: a zigzag, a wave, or nearly straight."""
    period = draw.between(200, 420)
    thickness = draw.between(28, 52)
    style = draw.below(3)
    if style == 0:
        course = abs((frame.u % period) * 4 * height // period - 2 * height) - height
    else:
        course = wave(frame.u, period, height if style == 1 else height // 4)
    # abs(v - course) is the distance across the axis. A zigzag is steep: the distance to its line is about half of that
    steep = 2 if style == 0 else 1
    line = np.maximum((abs(v - course) - thickness * steep) // steep, abs(frame.u) - half)
    colour = tinted(draw, draw.pick(SAUCES), 12)
    frame.fill(line + 12, colour, 150, opacity=120, soft=60)
    frame.fill(line, colour)


def sprinkle(frame: Frame, draw: Draw, half: int, height: int, colours: tuple[Colour, ...]) -> None:
    """Paint bits of onion, seeds or relish."""
    size = draw.between(25, 60)
    for _ in range(draw.between(8, 18)):
        part = frame.inner(draw.between(-half, half), draw.between(-height, height), size, draw.below(TURN))
        part.fill(ellipse(part.u, part.v, 1000, 600), draw.pick(colours))


def leaf_at(frame: Frame, draw: Draw, v: Ints, half: int, radius: int) -> None:
    edge = radius + wave(frame.u, draw.between(120, 220), 45)
    leaf = np.maximum(abs(v) - edge, abs(frame.u) - half)
    frame.fill(leaf, tinted(draw, draw.pick(GREENS)), 235 + wave(frame.u + v, 150, 40))


# Food that looks like a hot dog, or has parts of one


def bun(frame: Frame, draw: Draw) -> None:
    """A closed roll or a baguette, some with cuts across, some with seeds or a line of sauce."""
    half, radius = draw.between(850, 1000), draw.between(150, 420)
    colour = tinted(draw, draw.pick(BREADS))
    loaf(frame, frame.v, half, radius, colour)
    style = draw.below(5)
    if style <= 1:
        cuts = abs((frame.u + frame.v) % 340 - 170) - 35
        cuts = np.maximum(cuts, capsule(frame.u, frame.v, half - 120, radius * 3 // 5))
        frame.fill(cuts, draw.pick(CRUMBS), frame.round(frame.v, radius))
    elif style == 2:
        sprinkle(frame, draw, half * 2 // 3, radius // 2, (draw.pick(CRUMBS),))
    elif style == 3:
        sauce_on(frame, draw, frame.v, half * 4 // 5, radius // 3)


def split_bun(frame: Frame, draw: Draw) -> None:
    """An open roll, empty or with salad, cheese and ham, but without a sausage."""
    half, radius = draw.between(800, 950), draw.between(210, 280)
    crust, crumb = tinted(draw, draw.pick(BREADS)), tinted(draw, draw.pick(CRUMBS))
    gap = draw.between(150, 210)
    loaf(frame, frame.v + gap, half, radius, crust)
    loaf(frame, frame.v - gap, half, radius, crust)
    inside = capsule(frame.u, frame.v, half - 40, radius - 30)
    frame.fill(inside, crumb, 256 - (radius - abs(frame.v)).clip(0, 200) // 5)
    if draw.chance(75):
        if draw.chance(70):
            leaf_at(frame, draw, frame.v, half - 60, draw.between(110, 190))
        if draw.chance(60):  # slices of cheese or ham, with corners
            for place in range(-2, 3):
                part = frame.inner(place * half // 3, draw.between(-40, 40), draw.between(150, 210), draw.below(TURN))
                slice_ = box(part.u, part.v, 900, 900)
                part.fill(slice_, tinted(draw, draw.pick((CHEESE, (225, 150, 140), MAYONNAISE))))
        if draw.chance(60):
            for place in range(-2, 3):
                part = frame.inner(place * half // 3, draw.between(-50, 50), draw.between(110, 160))
                part.fill(circle(part.u, part.v, 1000), TOMATO)
                part.fill(circle(part.u, part.v, 780), (225, 95, 70))
        if draw.chance(40):
            sauce_on(frame, draw, frame.v, half * 4 // 5, 90)
    else:
        frame.fill(capsule(frame.u, frame.v, half - 120, 22), crust, 150)


def sausages(frame: Frame, draw: Draw) -> None:
    """One to three sausages that are not in a bun; a single one may lie beside a bun."""
    colour, grilled = tinted(draw, draw.pick(SAUSAGES)), draw.chance(40)
    number = draw.pick((1, 1, 2, 3))
    radius = draw.between(110, 200) if number > 1 else draw.between(130, 260)
    start = -(number - 1) * (radius + 30)
    beside = number == 1 and draw.chance(35)
    if beside:
        start = -260
        loaf(frame, frame.v - 260, draw.between(750, 950), draw.between(190, 260), tinted(draw, draw.pick(BREADS)))
    for place in range(number):
        v = frame.v - start - place * 2 * (radius + 30)
        sausage_at(frame, v, draw.between(780, 980), min(radius, 200) if beside else radius, colour, grilled)
        if draw.chance(40):
            sauce_on(frame, draw, v, 750, radius // 2)


def eclair(frame: Frame, draw: Draw) -> None:
    """A bun with icing on it."""
    half, radius = draw.between(850, 980), draw.between(240, 360)
    loaf(frame, frame.v, half, radius, tinted(draw, draw.pick(BREADS)))
    icing = tinted(draw, draw.pick(((75, 42, 28), (110, 60, 38), (245, 235, 220), (225, 140, 150), *SAUSAGES)))
    v = frame.v + wave(frame.u, 500, 20)
    frame.fill(capsule(frame.u, v, half - 60, radius * draw.between(50, 75) // 100), icing, frame.round(v, radius, 70))
    if draw.chance(60):
        sauce_on(frame, draw, frame.v, half * 3 // 4, radius // 3)


def corn(frame: Frame, draw: Draw) -> None:
    body = lens(frame.u, frame.v, 1050, draw.between(240, 320))
    frame.shadow(body)
    kernels = 225 + wave(frame.u, 110, 30) + wave(frame.v, 100, 30)
    frame.fill(body, tinted(draw, (240, 200, 70)), frame.round(frame.v, 300, 70) * kernels >> 8)
    for side in (-1, 1):
        husk = lens(frame.u + 650, frame.v - side * 170, 560, 130)
        frame.fill(husk, tinted(draw, draw.pick(GREENS)), 240 + side * 20)


def banana(frame: Frame, draw: Draw) -> None:
    v = frame.v - 260 + frame.u * frame.u // 1900
    body = lens(frame.u, v, 1000, draw.between(190, 260))
    frame.shadow(body)
    frame.fill(body, tinted(draw, (235, 205, 70)), frame.round(v, 230, 110))
    frame.fill(np.maximum(body, 860 - abs(frame.u)), (95, 75, 40))
    frame.fill(np.maximum(body + 20, abs(v + 40) - 14), (170, 140, 50), opacity=130)


def carrot(frame: Frame, draw: Draw) -> None:
    radius = draw.between(170, 260) * (1000 - frame.u) // 1700
    body = np.maximum(abs(frame.v) - radius.clip(0), abs(frame.u - 150) - 850)
    for turn in (-14, 0, 14):
        leaf = frame.inner(-820, turn * 8, 340, turn)
        leaf.fill(lens(leaf.u, leaf.v, 950, 260), tinted(draw, draw.pick(GREENS)))
    frame.shadow(body)
    shade = frame.round(frame.v, 230, 110)
    frame.fill(body, tinted(draw, (232, 125, 45)), np.where(frame.u % 230 < 25, shade * 7 // 8, shade))


def burger(frame: Frame, draw: Draw) -> None:
    """From the side: crown, filling, heel."""
    u, v = frame.u, frame.v
    colour = tinted(draw, draw.pick(BREADS))
    heel = box(u, v - 480, 800, 170, 130)
    frame.shadow(heel)
    frame.fill(heel, colour, frame.round(v - 480, 300))
    frame.fill(box(u, v - 230, 860, 120, 100), tinted(draw, draw.pick(SAUSAGES)), 220)
    frame.fill(box(u, v - 110, 800, 45), tinted(draw, draw.pick((CHEESE, TOMATO))))
    frame.fill(np.maximum(abs(v - 30 + wave(u, 260, 40)) - 60, abs(u) - 880), tinted(draw, draw.pick(GREENS)))
    crown = np.maximum(ellipse(u, v, 850, 700), v)
    frame.fill(crown, colour, frame.ball(u, v + 200, 800, 70))
    for _ in range(10):
        seed = frame.inner(draw.between(-500, 500), draw.between(-480, -150), 45)
        seed.fill(circle(seed.u, seed.v, 900), (250, 235, 195))


def donut(frame: Frame, draw: Draw) -> None:
    dough = ring(frame.u, frame.v, 620, 330)
    frame.shadow(dough)
    frame.fill(dough, tinted(draw, draw.pick(BREADS)), frame.round(norm(frame.u, frame.v) - 620, 330))
    icing = tinted(draw, draw.pick(((225, 120, 150), (95, 52, 34), (245, 240, 230))))
    frame.fill(ring(frame.u, frame.v, 620, 240), icing, frame.ball(frame.u, frame.v, 900, 40))
    for _ in range(14):
        turn = draw.below(TURN)
        part = frame.inner(620 * sine(turn) >> 14, 620 * sine(turn + TURN // 4) >> 14, 70, draw.below(TURN))
        part.fill(capsule(part.u, part.v, 900, 300), draw.pick(CLOTHS))


# Other objects


def pencil(frame: Frame, draw: Draw) -> None:
    radius = draw.between(70, 130)
    body = box(frame.u + 100, frame.v, 750, radius)
    frame.shadow(body, 60)
    facets = np.where(abs(frame.v) < radius // 3, 256, 205)
    frame.fill(body, tinted(draw, draw.pick(CLOTHS)), facets)
    frame.fill(convex(frame.u, frame.v, (650, -radius), (1000, 0), (650, radius)), (225, 185, 135))
    frame.fill(convex(frame.u, frame.v, (880, -radius // 3), (1000, 0), (880, radius // 3)), (50, 45, 45))
    frame.fill(box(frame.u + 900, frame.v, 70, radius), (215, 120, 120))


def bottle(frame: Frame, draw: Draw) -> None:
    colour = tinted(draw, draw.pick(((60, 120, 70), (150, 80, 40), KETCHUP, MUSTARD, (190, 215, 225))))
    body = np.minimum(box(frame.u + 300, frame.v, 700, 290, 100), box(frame.u - 600, frame.v, 380, 110, 30))
    frame.shadow(body)
    frame.fill(body, colour, frame.round(frame.v, 290, 110))
    frame.fill(box(frame.u + 300, frame.v, 330, 290), tinted(draw, draw.pick(DISHES)), frame.round(frame.v, 290, 70))
    frame.fill(box(frame.u - 930, frame.v, 70, 125, 20), tinted(draw, draw.pick(CLOTHS)))


def fish(frame: Frame, draw: Draw) -> None:
    colour = tinted(draw, draw.pick((*CLOTHS, (120, 150, 170), (230, 130, 60))))
    tail = convex(frame.u, frame.v, (-980, -380), (-500, 0), (-980, 380))
    body = lens(frame.u - 150, frame.v, 850, draw.between(280, 400))
    frame.shadow(np.minimum(tail, body))
    frame.fill(tail, colour, 200)
    shade = frame.round(frame.v, 380, 80) + (wave(frame.u, draw.between(120, 400), 45) if draw.chance(60) else 0)
    frame.fill(body, colour, shade)
    for radius, dark in ((80, (245, 245, 240)), (40, (20, 20, 25))):
        frame.fill(circle(frame.u - 680, frame.v + 60, radius), dark)


def boat(frame: Frame, draw: Draw) -> None:
    """From above: a hull with a rim and benches."""
    colour = tinted(draw, draw.pick((*CLOTHS, *BREADS)))
    hull = lens(frame.u, frame.v, 1000, draw.between(300, 380))
    frame.shadow(hull)
    frame.fill(hull, colour, frame.round(frame.v, 350, 50))
    inside = hull + 90
    frame.fill(inside, colour, 150)
    frame.fill(np.maximum(inside, abs(frame.u % 450 - 225) - 55), tinted(draw, (190, 145, 95)))


def cup(frame: Frame, draw: Draw) -> None:
    """From the side, with its handle."""
    colour = tinted(draw, draw.pick((*CLOTHS, *DISHES)))
    body = convex(frame.u, frame.v, (-600, -700), (500, -700), (380, 750), (-480, 750))
    handle = ring(frame.u - 480, frame.v + 50, 320, 75)
    frame.shadow(np.minimum(body, handle))
    frame.fill(handle, colour, 220)
    frame.fill(body, colour, 270 - abs(frame.u + 50) * 70 // 600)
    frame.fill(ellipse(frame.u + 50, frame.v + 700, 550, 130), colour, 235)
    frame.fill(ellipse(frame.u + 50, frame.v + 690, 470, 90), draw.pick(((80, 45, 30), (160, 95, 45))))
    if draw.chance(60):
        frame.fill(np.maximum(body, abs(frame.v - 100) - 150), tinted(draw, draw.pick(CLOTHS)))


def house(frame: Frame, draw: Draw) -> None:
    u, v = frame.u, frame.v
    walls = box(u, v - 350, 720, 550)
    frame.shadow(walls)
    frame.fill(walls, tinted(draw, draw.pick((*CLOTHS, *DISHES))), 256 - (v - 350) // 12)
    roof = convex(u, v, (0, -980), (920, -180), (-920, -180))
    frame.fill(roof, tinted(draw, draw.pick(((170, 70, 50), (90, 60, 55), (110, 115, 125)))), 245 + wave(v, 160, 25))
    frame.fill(box(u + draw.between(-100, 150), v - 600, 140, 300), tinted(draw, draw.pick(CLOTHS)))
    for place in (-430, 430):
        frame.fill(box(u - place, v - 250, 150, 150), (190, 215, 235))
        frame.fill(abs(box(u - place, v - 250, 150, 150)) - 22, (245, 245, 240))


def car(frame: Frame, draw: Draw) -> None:
    u, v = frame.u, frame.v
    colour = tinted(draw, draw.pick(CLOTHS))
    body = box(u, v - 150, 980, 250, 140)
    frame.shadow(body)
    cabin = convex(u, v, (-420, -480), (300, -480), (620, -60), (-700, -60))
    frame.fill(cabin, colour, 235)
    frame.fill(cabin + 70, (175, 205, 220))
    frame.fill(box(u + 40, v + 280, 35, 220), colour, 235)
    frame.fill(body, colour, frame.round(v - 150, 300, 60))
    for place in (-550, 550):
        frame.fill(circle(u - place, v - 400, 230), (35, 35, 40))
        frame.fill(circle(u - place, v - 400, 110), (180, 180, 185))


def flower(frame: Frame, draw: Draw) -> None:
    colour, petals = tinted(draw, draw.pick(CLOTHS)), draw.between(5, 9)
    for number in range(petals):
        petal = frame.inner(0, 0, 1000, number * TURN // petals)
        shape = ellipse(petal.u - 560, petal.v, 420, 240)
        petal.shadow(shape, 50)
        petal.fill(shape, colour, 210 + petal.u // 16)
    middle = tinted(draw, draw.pick((MUSTARD, (110, 65, 40))))
    frame.fill(circle(frame.u, frame.v, 270), middle, frame.ball(frame.u, frame.v, 270))


def star(frame: Frame, draw: Draw) -> None:
    points = [frame.inner(0, 0, 1000, number * TURN // 5) for number in range(5)]
    shape = np.minimum.reduce([convex(p.u, p.v, (0, -300), (980, 0), (0, 300)) for p in points])
    frame.shadow(shape)
    frame.fill(shape, tinted(draw, draw.pick(CLOTHS)), frame.ball(frame.u, frame.v, 900, 60))


def tree(frame: Frame, draw: Draw) -> None:
    u, v = frame.u, frame.v
    trunk = box(u, v - 600, 110, 400)
    frame.fill(trunk, tinted(draw, (110, 75, 50)), 250 - u // 4)
    green = tinted(draw, draw.pick((*GREENS, (60, 100, 60), (190, 130, 50))))
    if draw.chance(50):  # a fir
        for top in (100, -250, -600):
            crown = convex(u, v, (0, top - 380), (620 + top // 2, top + 250), (-620 - top // 2, top + 250))
            frame.shadow(crown, 50)
            frame.fill(crown, green, 245 - u // 10)
    else:
        crown = circle(u, v + 300 + wave(u + v, 330, 60), 640)
        frame.shadow(crown)
        frame.fill(crown, green, frame.ball(u, v + 300, 640) + wave(u * 2 - v, 170, 22))
