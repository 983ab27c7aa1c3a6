"""What messages have in common."""

from collections.abc import Sequence
from typing import Any

SHOWN = 5  # places, names, classes or words that a message lists


def some(values: Sequence[Any]) -> str:
    """Return the first values in quotes, numbers without, and how many more there are."""
    more = len(values) - SHOWN
    return ", ".join(map(repr, values[:SHOWN])) + (f" and {more:,} more" if more > 0 else "")
