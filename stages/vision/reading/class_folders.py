"""Read labelled images from a zip or a folder with a folder for each class."""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from stages.core.files import InputError, some
from stages.core.progress import progress
from stages.sources.user_data import SPLITS, draw_test_split
from stages.vision.batches.images import image_table, pixel_digest
from stages.vision.reading.containers import files_of, zip_files
from stages.vision.reading.layout import LAYOUT, UNREADABLE, VALID, Files, Layout, find_layout, warn
from stages.vision.reading.opening import opened

SHOWN = 20  # files in a message

_THREADS = 4  # images decoded at a time, at most
_GROUP = 256  # images per array of the table

Read = tuple[pa.Table, list[bytes]]  # a split's images, and the hash of each image's pixels


def read_hotdog_archive(archive: Path) -> dict[str, pa.Table]:
    """Read a zip in the layout …/{train,test}/<class>/<picture>, the root at any depth.

    Returns train and test, and valid if there is such a folder: id ("train/hotdog/0.jpg", sorted by it), label (the
    name of the class's folder), image (as `plain` returns it); the classes, sorted, in the metadata. Folders in a
    class's folder belong to the class. A summary of the files that were read and passed over goes to standard error.

    Raises InputError if the archive is no complete zip, has another layout or several roots, if the splits have
    different classes, if there is only one class, or if a class has no image or a file that is no complete image.
    """
    with zip_files(archive) as files:
        return _read_splits(archive, find_layout(archive, files, LAYOUT), skip_bad=None)


def read_user_images(source: Path, test_fraction: float, seed: int, skip_bad: bool = False) -> dict[str, pa.Table]:
    """Read a zip or a folder in the layout of `read_hotdog_archive` or in …/<class>/<picture>.

    In the second layout the ids are "hotdog/0.jpg", and `test_fraction` of each class is drawn for the test split;
    equal images stay together. With `skip_bad`, files that are no complete images are left out and listed.

    Raises InputError as `read_hotdog_archive` does, for a class of one picture if the test split is drawn, and for a
    link to a folder.
    """
    with files_of(source) as files:
        found = find_layout(source, files)
        if "all" not in found.splits:
            return _read_splits(source, found, skip_bad)
        ((table, digests),) = _read(source, found, skip_bad).values()
    _warn_of_classes(source, table, digests)
    drawn = draw_test_split(source, table["label"].to_pylist(), digests, test_fraction, seed)
    _print_summary(len(table), found)
    return {split: table.filter([(row in drawn) == (split == "test") for row in range(len(table))]) for split in SPLITS}


def _read_splits(source: Path, found: Layout, skip_bad: bool | None) -> dict[str, pa.Table]:
    splits = _read(source, found, skip_bad)
    for split, (table, digests) in splits.items():
        _warn_of_classes(source, table, digests)
        if split != "train":
            _warn_of_leak(source, split, splits["train"], splits[split])
    if VALID in splits:
        _warn_of_leak(source, "test", splits[VALID], splits["test"], VALID)
        count = len(splits[VALID][0])
        print(f"{VALID}: {count:,} pictures are the validation part, by which the epoch is chosen", file=sys.stderr)
    _print_summary(sum(len(table) for table, _ in splits.values()), found)
    return {split: table for split, (table, _) in splits.items()}


def _print_summary(count: int, found: Layout) -> None:
    pictures = "1 picture" if count == 1 else f"{count:,} pictures"
    several = f" (of {found.of_several:,} the first of several frames or pages)" if found.of_several else ""
    print(f"read {pictures}{several} in {len(found.classes):,} classes, {found.passed_over()}", file=sys.stderr)


def _warn_of_classes(source: Path, table: pa.Table, digests: list[bytes]) -> None:
    """Warn of images that are in two classes of one split."""
    first: dict[bytes, tuple[str, str]] = {}
    pairs = []
    for name, label, digest in zip(table["id"].to_pylist(), table["label"].to_pylist(), digests, strict=True):
        other, other_label = first.setdefault(digest, (name, label))
        if label != other_label:
            pairs.append((other, name))
    if pairs:
        warn(f"{source}: pictures that are in another class too, pixel for pixel: {len(pairs):,}: {_shown(pairs)}")


def _warn_of_leak(source: Path, split: str, train: Read, other: Read, name: str = "train") -> None:
    """Warn of images that the user has put into two splits."""
    known = dict(zip(train[1], train[0]["id"].to_pylist(), strict=True))
    pairs = [(id_, known[d]) for id_, d in zip(other[0]["id"].to_pylist(), other[1], strict=True) if d in known]
    if pairs:
        found = f"{len(pairs):,} of {len(other[1]):,} {split} pictures are in {name} too, pixel for pixel"
        warn(f"{source}: {found}, which makes results look better than they are: {_shown(pairs)}")


def _shown(pairs: list[tuple[str, str]]) -> str:
    first = "; ".join(f"{one!r} and {other!r}" for one, other in pairs[:3])
    return first + ("; …" if len(pairs) > 3 else "")


def _read(source: Path, found: Layout, skip_bad: bool | None) -> dict[str, Read]:
    """Read the pictures of each split; raises InputError with all files that are none, unless they are skipped.

    `skip_bad` is None where the user has no such choice.
    """
    bad: list[InputError] = []
    # Pillow warns of metadata that it cannot read, without naming the file; what it needs raises
    with warnings.catch_warnings(action="ignore"):
        splits = {split: _read_split(split, files, found, bad) for split, files in found.splits.items()}
    if bad and not skip_bad:
        remedy = "" if skip_bad is None else "; or own.skip_bad: true leaves out what cannot be read"
        raise _all_bad(source, bad, sum(map(len, found.splits.values())), remedy)
    for problem in bad:
        print(f"skipped: {problem}", file=sys.stderr)
    for split, (table, _) in splits.items():
        if empty := set(found.classes) - set(table["label"].to_pylist()):
            place = "" if split == "all" else f" of {split}"
            raise InputError(f"{source}: no picture{place} that can be read in {some(sorted(empty))}")
    return splits


def _all_bad(source: Path, bad: list[InputError], count: int, remedy: str) -> InputError:
    if len(bad) == 1:
        return InputError(f"{bad[0]}{remedy}")
    lines = [f"{source}: {len(bad):,} of {count:,} files cannot be read as pictures", *map(str, bad[:SHOWN])]
    if len(bad) > SHOWN:
        lines.append(f"and {len(bad) - SHOWN:,} more")
    return InputError("\n  ".join(lines) + f"\nmend, move or delete them{remedy}")


def _read_split(split: str, files: Files, found: Layout, bad: list[InputError]) -> Read:
    def read(name: str) -> tuple[bytes, bytes, bool] | InputError:
        try:
            encoded, image, has_more = opened(files[name].read(), files[name].where)
            return encoded, pixel_digest(image), has_more
        except InputError as problem:
            return problem

    ids = sorted(files)
    kept: list[str] = []
    skipped: list[str] = []
    digests: list[bytes] = []
    packed: list[pa.Array] = []
    bar = progress(total=len(ids), desc=f"reading {split} pictures", unit="picture")
    with bar, ThreadPoolExecutor(_THREADS) as pool:  # Pillow releases Python's lock when it decodes
        for start in range(0, len(ids), _GROUP):
            names = ids[start : start + _GROUP]
            encoded = []
            for name, one in zip(names, pool.map(read, names), strict=True):
                if isinstance(one, InputError):
                    bad.append(one)
                    skipped.append(name)
                    continue
                kept.append(name)
                encoded.append(one[0])
                digests.append(one[1])
                found.of_several += one[2]
            packed.append(pa.array(encoded, pa.large_binary()))
            bar.update(len(names))
    labels = [name.split("/")[0 if split == "all" else 1] for name in kept]
    if skipped:
        found.passed[UNREADABLE] += skipped
    return image_table(kept, labels, pa.chunked_array(packed, pa.large_binary()), found.classes, skipped), digests
