"""Paint shapes with soft edges, shading and shadows, by integer arithmetic: the same pixels on every machine.

A shape is a signed distance function, negative inside (I. Quilez, "2D distance functions"), in the units of an object's
own frame. Square roots are the only floats: IEEE 754 rounds them in the same way everywhere, and they are floored at
once.
"""

from math import isqrt, pi, sin
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UNIT = 1000  # half an object's length, in its own frame
TURN = 256  # angles that a full turn has
_ONE = 1 << 14  # sines are fixed-point numbers in units of 1 / _ONE
# No sine here is so near to a half-integer that its last bit could change the rounding
_SINES = np.array([round(sin(2 * pi * angle / TURN) * _ONE) for angle in range(TURN)], np.int32)

Ints: TypeAlias = NDArray[np.int32]
Colour: TypeAlias = tuple[int, int, int]


def sine(angle: int) -> int:
    """Return the sine of `angle` (256 to a turn) in units of 2**-14."""
    return int(_SINES[angle % TURN])


class Canvas:
    """An image to paint on: pixels int32 (height, width, 3), 0 to 255. `light` is the angle that light comes from."""

    def __init__(self, width: int, height: int, light: int) -> None:
        self.width, self.height, self.light = width, height, light
        self.pixels: Ints = np.zeros((height, width, 3), np.int32)

    def image(self) -> Image.Image:
        return Image.fromarray(self.pixels.clip(0, 255).astype(np.uint8))


class Frame:
    """An object's own coordinates on a canvas: its middle is at (0, 0), its ends are at u = ±1000.

    u and v are int32 (rows, columns), for the pixels of a window around the object. With `bend`, v grows with the
    square of u, so that the object is curved.
    """

    def __init__(self, canvas: Canvas, x: int, y: int, size: int, turn: int = 0, bend: int = 0) -> None:
        """Place a frame at pixel (x, y). `size` is the distance from the middle to an end in pixels."""
        self.canvas, self.x, self.y, self.turn, self.bend = canvas, x, y, turn, bend
        self.size = max(size, 1)
        self.pixel = max(UNIT // self.size, 1)  # units
        reach = self.size * 8 // 5 + 2
        top, left = max(y - reach, 0), max(x - reach, 0)
        self.window = (slice(top, max(y + reach, top)), slice(left, max(x + reach, left)))
        height, width = canvas.pixels[self.window].shape[:2]
        across = np.arange(left, left + width, dtype=np.int32)[None] - x
        down = np.arange(top, top + height, dtype=np.int32)[:, None] - y
        cosine, sine_ = (sine(angle) * UNIT // self.size for angle in (turn + TURN // 4, turn))
        self.u: Ints = (across * cosine + down * sine_) >> 14
        self.v: Ints = (down * cosine - across * sine_) >> 14
        if bend:
            self.v += self.u * self.u // UNIT * bend // UNIT

    def inner(self, u: int, v: int, size: int, turn: int = 0) -> "Frame":
        """Return the frame of a part at (u, v). `size` is the distance from its middle to an end in units."""
        v -= u * u // UNIT * self.bend // UNIT
        cosine, sine_ = sine(self.turn + TURN // 4) * self.size, sine(self.turn) * self.size
        half = UNIT << 13
        x = self.x + (u * cosine - v * sine_ + half) // (UNIT << 14)
        y = self.y + (u * sine_ + v * cosine + half) // (UNIT << 14)
        return Frame(self.canvas, x, y, (self.size * size + UNIT // 2) // UNIT, self.turn + turn)

    def fill(self, distance: Ints, colour: Colour, shade: Ints | int = 256, opacity: int = 256, soft: int = 0) -> None:
        """Paint where `distance` is negative.

        `shade` multiplies the colour (256 is 1), `opacity` is at most 256, `soft` is the width of the edge in units.
        """
        width = max(self.pixel, soft)
        cover = ((width // 2 - distance) * opacity // width).clip(0, opacity)[..., None]
        paint = np.asarray(colour, np.int32) * np.asarray(shade, np.int32)[..., None] >> 8
        pixels = self.canvas.pixels[self.window]
        pixels += (paint.clip(0, 255) - pixels) * cover >> 8

    def shadow(self, distance: Ints, length: int = 120) -> None:
        """Paint the shape's shadow, away from the light; `length` is in units."""
        light, step = self.canvas.light, length * self.size
        right = -sine(light + TURN // 4) * step // (UNIT << 14)
        down = -sine(light) * step // (UNIT << 14)
        moved = np.full_like(distance, 4 * UNIT)
        height, width = distance.shape
        if abs(down) < height and abs(right) < width:
            rows, columns = _overlap(height, down), _overlap(width, right)
            moved[rows[0], columns[0]] = distance[rows[1], columns[1]]
        self.fill(moved, (20, 16, 14), opacity=120, soft=length * 3 // 2)

    def round(self, across: Ints, radius: int, depth: int = 90) -> Ints:
        """Return the shade of a cylinder along u, lit by the canvas's light; `across` is the distance from its axis."""
        height = (across * 256 // max(radius, 1)).clip(-256, 256)
        toward = sine(self.canvas.light - self.turn) >> 6  # the light's part along v, of 256
        return 282 - (height * height * depth >> 16) + (height * toward * depth >> 17)

    def ball(self, u: Ints, v: Ints, radius: int, depth: int = 90) -> Ints:
        """Return the shade of a ball of `radius` around (0, 0)."""
        light = self.canvas.light - self.turn
        height = (u * sine(light + TURN // 4) + v * sine(light)) // _ONE * 256 // max(radius, 1)
        return 262 + (height.clip(-256, 256) * depth >> 8)


def _overlap(length: int, shift: int) -> tuple[slice, slice]:
    return slice(max(shift, 0), length + min(shift, 0)), slice(max(-shift, 0), length - max(shift, 0))


def norm(u: Ints, v: Ints) -> Ints:
    return np.sqrt((u * u + v * v).astype(np.float64)).astype(np.int32)


def wave(u: Ints, period: int, height: int) -> Ints:
    """Return a sine wave along u, from -height to height."""
    return _SINES[(u * TURN // period) & (TURN - 1)] * height >> 14


def circle(u: Ints, v: Ints, radius: int) -> Ints:
    return norm(u, v) - radius


def ring(u: Ints, v: Ints, radius: int, thickness: int) -> Ints:
    return abs(circle(u, v, radius)) - thickness


def ellipse(u: Ints, v: Ints, along: int, across: int) -> Ints:
    return (norm(u * UNIT // along, v * UNIT // across) - UNIT) * min(along, across) // UNIT


def capsule(u: Ints, v: Ints, half: int, radius: int) -> Ints:
    """Return the distance to a round-ended bar that reaches from -half to half."""
    return norm((abs(u) - half + radius).clip(0), v) - radius


def box(u: Ints, v: Ints, along: int, across: int, corner: int = 0) -> Ints:
    """Return the distance to a rectangle with rounded corners."""
    right, down = abs(u) - along + corner, abs(v) - across + corner
    return norm(right.clip(0), down.clip(0)) + np.maximum(right, down).clip(None, 0) - corner


def lens(u: Ints, v: Ints, half: int, radius: int) -> Ints:
    """Return the distance, along v, to a body that tapers from `radius` in the middle to 0 at ±half."""
    part = (abs(u) * UNIT // half).clip(0, 2 * UNIT)
    return abs(v) - radius * (UNIT - part * part // UNIT) // UNIT


def convex(u: Ints, v: Ints, *corners: tuple[int, int]) -> Ints:
    """Return the distance to a convex polygon; its corners are in clockwise order as seen in the image."""
    edges = []
    for (u0, v0), (u1, v1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        du, dv = u1 - u0, v1 - v0
        edges.append(((u - u0) * dv - (v - v0) * du) // max(isqrt(du * du + dv * dv), 1))
    return np.maximum.reduce(edges)
