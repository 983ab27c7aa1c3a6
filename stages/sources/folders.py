"""The files of a folder, in the same order on every file system."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from stages.core.files import InputError


def files_in(folder: str, suffixes: Collection[str]) -> list[str]:
    """Return the files in a folder and below that end in one of `suffixes`, in upper or lower case, sorted by path.

    Names that begin with a dot are skipped; links to folders are not followed.

    Raises InputError if there is no such file, or if a folder cannot be read.
    """
    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    files = sorted(path for path in found if path.suffix.lower() in suffixes)
    if not files:
        raise InputError(f"{folder}: nothing to read in it; expected files that end in {', '.join(sorted(suffixes))}")
    return [str(path) for path in files]


def refuse(problem: OSError) -> NoReturn:
    """Raise the InputError for a folder that os.walk cannot list."""
    raise InputError(f"{problem.filename}: {problem.strerror}") from problem
