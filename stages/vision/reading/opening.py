"""Decode the user's images as upright 8-bit RGB, or report what is wrong with them."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from stages.core.files import InputError
from stages.vision.reading.kinds import CONVERT, UnreadError, described, described_picture, is_heif, read_format

MAX_SIDE = 512  # pixels of the shorter side; for testing it is resized to 256, and cropped to 224
MAX_PIXELS = 50_000_000  # in the header: a large camera's image, 200 MB decoded
MAX_BYTES = 64 << 20  # of an encoded image

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]  # not all of Pillow's: EPS, for example, runs a program
SUFFIXES = frozenset([  # of their files; HEIC is read where an extra is installed, else it is refused by its name
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif", ".heic",
    ".heif",
])  # fmt: skip
KEPT = {"JPEG", "PNG", "WEBP"}  # formats that are stored unchanged
DARK = 1 << 14  # a 16-bit image below it may have samples of 14 bits or fewer, and would become dark

_SUBFILE, _BITS, _PHOTOMETRIC, _MAX_SAMPLE = 254, 258, 262, 281  # tags of TIFF
_UNREAD = re.compile(
    r"unsupported|not supported|not available|unknown|cannot handle", re.IGNORECASE
)  # of Pillow's errors
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
    """Return the user's image as 8-bit RGB, turned upright by its EXIF data; of an animation, the first frame.

    Transparent pixels become white. A shorter side of more than MAX_SIDE pixels is reduced to MAX_SIDE. Colour profiles
    are not applied: the source models were trained without them.

    Raises InputError, which begins with `name`, if `source` is no image, is damaged or is enormous.
    """
    data = _read(source, name) if isinstance(source, Path) else source
    with _opened(data, name) as image:
        return _upright(image, _bits(image, data))


def plain(source: bytes | Path, name: str) -> bytes:
    """Return an encoded image that every decoder decodes to what `upright` returns: the original bytes, or a PNG.

    The image is always decoded, to check it. Raises InputError as `upright` does.
    """
    return opened(source, name).encoded


class Opened(NamedTuple):
    encoded: bytes  # as `plain` returns it
    image: Image.Image  # the same, decoded: RGB
    has_more: bool  # other frames or pages, which are not read


def opened(source: bytes | Path, name: str) -> Opened:
    """Return a picture as `plain` does, and what it decodes to."""
    data = _read(source, name) if isinstance(source, Path) else source
    with _opened(data, name) as image:
        if _is_plain(image, data):
            image.load()
            return Opened(data, image.copy(), has_more=False)
        buffer, upright_image = io.BytesIO(), _upright(image, _bits(image, data))
        upright_image.save(buffer, "PNG", compress_level=1)  # 2.5 times as fast as level 6, 5 % larger
        return Opened(buffer.getvalue(), upright_image, _has_more(image))


def _has_more(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame, which is not read anyway
        return True


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
    """Yield the image with its header read. Turn every error of decoding into an InputError."""
    try:
        with Image.open(io.BytesIO(data), formats=_formats(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if image.format == "TIFF" and (_tag(image, _SUBFILE, 0) & 1 or data[8:10] == b"CR"):
                raise UnreadError(f"a camera's raw file, which begins with a preview; {CONVERT}")
            yield image
    except UnreadError as problem:
        raise InputError(f"{name}: {problem}") from problem
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise InputError(f"{name}: declares more than {MAX_PIXELS:,} pixels; reduce it, or leave it out") from problem
    except Image.UnidentifiedImageError as problem:
        raise InputError(f"{name}: {_unidentified(data)}") from problem
    except Exception as problem:  # Pillow's readers may raise any exception on damaged bytes
        if _UNREAD.search(str(problem)):
            raise InputError(f"{name}: a picture of a kind that is not read ({problem}); {CONVERT}") from problem
        raise InputError(f"{name}: a damaged picture ({problem}); get it again, or leave it out") from problem


def _formats(data: bytes) -> list[str]:
    return [*FORMATS, "HEIF"] if is_heif(data) and _reads_heif() else FORMATS


@cache
def _reads_heif() -> bool:
    """Let Pillow read HEIC, where the extra is installed that can."""
    try:
        import_module("pillow_heif").register_heif_opener(thumbnails=False)
    except ImportError:
        return False
    return True


def _unidentified(data: bytes) -> str:
    """Return why Pillow does not recognise a file as one of FORMATS, and what to do."""
    if kind := described_picture(data):
        extra = ", or install what reads it: uv sync --extra heic" if is_heif(data) else ""
        return f"{kind}, which is not read here; {CONVERT}{extra}"
    if kind := read_format(data):
        return f"not a picture that can be read: a {kind} of a rare kind, or damaged at its beginning; {CONVERT}"
    found = f"but {kind}" if (kind := described(data)) else "or its beginning is damaged"
    return f"not a picture, {found}; expected one of {', '.join(FORMATS)}"


def _is_plain(image: Image.Image, data: bytes) -> bool:
    return (
        image.format in KEPT
        and image.mode == "RGB"
        and _bits(image, data) == 8
        and not image.has_transparency_data
        and not getattr(image, "is_animated", False)
        and _turn(image) is None
        and min(image.size) <= MAX_SIDE
    )


def _turn(image: Image.Image) -> Image.Transpose | None:
    return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))


def _upright(image: Image.Image, bits: int) -> Image.Image:
    scale = min(1, MAX_SIDE / min(image.size))
    width, height = (round(side * scale) for side in image.size)
    image.draft(None, (2 * width, 2 * height))  # decode a large JPEG reduced, to at least twice the final size
    image.load()
    turn = _turn(image)  # only after loading: Pillow turns a TIFF itself
    result = _rgb(image, bits)
    if result.size != (width, height):
        result = result.resize((width, height), Image.Resampling.LANCZOS)
    if turn is not None:
        result = result.transpose(turn)
    result.info.clear()  # the colour profile and the transparent colour do not fit the new pixels
    return result


def _rgb(image: Image.Image, bits: int) -> Image.Image:
    if image.mode in ("I", "F"):
        raise UnreadError("32 bits per pixel, whose range is not known; save it with 8 or 16")
    if image.mode.startswith("I;16"):  # Pillow's convert would clip at 255
        return _eight_bits(image, bits).convert("RGB")
    if bits > 8:  # Pillow keeps the upper 8 bits
        bands = [band for band in image.getbands() if band != "A"]
        _refuse_dark(max(int(np.asarray(image.getchannel(band)).max()) for band in bands) << 8 | 0xFF)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image, bits: int) -> Image.Image:
    """Return a grey image of up to 16 bits scaled to 8, by the number of bits that its file declares."""
    samples = np.asarray(image)  # uint16 (height, width)
    highest = int(samples.max())
    if highest >= 1 << bits:  # the declared number is wrong
        bits = 16
    if bits == 16 and highest:
        _refuse_dark(highest)
    eight = (samples >> (bits - 8)).astype(np.uint8)
    if image.format == "TIFF" and _tag(image, _PHOTOMETRIC, 1) == 0:  # white is zero
        eight = 255 - eight
    return Image.fromarray(eight)


def _bits(image: Image.Image, data: bytes) -> int:
    """Return the bits per channel that the file declares. PNG's samples fill their range, so sBIT is ignored."""
    if image.format == "TIFF":
        bits = _tag(image, _BITS, 8)
        highest = _tag(image, _MAX_SAMPLE, 0)
        # Some programs write the image's own maximum there: only 2 ** n - 1 is a range
        return highest.bit_length() if bits == 16 and highest > 255 and highest & (highest + 1) == 0 else max(bits, 8)
    return 16 if image.format == "PNG" and data[24] == 16 else 8  # Pillow does not expose it


def _refuse_dark(highest: int) -> None:
    if highest < DARK:
        raise UnreadError(
            f"16 bits per channel, the highest value at most {highest:,} of 65,535: if these are data of "
            f"{max(highest.bit_length(), 9)} bits, they would turn dark; scale them to the whole range, or save 8 bits"
        )


def _tag(image: Image.Image, number: int, default: int) -> int:
    """Return the largest value of a TIFF's tag, `default` if the tag is missing."""
    found = getattr(image, "tag_v2", {}).get(number, default)
    values = found if isinstance(found, tuple) else (found,)
    return max(value if isinstance(value, int) else default for value in values)
