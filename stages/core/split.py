"""Set a test half apart where the data come in one piece."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from stages.core.files import InputError


def draw_test(ids: Sequence[str], labels: Sequence[str], fraction: float, seed: int, source: Path) -> list[bool]:
    """Return for each example whether it is of the test half: `fraction` of each class, rounded, and at least one.

    Who is drawn hangs on the id and the seed alone: other examples that come or go move few from half to half.

    Raises InputError, which begins with `source`, if a class has a single example: each half needs one.
    """
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(label, []).append(row)
    drawn = [False] * len(ids)
    for label, of_class in rows.items():
        if len(of_class) == 1:
            raise InputError(f"{source}: a single example of class {label!r}; expected two or more, one for each half")
        of_class.sort(key=lambda row: hashlib.sha256(f"{seed} {ids[row]}".encode()).digest())
        for row in of_class[: min(max(round(fraction * len(of_class)), 1), len(of_class) - 1)]:
            drawn[row] = True
    return drawn
