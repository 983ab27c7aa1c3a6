"""Seeded random choices that are the same on every machine and with every Python."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A seeded source of random choices. It uses getrandbits alone: randrange and choice may change between Pythons."""

    def __init__(self, seed: int) -> None:
        self.bits = random.Random(seed).getrandbits

    def below(self, n: int) -> int:
        """Return an integer from 0 to n - 1."""
        return self.bits(32) * n >> 32

    def chance(self, percent: int) -> bool:
        """Return true with a probability of `percent`."""
        return self.below(100) < percent

    def between(self, least: int, most: int) -> int:
        """Return an integer from `least` to `most`, both included."""
        return least + self.below(most - least + 1)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def bytes(self, n: int) -> bytes:
        return self.bits(8 * n).to_bytes(n, "little")
