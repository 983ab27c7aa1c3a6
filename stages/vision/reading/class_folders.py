"""Read labelled pictures from folders of classes, in a zip or on the disk."""

import warnings
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pyarrow as pa

from stages.core.files import InputError
from stages.core.progress import progress
from stages.sources.user_data import SPLITS, draw_test_split
from stages.vision.batches.images import image_table
from stages.vision.reading.containers import File, files_of, zip_files
from stages.vision.reading.opening import SUFFIXES, plain

LITTER = {"__macosx", "thumbs.db", "desktop.ini"}  # lower case; names that begin with a dot are passed over too
LAYOUT = "expected …/{train,test}/<class>/<picture>"
USER_LAYOUT = f"{LAYOUT} or …/<class>/<picture>"

_THREADS = 4  # pictures in memory decoded, at most
_GROUP = 256  # pictures that are packed together

Files = dict[str, File]  # id -> file
Places = dict[str, Files]  # "train/hotdog", or "hotdog" where there are no splits -> the files in it


def read_hotdog_archive(archive: Path) -> dict[str, pa.Table]:
    """Read a zip in the layout …/{train,test}/<class>/<picture>, the root at any depth.

    Returns train and test: id ("train/hotdog/0.jpg", sorted by it), label (the name of the class's folder), image
    (as `plain` returns it); the classes, sorted, in the metadata. Everything that lies elsewhere is passed over.

    Raises InputError if the archive is no whole zip, if it has another layout or two roots, if the splits differ in
    their classes, if a class has no picture or is alone, or if a file in a class's folder is no whole picture.
    """
    with zip_files(archive) as files:
        return _read(*_splits(archive, _places(archive, files, LAYOUT, with_splits=True), files, LAYOUT))


def read_user_images(source: Path, test_fraction: float, seed: int) -> dict[str, pa.Table]:
    """Read a zip or a folder in the layout of `read_hotdog_archive` or in …/<class>/<picture>.

    In the second layout the ids are "hotdog/0.jpg", and `test_fraction` of each class is drawn for the test split.

    Raises InputError as `read_hotdog_archive` does, for a class of one picture if the test split is drawn, and for a
    link to a folder.
    """
    with files_of(source) as files:
        if places := _places(source, files, USER_LAYOUT, with_splits=True):
            return _read(*_splits(source, places, files, USER_LAYOUT))
        places = _places(source, files, USER_LAYOUT, with_splits=False)
        if not places:
            raise InputError(f"{source}: no picture in a class's folder; {USER_LAYOUT}, found {_folders(files)}")
        classes = _classes(source, places, set(places), USER_LAYOUT)
        everything = {name: file for of_class in places.values() for name, file in of_class.items()}
        return _draw(source, _read({"all": everything}, classes)["all"], test_fraction, seed)


def _draw(source: Path, table: pa.Table, test_fraction: float, seed: int) -> dict[str, pa.Table]:
    contents = (image.as_py() for image in table["image"])
    drawn = draw_test_split(source, table["label"].to_pylist(), contents, test_fraction, seed)
    rows = range(len(table))
    return {split: table.filter([(row in drawn) == (split == "test") for row in rows]) for split in SPLITS}


def _places(source: Path, files: list[File], layout: str, *, with_splits: bool) -> Places:
    """Return the folders of pictures, below train and test or not, with their pictures; none if there are none.

    Raises InputError if they are of two data sets, or a file is there twice.
    """
    depth = 2 if with_splits else 1
    roots: dict[str, Places] = {}
    for file in files:
        *folders, name = [part for part in file.name.split("/") if part != "."]  # name is "" for a folder
        if len(folders) < depth or (with_splits and folders[-2] not in SPLITS) or any(map(_is_litter, folders)):
            continue
        place = "/".join(folders[-depth:])
        inside = roots.setdefault("/".join(folders[:-depth]), {}).setdefault(place, {})
        if name and not _is_litter(name):
            if f"{place}/{name}" in inside:
                raise InputError(f"{file.where} is there twice")
            inside[f"{place}/{name}"] = file
    # Without splits any folder looks like a class's: a README alone makes none
    counts = any if with_splits else _has_image
    roots = {root: places for root, places in roots.items() if any(map(counts, places.values()))}
    if len(roots) > 1:
        found = _some([root or "." for root in roots])
        raise InputError(f"{source}: more than one data set: in {found}; {layout}, one … for all")
    return next(iter(roots.values()), {})


def _splits(source: Path, places: Places, files: list[File], layout: str) -> tuple[dict[str, Files], list[str]]:
    """Return the pictures of each split, and the classes."""
    names = {split: {place.partition("/")[2] for place in places if place.startswith(f"{split}/")} for split in SPLITS}
    for split in SPLITS:
        if not names[split]:
            raise InputError(f"{source}: no picture in {split}; {layout}, found {_folders(files)}")
    for split, other in (SPLITS, SPLITS[::-1]):
        if more := names[split] - names[other]:
            raise InputError(f"{source}: classes in {split} that {other} has not: {_some(more)}; {layout}")
    classes = _classes(source, places, names["train"], layout)
    return {
        split: {k: f for label in classes for k, f in places[f"{split}/{label}"].items()} for split in SPLITS
    }, classes


def _classes(source: Path, places: Places, names: set[str], layout: str) -> list[str]:
    if empty := [place for place, files in places.items() if not files]:
        raise InputError(f"{source}: no picture in {_some(empty)}; {layout}")
    if len(names) < 2:
        raise InputError(f"{source}: only one class: {_some(names)}; {layout}, with two classes or more")
    return sorted(names)


def _label(name: str) -> str:
    return name.split("/")[-2]


def _has_image(files: Files) -> bool:
    return any(PurePosixPath(name).suffix.lower() in SUFFIXES for name in files)


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _folders(files: list[File]) -> str:
    return _some({file.name.rpartition("/")[0] for file in files})


def _some(names: Collection[str]) -> str:
    first = sorted(names)[:5]
    return ", ".join(repr(name) for name in first) + (", …" if len(names) > len(first) else "")


def _read(splits: dict[str, Files], classes: list[str]) -> dict[str, pa.Table]:
    # Pillow warns of metadata that it cannot read, without naming the file; what it needs raises
    with warnings.catch_warnings(action="ignore"):
        return {split: _read_split(split, files, classes) for split, files in splits.items()}


def _read_split(split: str, files: Files, classes: list[str]) -> pa.Table:
    def read(name: str) -> bytes:
        return plain(files[name].read(), files[name].where)

    ids = sorted(files)
    packed: list[pa.Array] = []
    bar = progress(total=len(ids), desc=f"reading {split} pictures", unit="picture")
    with bar, ThreadPoolExecutor(_THREADS) as pool:  # Pillow decodes outside Python's lock
        for start in range(0, len(ids), _GROUP):
            images = list(pool.map(read, ids[start : start + _GROUP]))
            packed.append(pa.array(images, pa.large_binary()))
            bar.update(len(images))
    return image_table(ids, [_label(name) for name in ids], pa.chunked_array(packed), classes)
