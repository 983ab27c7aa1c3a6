"""The user's own data: its paths in params.yaml, and the draw of its test split."""

import hashlib
import subprocess
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

from stages.core.files import InputError

SPLITS = ("train", "test")
NO_GIT = "No git repository is here. DVC works without one after `dvc config core.no_scm true`; `dvc exp` needs one."


def user_path(key: str, path: str) -> Path:
    """Return `path`, the value of `key` in params.yaml.

    Raises InputError if it is relative and git does not track it.
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
    """Return the rows of the test split: about `fraction` of each class, at least one row and never all.

    Rows with equal values in `same`, by default with equal contents, stay together, whatever their classes. The draw
    depends on `seed` and the contents (texts, or the bytes of images), not on the order of the rows.

    Raises InputError for a class of a single row, or of equal rows alone: it cannot be in both splits.
    """
    ranks = [hashlib.sha256(b"%d %b" % (seed, content)).digest() for content in contents]
    groups = _equal_rows(ranks, ranks if same is None else same)
    counts = [Counter(labels[row] for row in rows) for rows in groups]  # of each group, by class
    of_class = Counter(labels)
    _check_divisible(source, of_class, Counter(label for count in counts for label in count))
    wanted = {label: min(max(1, round(fraction * rows)), rows - 1) for label, rows in of_class.items()}
    taken: Counter[str] = Counter()
    drawn: set[int] = set()

    def take(group: int) -> None:
        drawn.update(groups[group])
        taken.update(counts[group])

    for group, count in enumerate(counts):
        if all(taken[label] + count[label] <= wanted[label] for label in count):
            take(group)
    for label in sorted(of_class):
        if not taken[label]:  # each of its groups is larger than what is wanted
            take(_smallest_group(source, label, counts, taken, of_class))
    return drawn


def _equal_rows(ranks: list[bytes], same: Iterable[Hashable]) -> list[list[int]]:
    """Return groups of rows with equal values in `same`, in the order of their lowest rank."""
    groups: dict[Hashable, list[int]] = {}
    for row, value in enumerate(same):
        groups.setdefault(value, []).append(row)
    return sorted(groups.values(), key=lambda rows: min(ranks[row] for row in rows))


def _smallest_group(
    source: Path, label: str, counts: list[Counter[str]], taken: Counter[str], of_class: Counter[str]
) -> int:
    """Return the smallest group with rows of a class that leaves a row of each class to the training split."""
    fitting = [
        group
        for group, count in enumerate(counts)
        if count[label] and all(taken[other] + count[other] < of_class[other] for other in count)
    ]
    if not fitting:
        raise InputError(f"{source}: class {label[:40]!r}: its examples equal those of other classes")
    return min(fitting, key=lambda group: (counts[group].total(), group))


def _check_divisible(source: Path, rows: Counter[str], groups: Counter[str]) -> None:
    """Raise InputError for a class of a single row, or of a single group of equal rows."""
    for counts, what in ((rows, "a single example"), (groups, "all its examples are equal")):
        if single := sorted(label for label in rows if counts[label] == 1):
            more = f" and {len(single) - 1} more" if len(single) > 1 else ""
            raise InputError(f"{source}: class {single[0][:40]!r}{more}: {what}; expected one for each split")
