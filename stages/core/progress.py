"""A progress bar on a terminal, a few plain lines in a log."""

import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

DELAY = 2.0  # seconds; what ends sooner shows nothing
LOG_INTERVAL = 10.0  # seconds between two lines of a log, at least
LOG_STEPS = 10  # lines that a log gets in all, at most

_hidden = False


@contextmanager
def hidden() -> Iterator[None]:
    """Let no bar be seen."""
    global _hidden
    before, _hidden = _hidden, True
    try:
        yield
    finally:
        _hidden = before


class _Lines:
    """A stream for tqdm that writes each state of the bar as a line of its own."""

    def write(self, text: str) -> None:
        # tqdm redraws with "\r" and the bar; all else that it writes only moves the cursor
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
    """Return a tqdm bar on stderr; call `update` on it, or go through `iterable` by it."""
    options: dict[str, Any] = {"file": sys.stderr}
    if not sys.stderr.isatty():
        # tqdm prints when both the interval and the steps have passed, so the rarer of the two decides;
        # an endless maxinterval, or its monitor thread would print in between
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
