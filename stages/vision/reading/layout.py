"""Find the split and the class of each image in a zip or a folder, and the files to pass over."""

import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from stages.core.files import InputError, some
from stages.sources.folders import KNOWN_DOTS, suffix_of
from stages.sources.user_data import SPLITS
from stages.vision.reading.containers import File
from stages.vision.reading.kinds import UNREAD_SUFFIXES
from stages.vision.reading.opening import SUFFIXES

LAYOUT = "expected …/{train,test}/<class>/<picture>"
USER_LAYOUT = f"{LAYOUT} or …/<class>/<picture>"
VALID = "valid"
SPLIT_NAMES = {  # a folder's name in lower case -> its split
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "valid": VALID, "validation": VALID, "val": VALID, "dev": VALID,
}  # fmt: skip
# Names that are passed over, in lower case, besides those that begin with a dot. @eaDir: thumbnails on Synology disks
LITTER = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir"}

ARCHIVES = {".zip", ".tar", ".tar.gz", ".gz", ".tgz", ".7z", ".rar"}

Files = dict[str, File]  # id -> file
Parts = tuple[str, ...]  # the components of a folder's path


@dataclass
class Entry:
    """A file's place: its folders and name; the name is empty for a folder."""

    folders: Parts
    name: str
    file: File

    @property
    def is_image(self) -> bool:
        return PurePosixPath(self.name).suffix.lower() in SUFFIXES | UNREAD_SUFFIXES


@dataclass
class Layout:
    """The images by split ("all" if there are no splits), their classes, and the files that are passed over."""

    splits: dict[str, Files]
    classes: list[str]
    of_several: int = 0  # pictures of several frames or pages, of which the first is read
    passed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # kind -> names of files

    def passed_over(self) -> str:
        """Return "passed over 3 files (2 Thumbs.db, 1 outside …)"."""
        count = sum(map(len, self.passed.values()))
        kinds = (f"{len(names):,} {kind}{_named(kind, names)}" for kind, names in self.passed.items())
        return f"passed over {count:,} {'file' if count == 1 else 'files'}" + (
            f" ({'; '.join(kinds)})" if count else ""
        )


OUTSIDE, HIDDEN, UNUSED = "outside the classes' folders", "in folders that are passed over", "not used"
UNREADABLE = "that cannot be read"


def find_layout(source: Path, files: list[File], layout: str = USER_LAYOUT) -> Layout:
    """Return the files in …/{train,test}/<class>/ and below, or in …/<class>/ if `layout` is USER_LAYOUT.

    A folder valid beside train and test is a third split if it has the same classes. Without splits, the classes are
    the first level at which the images are in different folders.

    Raises InputError if a split or a class has no file, if there are several data sets, if a file is there twice, or if
    the folders one level below may be the classes.
    """
    found = Layout({}, [])
    entries = _without_litter(files, found)
    root = _root_of_splits(source, entries, layout)
    if root is not None:
        _find_splits(source, files, layout, found, entries, root)
    elif layout == USER_LAYOUT:
        _find_classes(source, files, layout, found, entries)
    else:
        raise InputError(f"{source}: no picture in train; {layout}, found {_folders(files)}")
    return found


def _find_splits(
    source: Path, files: list[File], layout: str, found: Layout, entries: list[Entry], root: Parts
) -> None:
    depth = len(root)
    splits = {
        entry.folders[depth] for entry in entries if entry.folders[:depth] == root and len(entry.folders) > depth + 1
    }
    names = {
        split: sorted(name for name in splits if SPLIT_NAMES.get(name.lower()) == split) for split in (*SPLITS, VALID)
    }
    for split, folders in names.items():
        if len(folders) > 1:
            raise InputError(f"{source}: two folders for {split}: {some(folders)}; keep one")
    classes: dict[str, dict[str, Files]] = defaultdict(dict)
    for entry in entries:
        split = SPLIT_NAMES.get(entry.folders[depth].lower()) if len(entry.folders) > depth + 1 else None
        if split is None or entry.folders[:depth] != root:
            if entry.name:
                found.passed[OUTSIDE].append(entry.file.name)
            continue
        _add(classes[split].setdefault(entry.folders[depth + 1], {}), (split, *entry.folders[depth + 1 :]), entry)
    for split in SPLITS:
        if not any(classes[split].values()):
            beside = f"; there is {some(names[VALID])}: name it test to measure on it" if names[VALID] else ""
            if any(e.is_image and SPLIT_NAMES.get("/".join(e.folders[depth:]).lower()) == split for e in entries):
                beside = f"; the pictures in {split} lie in no class's folder"
            raise InputError(f"{source}: no picture in {split}; {layout}, found {_folders(files)}{beside}")
    for split, other in (SPLITS, SPLITS[::-1]):
        if more := classes[split].keys() - classes[other].keys():
            alike = _alike([*more, *classes[other]])
            raise InputError(
                f"{source}: classes in {split} that are not in {other}: {some(sorted(more))}; "
                + (f"names that look alike: {alike}" if alike else layout)
            )
    _check_classes(source, {f"{split}/{name}": of for split in SPLITS for name, of in classes[split].items()}, layout)
    found.classes = _named_classes(source, classes["train"], layout)
    if VALID in classes:
        _use_valid(source, found, classes, some(names[VALID]))
    found.splits = {split: _merged(classes[split]) for split in (*SPLITS, VALID) if split in classes}


def _find_classes(source: Path, files: list[File], layout: str, found: Layout, entries: list[Entry]) -> None:
    inside = [entry for entry in entries if entry.folders and entry.name]
    places = {entry.folders for entry in inside if entry.is_image}
    places = places or {entry.folders for entry in inside if "." not in entry.name}  # pictures without a suffix
    if not places:
        archives = sorted(entry.file.name for entry in entries if suffix_of(entry.name) in ARCHIVES)
        hint = f"; unpack {some(archives)}" if archives else ""
        raise InputError(f"{source}: no picture in a class's folder; {layout}, found {_folders(files)}{hint}")
    root = _common(places)
    if not any(len(place) > len(root) for place in places):  # all in one folder
        root = root[:-1]
    depth = len(root)
    classes: dict[str, Files] = {}
    for entry in entries:
        if entry.folders[:depth] == root and len(entry.folders) > depth:
            _add(classes.setdefault(entry.folders[depth], {}), entry.folders[depth:], entry)
        elif entry.name:
            found.passed[OUTSIDE].append(entry.file.name)
    _check_classes(source, classes, layout)
    found.classes = _named_classes(source, classes, layout)
    _tell_subfolders(source, classes)
    found.splits = {"all": _merged(classes)}


def warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _folders(files: list[File]) -> str:
    return some(sorted({file.name.rpartition("/")[0] or "." for file in files})) or "nothing"


def _without_litter(files: list[File], found: Layout) -> list[Entry]:
    """Return the entries that count; note the others in `found`, and warn of a hidden folder of pictures."""
    entries, hidden = [], Counter()
    for file in files:
        *folders, name = [part for part in file.name.split("/") if part != "."]
        litter = next((folder for folder in folders if _is_litter(folder)), None)
        entry = Entry(tuple(folders), name, file)
        if litter is None:
            entries.append(Entry(entry.folders, "", file) if _is_litter(name) else entry)  # its folder still counts
        if name and (litter or _is_litter(name)):
            found.passed[HIDDEN if litter else name if name.lower() in LITTER else "hidden"].append(litter or name)
            if litter and litter.startswith(".") and litter.lower() not in KNOWN_DOTS and entry.is_image:
                hidden[litter] += 1
    for folder, count in hidden.items():
        warn(
            f"{count:,} {'picture' if count == 1 else 'pictures'} in {folder!r} passed over, "
            "because its name begins with a dot; rename it if it is a class"
        )
    return entries


def _root_of_splits(source: Path, entries: list[Entry], layout: str) -> Parts | None:
    """Return the folder that train and test lie in, None if there is no train or test with a folder in it."""
    splits: dict[Parts, set[str]] = defaultdict(set)
    for entry in entries:
        if entry.name:
            for i, folder in enumerate(entry.folders[:-1]):
                if (split := SPLIT_NAMES.get(folder.lower())) in SPLITS:
                    splits[entry.folders[:i]].add(split)
    roots = {root for root, found in splits.items() if len(found) == len(SPLITS)} or set(splits)
    # A class may have the name of a split: the outermost folders count. An incomplete pair around them does not
    roots = {root for root in roots if not any(_is_in_a_split(root, other) for other in roots)}
    others = {
        root
        for root in splits.keys() - roots
        if not any(_is_in_a_split(root, one) or one[: len(root)] == root for one in roots)
    }
    if len(roots | others) > 1:
        data_sets = some(sorted("/".join(root) or "." for root in roots | others))
        raise InputError(f"{source}: more than one data set: in {data_sets}; {layout}, one … for all")
    return next(iter(roots), None)


def _is_in_a_split(folder: Parts, root: Parts) -> bool:
    return len(folder) > len(root) and folder[: len(root)] == root and folder[len(root)].lower() in SPLIT_NAMES


def _add(files: Files, folders: Iterable[str], entry: Entry) -> None:
    if entry.name:
        name = "/".join([*folders, entry.name])
        if name in files:
            raise InputError(f"{entry.file.where} is there twice")
        files[name] = entry.file


def _common(places: set[Parts]) -> Parts:
    """Return the folders that all places begin with."""
    first, last = min(places), max(places)
    same = next((i for i, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    return first[:same] if same is not None else min(first, last, key=len)


def _check_classes(source: Path, classes: dict[str, Files], layout: str) -> None:
    if empty := [name for name, files in classes.items() if not files]:
        raise InputError(f"{source}: no picture in {some(sorted(empty))}; {layout}")


def _named_classes(source: Path, names: Collection[str], layout: str) -> list[str]:
    if len(names) < 2:
        raise InputError(f"{source}: only one class: {some(sorted(names))}; {layout}, with two classes or more")
    if alike := _alike(names):
        warn(f"{source}: classes whose names look alike: {alike}; each is a class of its own")
    return sorted(names)


def _alike(names: Iterable[str]) -> str:
    """Return the names that differ in case, blanks, invisible letters or accents' spelling alone, as ASCII."""
    groups: dict[str, set[str]] = defaultdict(set)
    for name in names:
        letters = unicodedata.normalize("NFKC", name).casefold()
        groups["".join(c for c in letters if unicodedata.category(c) not in ("Cf", "Zs"))].add(name)
    return "; ".join(" and ".join(map(ascii, sorted(group))) for group in groups.values() if len(group) > 1)


def _use_valid(source: Path, found: Layout, classes: dict[str, dict[str, Files]], name: str) -> None:
    """Keep the split valid if it has the classes of train, each with a file; otherwise pass it over."""
    if classes[VALID].keys() == classes["train"].keys() and all(classes[VALID].values()):
        return
    files = _merged(classes.pop(VALID))
    found.passed[UNUSED].extend(file.name for file in files.values())
    warn(f"{source}: {name} is not used: its classes are not those of train; {len(files):,} files passed over")


def _tell_subfolders(source: Path, classes: dict[str, Files]) -> None:
    """Warn of classes whose images are all in several subfolders: the subfolders may be meant as the classes.

    Raises InputError if two classes have two subfolders in common: they may be two data sets.
    """
    inner: dict[str, set[str]] = {}
    for name, files in classes.items():
        below = [id_.split("/")[1:-1] for id_ in files]
        if all(below) and len({folders[0] for folders in below}) > 1:
            inner[name] = {folders[0] for folders in below}
    counts = Counter(folder for folders in inner.values() for folder in folders)
    if len(shared := [folder for folder, count in counts.items() if count > 1]) > 1:
        raise InputError(
            f"{source}: are {some(sorted(classes))} the classes, or {some(sorted(shared))} in each of them? Name one "
            "data set whose folders are the classes; pictures of a class in one folder, or beside its subfolders, say "
            "it too"
        )
    if inner:
        folders = some(sorted(f"{name}/{folder}" for name, below in inner.items() for folder in below))
        warn(f"{source}: the classes are {some(sorted(classes))}; the folders below belong to them: {folders}")


def _merged(classes: dict[str, Files]) -> Files:
    return {name: file for label in sorted(classes) for name, file in classes[label].items()}


def _named(kind: str, names: list[str]) -> str:
    """Return the names to show after a kind, none if the kind is the only name."""
    return "" if set(names) == {kind} else f": {some(sorted(set(names)))}"


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER
