"""The files of a folder, in the same order on every file system."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple, NoReturn

from stages.core.files import InputError

LITTER = {"__macosx", "thumbs.db", "desktop.ini"}  # in lower case: files that systems leave in folders
KNOWN_DOTS = {".git", ".dvc", ".cache", ".ipynb_checkpoints", ".thumbnails", ".venv"}  # nobody's data


def suffix_of(name: str) -> str:
    """Return a file's suffix in lower case, ".csv"; for a gzip with the suffix before, ".csv.gz"."""
    *_, before, last = ["", "", *(part.lower() for part in Path(name).suffixes)]
    return before + last if last == ".gz" else last


class Found(NamedTuple):
    """The files in a folder and below, each list sorted by path."""

    files: list[str]  # with one of the wanted suffixes, in upper or lower case
    others: list[str]  # with another suffix, and links to folders, which are not followed
    hidden: list[str]  # with a wanted suffix, but the name of the file or of a folder on its path begins with a dot


def files_in(folder: str, suffixes: Collection[str]) -> Found:
    """Return the files in a folder and below, by whether they have one of `suffixes`.

    LITTER, KNOWN_DOTS and names that begin with ._ are skipped.

    Raises InputError if no file has such a suffix, or if a folder cannot be read.
    """
    found: list[Path] = []
    hidden: list[Path] = []
    links: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if name.lower() not in LITTER | KNOWN_DOTS]
        links += [path for path in (Path(place, name) for name in folders) if path.is_symlink()]
        for path in (Path(place, name) for name in names if name.lower() not in LITTER and not name.startswith("._")):
            is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            (hidden if is_hidden else found).append(path)
    files = sorted(path for path in found if suffix_of(path.name) in suffixes)
    if not files:
        raise InputError(f"{folder}: nothing to read in it; expected files that end in {', '.join(sorted(suffixes))}")
    unseen = sorted(path for path in hidden if suffix_of(path.name) in suffixes)
    others = sorted((set(found) - set(files)).union(links))
    return Found(*(list(map(str, paths)) for paths in (files, others, unseen)))


def refuse(problem: OSError) -> NoReturn:
    """Raise the InputError for a folder that os.walk cannot list."""
    raise InputError(f"{problem.filename}: {problem.strerror}") from problem
