import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile

from stages.core.files import InputError
from stages.vision.reading import opening
from stages.vision.reading.opening import FORMATS, MAX_BYTES, MAX_PIXELS, MAX_SIDE, plain, upright

RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)


def corners(width: int = 48, height: int = 32) -> Image.Image:
    """A picture whose four quarters differ: red, green / blue, yellow."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(YELLOW, (width // 2, height // 2, width, height))
    return image


def encode(image: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand, of any declared size and bits per channel; colour type 0 is grey, 2 is RGB."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def both(data: bytes) -> Image.Image:
    """The picture as `upright` returns it, once `plain` has been seen to give the same pixels, as a plain RGB file."""
    image = upright(data, "it")
    again = decode(plain(data, "it"))
    assert (image.mode, again.mode) == ("RGB", "RGB")
    assert not again.has_transparency_data
    assert again.getexif().get(ExifTags.Base.Orientation, 1) == 1
    assert getattr(again, "n_frames", 1) == 1
    np.testing.assert_array_equal(pixels(image), pixels(again))
    return image


# What is kept


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "quality": 30}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_an_ordinary_image_keeps_its_bytes(format, options):
    data = encode(corners(), format, **options)
    assert plain(data, "it") == data
    np.testing.assert_array_equal(pixels(both(data)), pixels(decode(data)))


def test_an_image_of_just_the_largest_side_keeps_its_bytes():
    data = encode(corners(MAX_SIDE, 3 * MAX_SIDE), "JPEG")
    assert plain(data, "it") == data


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2000, 3)])
def test_a_tiny_or_a_thin_image_keeps_its_bytes(size):
    data = encode(Image.new("RGB", size, BLUE))
    assert plain(data, "it") == data
    assert both(data).size == size


# What is changed


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "corner", "size"),
    [  # the stored corner that people see at the top left
        (2, GREEN, (48, 32)),
        (3, YELLOW, (48, 32)),
        (4, BLUE, (48, 32)),
        (5, RED, (32, 48)),
        (6, BLUE, (32, 48)),
        (7, YELLOW, (32, 48)),
        (8, GREEN, (32, 48)),
    ],
)
def test_an_image_is_turned_as_its_exif_data_say(format, orientation, corner, size):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = both(encode(corners(), format, exif=exif))
    assert image.size == size
    assert np.abs(pixels(image)[4, 4] - corner).max() < 30


def test_exif_orientation_6_is_a_quarter_turn_clockwise():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = encode(corners(), "PNG", exif=exif)
    np.testing.assert_array_equal(pixels(both(data)), np.rot90(pixels(corners()), -1))


@pytest.mark.parametrize("exif", [b"garbage", b"MM\0*\0\0\0\x08\0\x05aa", b"II*\0\xff\xff\xff\xff", b""])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_data_that_cannot_be_read_do_no_harm(exif):
    data = encode(corners(), "JPEG", exif=b"Exif\0\0" + exif)
    assert plain(data, "it") == data


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_an_orientation_that_means_nothing_turns_nothing(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encode(corners(), "JPEG", exif=exif)
    assert plain(data, "it") == data


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_grey_image_becomes_rgb(format):
    grey = Image.fromarray(np.arange(0, 250, 5, dtype=np.uint8).reshape(5, 10))
    data = encode(grey, format)
    expected = np.repeat(pixels(decode(data))[..., None], 3, axis=2)
    np.testing.assert_array_equal(pixels(both(data)), expected)


def test_black_and_white_becomes_rgb():
    assert pixels(both(encode(Image.new("1", (3, 3), 1)))).tolist() == [[[255] * 3] * 3] * 3


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_are_scaled_not_cut_off(format):
    values = np.array([[0, 255, 256, 0x1234, 0x8000, 0xFFFF]], np.uint16)
    image = both(encode(Image.fromarray(values), format))
    assert pixels(image)[0, :, 0].tolist() == [0, 0, 1, 0x12, 0x80, 0xFF]
    assert (pixels(image).std(axis=2) == 0).all()


def test_sixteen_bits_per_channel_become_eight():
    data = png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 0xFFFF, 0, 0x80FF, 0x1234, 0x5678, 0x9ABC))
    assert plain(data, "it") != data
    assert pixels(both(data)).tolist() == [[[0xFF, 0, 0x80], [0x12, 0x56, 0x9A]]]


def test_a_palette_becomes_rgb():
    image = both(encode(corners().quantize(4)))
    np.testing.assert_array_equal(pixels(image), pixels(corners()))


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_palettes_transparent_colour_becomes_white(format):
    flat = Image.new("P", (4, 2), 0)
    flat.putpalette([*RED, *BLUE])
    flat.putpixel((3, 1), 1)
    image = both(encode(flat, format, transparency=0))
    assert image.getpixel((0, 0)) == WHITE
    assert image.getpixel((3, 1)) == BLUE


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_transparency_is_composed_on_white(format):
    flat = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    flat.putpixel((1, 0), (0, 0, 255, 128))
    flat.putpixel((2, 0), (0, 255, 0, 255))
    image = both(encode(flat, format, **({"lossless": True} if format == "WEBP" else {})))
    assert image.getpixel((0, 0)) == WHITE
    assert np.abs(pixels(image)[0, 1] - (127, 127, 255)).max() <= 1
    assert image.getpixel((2, 0)) == GREEN


def test_grey_with_transparency_is_composed_on_white():
    assert both(encode(Image.new("LA", (2, 2), (0, 0)))).getpixel((0, 0)) == WHITE


def test_an_rgb_images_transparent_colour_becomes_white():
    data = encode(corners(), "PNG", transparency=RED)
    image = both(data)
    assert image.getpixel((0, 0)) == WHITE
    assert image.getpixel((47, 0)) == GREEN


def test_a_cmyk_jpeg_has_its_own_colours():
    stripes = Image.new("RGB", (96, 16), RED)
    stripes.paste(GREEN, (16, 0, 32, 16))
    stripes.paste(BLUE, (32, 0, 48, 16))
    stripes.paste(WHITE, (48, 0, 64, 16))
    stripes.paste((0, 0, 0), (64, 0, 80, 16))
    stripes.paste((200, 150, 100), (80, 0, 96, 16))
    data = encode(stripes.convert("CMYK"), "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in data  # which stores the four channels inverted
    assert decode(data).mode == "CMYK"
    np.testing.assert_allclose(pixels(both(data)), pixels(stripes), atol=6)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_its_first_frame(format):
    options = {"lossless": True} if format == "WEBP" else {}
    more = [Image.new("RGB", (48, 32), colour) for colour in (BLUE, RED)]
    data = encode(corners(), format, save_all=True, append_images=more, duration=100, **options)
    assert decode(data).n_frames == 3
    assert decode(plain(data, "it")).format == "PNG"
    np.testing.assert_array_equal(pixels(both(data)), pixels(corners()))


@pytest.mark.parametrize("format", ["BMP", "TIFF", "GIF"])
def test_another_format_becomes_a_png(format):
    data = encode(corners(), format)
    assert decode(plain(data, "it")).format == "PNG"
    np.testing.assert_array_equal(pixels(both(data)), pixels(corners()))


def test_a_camera_jpeg_with_a_second_image_is_its_first():
    data = encode(corners(), "MPO", save_all=True, append_images=[Image.new("RGB", (48, 32), BLUE)])
    assert decode(data).n_frames == 2
    np.testing.assert_array_equal(pixels(both(data)), pixels(decode(data)))


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("size", "reduced"),
    [
        ((MAX_SIDE + 1, MAX_SIDE + 1), (MAX_SIDE, MAX_SIDE)),
        ((2000, 1000), (2 * MAX_SIDE, MAX_SIDE)),
        ((1200, 2400), (MAX_SIDE, 2 * MAX_SIDE)),
        ((4 * MAX_SIDE, 6 * MAX_SIDE), (MAX_SIDE, 6 * MAX_SIDE // 4)),
    ],
)
def test_a_large_image_is_reduced(format, size, reduced):
    image = both(encode(corners(*size), format))
    assert image.size == reduced
    expected = pixels(corners(*size).resize(reduced, Image.Resampling.LANCZOS))
    assert np.abs(pixels(image) - expected).mean() < 2


def test_reduction_averages_what_it_leaves_out():
    lines = np.zeros((1, 4 * MAX_SIDE, 3), np.uint8)
    lines[:, ::2] = 255
    image = both(encode(Image.fromarray(lines.repeat(4 * MAX_SIDE, axis=0))))
    assert np.abs(pixels(image)[:, 8:-8] - 127.5).max() < 20


def test_a_large_image_is_turned_too():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 8
    image = both(encode(corners(2000, 1000), "JPEG", exif=exif))
    assert image.size == (MAX_SIDE, 2 * MAX_SIDE)
    assert np.abs(pixels(image)[4, 4] - GREEN).max() < 10


def test_nothing_but_pixels_is_written():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    data = encode(corners(), "PNG", exif=exif, icc_profile=b"profile" * 50, dpi=(72, 72))
    assert decode(data).info.keys() >= {"icc_profile", "exif", "dpi"}
    assert decode(plain(data, "it")).info == {}


def test_the_same_image_gives_the_same_bytes():
    data = encode(corners().convert("RGBA"))
    assert plain(data, "it") == plain(data, "another name")


# What is refused


NO_IMAGES = [b"", b"\0", b"not a picture", b"<html>404 Not Found</html>", b"\xff\xd8"]


@pytest.mark.parametrize("data", NO_IMAGES)
@pytest.mark.parametrize("read", [upright, plain])
def test_what_is_no_image_is_refused(data, read):
    with pytest.raises(InputError, match=r"^it\.jpg: not a picture, .* expected one of JPEG, PNG, "):
        read(data, "it.jpg")


@pytest.mark.parametrize("format", ["EPS", "ICO", "PPM", "PDF"])
def test_another_format_is_refused_whatever_pillow_knows(format):
    with pytest.raises(InputError, match=r"^it: an? .*, which is not read here; convert it to JPEG or PNG$"):
        upright(encode(corners(), format), "it")


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("read", [upright, plain])
def test_a_truncated_image_is_refused(format, share, read):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encode(Image.fromarray(noise), format)
    with pytest.raises(InputError, match=r"^it: (a damaged picture|not a picture)"):
        read(data[: int(share * len(data))], "it")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_whatever_is_damaged_gives_an_image_or_an_input_error(format):
    rng = np.random.default_rng(0)
    data = np.frombuffer(encode(corners(), format), np.uint8)
    refused = 0
    for _ in range(150):
        damaged = data.copy()
        places = rng.integers(0, len(data), rng.integers(1, 8))
        damaged[places] = rng.integers(0, 256, len(places))
        try:
            assert upright(damaged.tobytes(), "it").mode == "RGB"
        except InputError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("side", [50_000, 12_000, 7_072])
@pytest.mark.parametrize("read", [upright, plain])
@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_by_its_header(side, read, monkeypatch):
    def never(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    data = png(side, side, 8, 2, bytes(1000))
    assert side**2 > MAX_PIXELS
    assert len(data) < 200
    with pytest.raises(InputError, match=r"^it: declares more than 50,000,000 pixels"):
        read(data, "it")


def test_32_bits_per_pixel_are_refused():
    with pytest.raises(InputError, match=r"^it: 32 bits per pixel, whose range is not known; save it with 8 or 16"):
        upright(encode(Image.new("F", (2, 2), 0.5), "TIFF"), "it")


def test_pillows_settings_stay_as_they_are():
    before = [Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES]
    upright(encode(corners(2000, 1000)), "it")
    after = [Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES]
    assert after == before


# A file


def test_a_file_is_read_as_its_bytes_are(tmp_path: Path):
    path = tmp_path / "hot dog.gif"
    path.write_bytes(encode(corners(), "GIF"))
    np.testing.assert_array_equal(pixels(upright(path, str(path))), pixels(corners()))


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'no.jpg'}: No such file")):
        upright(tmp_path / "no.jpg", str(tmp_path / "no.jpg"))


def test_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"^here: Is a directory"):
        upright(tmp_path, "here")


def test_an_enormous_file_is_refused(tmp_path: Path, monkeypatch):
    path = tmp_path / "large.bmp"
    path.write_bytes(encode(corners(), "BMP"))
    monkeypatch.setattr(opening, "MAX_BYTES", path.stat().st_size)
    assert upright(path, "it").size == (48, 32)
    monkeypatch.setattr(opening, "MAX_BYTES", 1000)
    assert MAX_BYTES > 1000
    with pytest.raises(InputError, match=r"^it: more than 1,000 bytes"):
        upright(path, "it")
