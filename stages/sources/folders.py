"""The files of a folder, in the same order on every file system."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from stages.core.files import InputError

JUNK = {"__macosx", "thumbs.db", "desktop.ini"}


def suffix_of(name: str) -> str:
    """Return what a file's name ends in, lower-case; of a packed file with the one before: ".csv.gz"."""
    *_, before, last = ["", "", *(part.lower() for part in Path(name).suffixes)]
    return before + last if last == ".gz" else last


def files_in(folder: str, suffixes: Collection[str], others: list[str] | None = None) -> list[str]:
    """Return the files in a folder and below that end in one of `suffixes`, in upper or lower case, sorted by path.

    The other files are appended to `others`. What systems leave in folders is skipped: names that begin with a dot,
    and JUNK. Links to folders are not followed.

    Raises InputError if there is no such file, or if a folder cannot be read.
    """
    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".") and name.lower() not in JUNK]
        found += [Path(place, name) for name in names if not name.startswith(".") and name.lower() not in JUNK]
    files = sorted(path for path in found if suffix_of(path.name) in suffixes)
    if others is not None:
        others += map(str, sorted(set(found) - set(files)))
    if not files:
        raise InputError(f"{folder}: nothing to read in it; expected files that end in {', '.join(sorted(suffixes))}")
    return [str(path) for path in files]


def refuse(problem: OSError) -> NoReturn:
    """Raise the InputError for a folder that os.walk cannot list."""
    raise InputError(f"{problem.filename}: {problem.strerror}") from problem
