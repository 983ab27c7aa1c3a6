"""Identify a file of an unexpected format by its first bytes."""

HEAD = 1 << 12  # bytes to look at

_EXCEL = "in Excel: Save as, CSV UTF-8"
_KINDS = {  # first bytes -> what the file is, and how to turn it into a table
    b"PK\x03\x04": ("a zip, as Excel's .xlsx is", _EXCEL),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook (.xls)", _EXCEL),
    b"\x1f\x8b": ("packed by gzip", "let its name end in .gz"),
    b"BZh": ("packed by bzip2", "unpack it"),
    b"\xfd7zXZ": ("packed by xz", "unpack it"),
    b"\x28\xb5\x2f\xfd": ("packed by zstd", "unpack it"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it"),
    b"Rar!": ("a RAR archive", "unpack it"),
    b"PAR1": ("a Parquet file", "let its name end in .parquet"),
    b"ARROW1": ("an Arrow file", "write it as Parquet"),
    b"%PDF": ("a PDF", "get the table itself"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
}


def other_kind(start: bytes) -> tuple[str, str] | None:
    """Return what a file with these first bytes is, and how to turn it into a table; None if it may be text."""
    for mark, kind in _KINDS.items():
        if start.startswith(mark):
            return kind
    if start[257:262] == b"ustar":
        return "a tar archive", "unpack it"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<table")):
        return "a web page, as a failed download leaves it", "get the file itself"
    if text.startswith(b"<?xml"):
        return "XML", "export the table as CSV"
    if text.startswith(b"version https://git-lfs"):
        return "a pointer of git-lfs, not the file itself", "fetch it with: git lfs pull"
    return None
