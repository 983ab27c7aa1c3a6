"""The user's own data: where it may lie, and which of it is the test split."""

import hashlib
import subprocess
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

from stages.core.files import InputError

SPLITS = ("train", "test")
NO_GIT = "No git repository is here. DVC works without one after `dvc config core.no_scm true`; `dvc exp` needs one."


def user_path(key: str, path: str) -> Path:
    """Return the path that params.yaml gives at `key`.

    Raises InputError for a relative one that git does not track.
    """
    if not Path(path).is_absolute() and not _is_tracked(path):
        raise InputError(
            f"{key}: {path!r} found, expected an absolute path: {Path(path).absolute()}\n"
            "A relative one only leads to files that git tracks: `dvc exp run --temp` and --queue run in a copy of "
            "the project without the others." + ("" if _in_repository() else f"\n{NO_GIT}")
        )
    return Path(path)


def _is_tracked(path: str) -> bool:
    return bool(_git("--literal-pathspecs", "ls-files", "--", path))


def _in_repository() -> bool:
    """Return whether the working directory lies in a git repository, and git is installed."""
    return bool(_git("rev-parse", "--is-inside-work-tree"))


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=False).stdout
    except OSError:
        return b""


def draw_test_split(
    source: Path,
    labels: Sequence[str],
    contents: Iterable[bytes],
    fraction: float,
    seed: int,
    same: Iterable[Hashable] | None = None,
) -> set[int]:
    """Return which rows are the test split: of each class about `fraction`, at least one row and never all.

    Rows of equal values in `same`, by default of equal contents, are never parted, whatever their classes. A row's
    place is decided by `seed` and the contents alone (texts, or the bytes of images), never by the order of the rows.

    Raises InputError for a class of a single row, or of equal rows alone: it cannot be in both splits.
    """
    ranks = [hashlib.sha256(b"%d %b" % (seed, content)).digest() for content in contents]
    groups: dict[Hashable, list[int]] = {}
    for row, value in enumerate(ranks if same is None else same):
        groups.setdefault(value, []).append(row)
    ordered = sorted(groups.values(), key=lambda rows: min(ranks[row] for row in rows))
    counts = [Counter(labels[row] for row in rows) for rows in ordered]  # of each group, by class
    of_class = Counter(labels)
    _check_divisible(source, of_class, Counter(label for count in counts for label in count))
    wanted = {label: min(max(1, round(fraction * rows)), rows - 1) for label, rows in of_class.items()}
    taken: Counter[str] = Counter()
    drawn: set[int] = set()

    def take(group: int) -> None:
        drawn.update(ordered[group])
        taken.update(counts[group])

    for group, count in enumerate(counts):
        if all(taken[label] + count[label] <= wanted[label] for label in count):
            take(group)
    for label in sorted(of_class):  # whose groups are all larger than what is wanted: take the smallest
        if not taken[label]:
            fitting = [
                group
                for group, count in enumerate(counts)
                if count[label] and all(taken[other] + count[other] < of_class[other] for other in count)
            ]
            if not fitting:
                raise InputError(f"{source}: class {label[:40]!r}: its examples equal those of other classes")
            take(min(fitting, key=lambda group: (counts[group].total(), group)))
    return drawn


def _check_divisible(source: Path, rows: Counter[str], groups: Counter[str]) -> None:
    """Raise InputError for a class of a single row or group of equal rows."""
    for counts, what in ((rows, "a single example"), (groups, "all its examples are equal")):
        if single := sorted(label for label in rows if counts[label] == 1):
            more = f" and {len(single) - 1} more" if len(single) > 1 else ""
            raise InputError(f"{source}: class {single[0][:40]!r}{more}: {what}; expected one for each split")
