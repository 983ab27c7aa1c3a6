"""Open an image from outside as people see it, or report what is wrong with it."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from stages.core.files import InputError

MAX_SIDE = 512  # pixels of the shorter side; a test picture's is resized to 256 before its crop of 224
MAX_PIXELS = 50_000_000  # as declared: a large camera's picture, 200 MB once decoded
MAX_BYTES = 64 << 20  # of an encoded picture

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]  # Pillow knows more: EPS, for one, runs a program
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})  # of their files
KEPT = {"JPEG", "PNG", "WEBP"}  # formats that are stored as they came

_TURNS = {  # EXIF orientation -> what brings the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(source: bytes | Path, name: str) -> Image.Image:
    """Return a picture from outside as 8-bit RGB, turned as its EXIF data say, the first frame of an animation.

    What is transparent becomes white; a shorter side of more than MAX_SIDE is reduced to that. Colour profiles are
    not applied: the source models were trained without.

    Raises InputError, which begins with `name`, if there is no picture, or one that is damaged or enormous.
    """
    with _opened(_read(source, name) if isinstance(source, Path) else source, name) as image:
        return _upright(image)


def plain(source: bytes | Path, name: str) -> bytes:
    """Return an encoded picture that any decoder shows as `upright` would: the bytes as they came, or else a PNG.

    Raises InputError as `upright` does; they are decoded in any case, to see that they can be.
    """
    data = _read(source, name) if isinstance(source, Path) else source
    with _opened(data, name) as image:
        if _is_plain(image, data):
            image.load()
            return data
        buffer = io.BytesIO()
        _upright(image).save(buffer, "PNG", compress_level=1)  # 2.5 times as fast as level 6, 5 % larger
        return buffer.getvalue()


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise InputError(f"{name}: {problem.strerror}") from problem
    if len(data) > MAX_BYTES:
        raise InputError(f"{name}: more than {MAX_BYTES:,} bytes; reduce it")
    return data


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """Yield the picture with its header read; turn whatever goes wrong with it into an InputError."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise InputError(f"{name}: declares more than {MAX_PIXELS:,} pixels; reduce it, or leave it out") from problem
    except Image.UnidentifiedImageError as problem:
        known = ", ".join(FORMATS)
        raise InputError(f"{name}: not a picture, or its beginning is damaged; expected one of {known}") from problem
    except Exception as problem:  # Pillow's readers raise nearly anything on bytes that are not what they should be
        raise InputError(f"{name}: a damaged picture ({problem}); get it again, or leave it out") from problem


def _is_plain(image: Image.Image, data: bytes) -> bool:
    return (
        image.format in KEPT
        and image.mode == "RGB"
        and not (image.format == "PNG" and data[24] == 16)  # bits per channel, which Pillow does not tell
        and not image.has_transparency_data
        and not getattr(image, "is_animated", False)
        and _turn(image) is None
        and min(image.size) <= MAX_SIDE
    )


def _turn(image: Image.Image) -> Image.Transpose | None:
    return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))


def _upright(image: Image.Image) -> Image.Image:
    scale = min(1, MAX_SIDE / min(image.size))
    width, height = (round(side * scale) for side in image.size)
    image.draft(None, (2 * width, 2 * height))  # a large JPEG is decoded to a fraction of its size, if to no less
    image.load()
    turn = _turn(image)  # only after loading: Pillow turns a TIFF itself
    result = _rgb(image)
    if result.size != (width, height):
        result = result.resize((width, height), Image.Resampling.LANCZOS)
    if turn is not None:
        result = result.transpose(turn)
    result.info.clear()  # a profile or a transparent colour of the old pixels
    return result


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise ValueError("32 bits per pixel, whose range is not known")
    if image.mode.startswith("I;16"):  # Pillow would cut off at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
