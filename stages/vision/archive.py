"""Read labelled pictures from a zip, never unpacking it."""

import warnings
import zipfile
import zlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from stages.core.files import InputError
from stages.core.progress import progress
from stages.vision.opening import MAX_BYTES, plain
from stages.vision.pictures import picture_table

HALVES = ("train", "test")
LITTER = {"__macosx", "thumbs.db", "desktop.ini"}  # in small letters; what begins with a dot is passed over too
LAYOUT = "expected …/{train,test}/<class>/<picture>"

_THREADS = 4  # pictures in memory decoded, at most
_GROUP = 256  # pictures that are packed together
_ENCRYPTED = 0x1  # a member's flag

Members = dict[str, zipfile.ZipInfo]  # id -> member


def read_archive(archive: Path) -> dict[str, pa.Table]:
    """Read a zip in the layout …/{train,test}/<class>/<picture>, the root at any depth.

    Returns train and test: id ("train/hotdog/0.jpg", sorted by it), label (the name of the class's folder), picture
    (as `plain` returns it); the classes, sorted, in the metadata. All that lies elsewhere is passed over.

    Raises InputError if the archive is no whole zip, if it has another layout or two roots, if the halves differ in
    their classes, if a class has no picture or is alone, or if a file in a class's folder is no whole picture.
    """
    try:
        zipped = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as problem:
        raise InputError(f"{archive}: not a whole zip archive ({problem}); get it again") from problem
    # Pillow warns of metadata that it cannot read, not saying whose; what it needs raises
    with zipped, warnings.catch_warnings(action="ignore"):
        members, classes = _members(archive, zipped)
        return {half: _read_half(archive, zipped, half, members[half], classes) for half in HALVES}


def _members(archive: Path, zipped: zipfile.ZipFile) -> tuple[dict[str, Members], list[str]]:
    """Return the pictures of each half, and the classes."""
    roots: dict[str, dict[str, Members]] = {}  # root -> "train/hotdog" -> its files
    for member in zipped.infolist():
        *folders, file = [part for part in member.filename.split("/") if part != "."]  # file is "" for a folder
        if len(folders) < 2 or folders[-2] not in HALVES or any(map(_is_litter, folders)):
            continue
        place = "/".join(folders[-2:])
        files = roots.setdefault("/".join(folders[:-2]), {}).setdefault(place, {})
        if file and not _is_litter(file):
            if f"{place}/{file}" in files:
                raise InputError(f"{archive}: {member.filename} is there twice")
            files[f"{place}/{file}"] = member
    roots = {root: places for root, places in roots.items() if any(places.values())}
    if len(roots) > 1:
        raise InputError(f"{archive}: more than one data set: in {_some(roots)}; {LAYOUT}, one … for all")
    places = next(iter(roots.values()), {})
    for half in HALVES:
        if not any(place.startswith(f"{half}/") for place in places):
            found = _some({member.filename.rpartition("/")[0] for member in zipped.infolist()})
            raise InputError(f"{archive}: no picture in {half}; {LAYOUT}, found {found}")
    return _halves(archive, places)


def _halves(archive: Path, places: dict[str, Members]) -> tuple[dict[str, Members], list[str]]:
    names = {half: {place.partition("/")[2] for place in places if place.startswith(f"{half}/")} for half in HALVES}
    for half, other in (HALVES, HALVES[::-1]):
        if more := names[half] - names[other]:
            raise InputError(f"{archive}: classes in {half} that {other} has not: {_some(more)}; {LAYOUT}")
    if empty := [place for place, files in places.items() if not files]:
        raise InputError(f"{archive}: no picture in {_some(empty)}; {LAYOUT}")
    classes = sorted(names["train"])
    if len(classes) < 2:
        raise InputError(f"{archive}: only one class: {_some(classes)}; {LAYOUT}, with two classes or more")
    members = {
        half: {name: member for label in classes for name, member in places[f"{half}/{label}"].items()}
        for half in HALVES
    }
    return members, classes


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _some(names: Collection[str]) -> str:
    first = sorted(names)[:5]
    return ", ".join(repr(name) for name in first) + (", …" if len(names) > len(first) else "")


def _read_half(archive: Path, zipped: zipfile.ZipFile, half: str, members: Members, classes: list[str]) -> pa.Table:
    def read(name: str) -> bytes:
        where = f"{archive}: {members[name].filename}"
        return plain(_read_member(zipped, members[name], where), where)

    ids = sorted(members)
    packed: list[pa.Array] = []
    bar = progress(total=len(ids), desc=f"reading {half} pictures", unit="picture")
    with bar, ThreadPoolExecutor(_THREADS) as pool:  # Pillow decodes outside Python's lock
        for start in range(0, len(ids), _GROUP):
            pictures = list(pool.map(read, ids[start : start + _GROUP]))
            packed.append(pa.array(pictures, pa.large_binary()))
            bar.update(len(pictures))
    labels = [name.split("/")[1] for name in ids]
    return picture_table(ids, labels, pa.chunked_array(packed), classes)


def _read_member(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> bytes:
    if member.flag_bits & _ENCRYPTED:
        raise InputError(f"{name}: encrypted; pack the archive without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a bound
        raise InputError(f"{name}: packed by method {member.compress_type}; expected stored or deflated")
    if member.file_size > MAX_BYTES:
        raise InputError(f"{name}: declares {member.file_size:,} bytes; expected a picture of at most {MAX_BYTES:,}")
    try:
        with zipped.open(member) as file:
            return file.read(member.file_size)  # no more than declared, whatever is packed
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as problem:
        raise InputError(f"{name}: damaged ({problem}); get the archive again") from problem
