"""Read labelled pictures from folders of classes, in a zip or on the disk."""

import warnings
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pyarrow as pa

from stages.core.files import InputError
from stages.core.own import draw_test_half
from stages.core.progress import progress
from stages.vision.containers import File, files_of, zip_files
from stages.vision.opening import SUFFIXES, plain
from stages.vision.pictures import picture_table

HALVES = ("train", "test")
LITTER = {"__macosx", "thumbs.db", "desktop.ini"}  # in small letters; what begins with a dot is passed over too
LAYOUT = "expected …/{train,test}/<class>/<picture>"
OWN_LAYOUT = f"{LAYOUT} or …/<class>/<picture>"

_THREADS = 4  # pictures in memory decoded, at most
_GROUP = 256  # pictures that are packed together

Files = dict[str, File]  # id -> file
Places = dict[str, Files]  # "train/hotdog", or "hotdog" where there are no halves -> the files in it


def read_archive(archive: Path) -> dict[str, pa.Table]:
    """Read a zip in the layout …/{train,test}/<class>/<picture>, the root at any depth.

    Returns train and test: id ("train/hotdog/0.jpg", sorted by it), label (the name of the class's folder), picture
    (as `plain` returns it); the classes, sorted, in the metadata. All that lies elsewhere is passed over.

    Raises InputError if the archive is no whole zip, if it has another layout or two roots, if the halves differ in
    their classes, if a class has no picture or is alone, or if a file in a class's folder is no whole picture.
    """
    with zip_files(archive) as files:
        return _read(*_halves(archive, _places(archive, files, LAYOUT, split=True), files, LAYOUT))


def read_own(source: Path, test_fraction: float, seed: int) -> dict[str, pa.Table]:
    """Read a zip or a folder in the layout of `read_archive`, which see, or …/<class>/<picture>.

    Without halves the ids are "hotdog/0.jpg", and a share of each class is drawn for the test half.

    Raises InputError for a class of one picture then, and for a link to a folder, too.
    """
    with files_of(source) as files:
        if places := _places(source, files, OWN_LAYOUT, split=True):
            return _read(*_halves(source, places, files, OWN_LAYOUT))
        places = _places(source, files, OWN_LAYOUT, split=False)
        if not places:
            raise InputError(f"{source}: no picture in a class's folder; {OWN_LAYOUT}, found {_folders(files)}")
        classes = _classes(source, places, set(places), OWN_LAYOUT)
        every = {name: file for of_class in places.values() for name, file in of_class.items()}
        return _split(source, _read({"all": every}, classes)["all"], test_fraction, seed)


def _split(source: Path, table: pa.Table, test_fraction: float, seed: int) -> dict[str, pa.Table]:
    contents = (picture.as_py() for picture in table["picture"])
    drawn = draw_test_half(source, table["label"].to_pylist(), contents, test_fraction, seed)
    return {half: table.filter([(row in drawn) == (half == "test") for row in range(len(table))]) for half in HALVES}


def _places(source: Path, files: list[File], layout: str, *, split: bool) -> Places:
    """Return the folders of pictures, split in halves or not, with their pictures; none if there are none.

    Raises InputError if they are of two data sets, or a file is there twice.
    """
    depth = 2 if split else 1
    roots: dict[str, Places] = {}
    for file in files:
        *folders, name = [part for part in file.name.split("/") if part != "."]  # name is "" for a folder
        if len(folders) < depth or (split and folders[-2] not in HALVES) or any(map(_is_litter, folders)):
            continue
        place = "/".join(folders[-depth:])
        inside = roots.setdefault("/".join(folders[:-depth]), {}).setdefault(place, {})
        if name and not _is_litter(name):
            if f"{place}/{name}" in inside:
                raise InputError(f"{file.where} is there twice")
            inside[f"{place}/{name}"] = file
    # Without halves any folder looks like a class's: a README in it makes none
    counts = any if split else _has_picture
    roots = {root: places for root, places in roots.items() if any(map(counts, places.values()))}
    if len(roots) > 1:
        found = _some([root or "." for root in roots])
        raise InputError(f"{source}: more than one data set: in {found}; {layout}, one … for all")
    return next(iter(roots.values()), {})


def _halves(source: Path, places: Places, files: list[File], layout: str) -> tuple[dict[str, Files], list[str]]:
    """Return the pictures of each half, and the classes."""
    names = {half: {place.partition("/")[2] for place in places if place.startswith(f"{half}/")} for half in HALVES}
    for half in HALVES:
        if not names[half]:
            raise InputError(f"{source}: no picture in {half}; {layout}, found {_folders(files)}")
    for half, other in (HALVES, HALVES[::-1]):
        if more := names[half] - names[other]:
            raise InputError(f"{source}: classes in {half} that {other} has not: {_some(more)}; {layout}")
    classes = _classes(source, places, names["train"], layout)
    return {half: {k: f for label in classes for k, f in places[f"{half}/{label}"].items()} for half in HALVES}, classes


def _classes(source: Path, places: Places, names: set[str], layout: str) -> list[str]:
    if empty := [place for place, files in places.items() if not files]:
        raise InputError(f"{source}: no picture in {_some(empty)}; {layout}")
    if len(names) < 2:
        raise InputError(f"{source}: only one class: {_some(names)}; {layout}, with two classes or more")
    return sorted(names)


def _label(name: str) -> str:
    return name.split("/")[-2]


def _has_picture(files: Files) -> bool:
    return any(PurePosixPath(name).suffix.lower() in SUFFIXES for name in files)


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _folders(files: list[File]) -> str:
    return _some({file.name.rpartition("/")[0] for file in files})


def _some(names: Collection[str]) -> str:
    first = sorted(names)[:5]
    return ", ".join(repr(name) for name in first) + (", …" if len(names) > len(first) else "")


def _read(halves: dict[str, Files], classes: list[str]) -> dict[str, pa.Table]:
    # Pillow warns of metadata that it cannot read, not saying whose; what it needs raises
    with warnings.catch_warnings(action="ignore"):
        return {half: _read_half(half, files, classes) for half, files in halves.items()}


def _read_half(half: str, files: Files, classes: list[str]) -> pa.Table:
    def read(name: str) -> bytes:
        return plain(files[name].read(), files[name].where)

    ids = sorted(files)
    packed: list[pa.Array] = []
    bar = progress(total=len(ids), desc=f"reading {half} pictures", unit="picture")
    with bar, ThreadPoolExecutor(_THREADS) as pool:  # Pillow decodes outside Python's lock
        for start in range(0, len(ids), _GROUP):
            pictures = list(pool.map(read, ids[start : start + _GROUP]))
            packed.append(pa.array(pictures, pa.large_binary()))
            bar.update(len(pictures))
    return picture_table(ids, [_label(name) for name in ids], pa.chunked_array(packed), classes)
