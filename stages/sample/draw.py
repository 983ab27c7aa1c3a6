"""Seeded choices, the same on every machine and every Python."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Seeded choices. Built on getrandbits alone: randrange, choice and shuffle may change between Pythons."""

    def __init__(self, seed: int) -> None:
        self.bits = random.Random(seed).getrandbits

    def below(self, n: int) -> int:
        return self.bits(32) * n >> 32

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def between(self, least: int, most: int) -> int:
        """Return an integer from `least` to `most`, both of them possible."""
        return least + self.below(most - least + 1)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def bytes(self, n: int) -> bytes:
        return self.bits(8 * n).to_bytes(n, "little")
