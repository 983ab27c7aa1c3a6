"""Progress as a bar on a terminal, or as a few plain lines in a log."""

import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

DELAY = 2.0  # seconds before a bar appears
LOG_INTERVAL = 10.0  # seconds between two lines of a log, at least
LOG_STEPS = 10  # lines of a log, at most

_hidden = False


@contextmanager
def hidden() -> Iterator[None]:
    """Show no progress bars."""
    global _hidden
    before, _hidden = _hidden, True
    try:
        yield
    finally:
        _hidden = before


class _Lines:
    """A stream for tqdm that writes each state of the bar on a line of its own."""

    def write(self, text: str) -> None:
        # tqdm redraws the bar by "\r" and its text; anything else that it writes only moves the cursor
        if text.startswith("\r") and text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    total: float | None,
    desc: str,
    unit: str = "it",
    unit_scale: bool = False,
    initial: int = 0,
) -> tqdm:
    """Return a tqdm bar on stderr: iterate over it, or call its `update`."""
    options: dict[str, Any] = {"file": sys.stderr}
    if not sys.stderr.isatty():
        # tqdm prints when both mininterval and miniters have passed. With a finite maxinterval its monitor thread would
        # also print in between
        steps = max(1, math.ceil((total or 0) / LOG_STEPS))
        options = {"file": _Lines(), "mininterval": LOG_INTERVAL, "maxinterval": math.inf}
        options |= {"miniters": steps, "ascii": True}
    return tqdm(
        iterable,
        total=total,
        desc=desc,
        unit=unit,
        unit_scale=unit_scale,
        initial=initial,
        delay=DELAY,
        disable=_hidden,
        **options,
    )
