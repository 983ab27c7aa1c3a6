"""The user's own data: where it may lie, and which of it is the test split."""

import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from stages.core.files import InputError

SPLITS = ("train", "test")


def user_path(key: str, path: str) -> Path:
    """Return the path that params.yaml gives at `key`.

    Raises InputError for a relative one that git does not track.
    """
    if not Path(path).is_absolute() and not _is_tracked(path):
        raise InputError(
            f"{key}: {path!r} found, expected an absolute path: {Path(path).absolute()}\n"
            "A relative one only leads to files that git tracks: `dvc exp run --temp` and --queue run in a copy of "
            "the project without the others."
        )
    return Path(path)


def _is_tracked(path: str) -> bool:
    try:
        done = subprocess.run(["git", "--literal-pathspecs", "ls-files", "--", path], capture_output=True, check=False)
    except OSError:
        return False
    return bool(done.stdout)


def draw_test_split(
    source: Path, labels: Sequence[str], contents: Iterable[bytes], fraction: float, seed: int
) -> set[int]:
    """Return which rows are the test split: of each class `fraction`, at least one row and never all.

    A row's place is decided by `seed` and its content alone (a text, or the bytes of an image), never by the order of
    the rows. Equal contents come next to each other, nearly always in one split.

    Raises InputError for a class of a single row, which cannot be in both splits.
    """
    ranked: dict[str, list[tuple[bytes, int]]] = {}
    for row, (label, content) in enumerate(zip(labels, contents, strict=True)):
        ranked.setdefault(label, []).append((hashlib.sha256(b"%d %b" % (seed, content)).digest(), row))
    if single := sorted(label for label, rows in ranked.items() if len(rows) == 1):
        more = f" and {len(single) - 1} more" if len(single) > 1 else ""
        raise InputError(f"{source}: class {single[0][:40]!r}{more}: a single example; expected one for each split")
    return {
        row
        for rows in ranked.values()
        for _, row in sorted(rows)[: min(max(1, round(fraction * len(rows))), len(rows) - 1)]
    }
