"""Identify files that Pillow does not read by their first bytes, so that a message can say what to do."""

CONVERT = "convert it to JPEG or PNG"

# Suffixes of images that are not read. In a class's folder such files count as images, and are refused
UNREAD_SUFFIXES = frozenset([
    ".jp2", ".j2k", ".jpx", ".jxl", ".psd", ".xcf", ".svg", ".tga", ".ppm", ".pgm", ".pbm",
    ".pnm", ".ico", ".dcm", ".exr", ".hdr", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2",
])  # fmt: skip

_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_PICTURES = (  # offset, bytes at this offset, what a file with them is
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"gimp xcf", "a GIMP file"),
    (128, b"DICM", "a DICOM file"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance picture"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (4, b"ftypcrx ", "a camera's raw file"),
    (0, b"IIRO", "a camera's raw file"),
    (0, b"IIU\0", "a camera's raw file"),
    *((0, b"P%d" % i + space, "a PNM picture") for i in range(1, 7) for space in (b"\n", b" ", b"\r")),
)
_ARCHIVES = (
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\xfd7zXZ", "an xz archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
)
_OTHERS = (
    *_ARCHIVES,
    (0, b"PK\3\4", "a zip archive"),
    (0, b"\x89HDF", "an HDF5 file"),
    (4, b"ftyp", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
)
_READ = ((0, b"\xff\xd8\xff", "JPEG"), (0, b"\x89PNG\r\n", "PNG"), (0, b"II*\0", "TIFF"), (0, b"MM\0*", "TIFF"),
         (0, b"GIF8", "GIF"), (8, b"WEBP", "WebP"), (0, b"BM", "BMP"), (4, b"ftypavi", "AVIF"))  # fmt: skip


class UnreadError(Exception):
    """The image has a format that is not read. The message names the format, and says what to do."""


def is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF


def described(data: bytes) -> str | None:
    """Return what a file that is no image is, by its first bytes; None if they are unknown."""
    if not data:
        return "an empty file"
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of git-lfs; fetch the file itself with: git lfs pull"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return _found(_OTHERS, data)


def described_picture(data: bytes) -> str | None:
    """Return the format of an image that Pillow does not read, None if its first bytes are unknown."""
    if is_heif(data):
        return "a HEIC picture"
    if b"<svg" in data[:1024].lower():
        return "an SVG drawing"
    return _found(_PICTURES, data)


def read_format(data: bytes) -> str | None:
    """Return the readable format whose first bytes a file has, None if there is none."""
    return _found(_READ, data)


def described_archive(data: bytes) -> str | None:
    """Return the format of an archive that is no zip, None for other files."""
    return _found(_ARCHIVES, data)


def _found(table: tuple[tuple[int, bytes, str], ...], data: bytes) -> str | None:
    return next((kind for at, magic, kind in table if data[at : at + len(magic)] == magic), None)
