"""The grammar behind the sample reviews: fills the frames of words/*.yaml with words of praise and blame.

A symbol names a list of entries: single words, the commonest first, or lines. An entry's slot `{symbol}` stands for any
entry of that symbol. The symbols of praise.yaml and blame.yaml are toned: `{adj}` is a word in the sentence's own tone,
`{~adj}` one in the opposite tone, `{?adj}` one in either.
"""

import re
from functools import cache
from pathlib import Path

import yaml

from stages.sample.draw import Draw

FOLDER = Path(__file__).parent / "words"
PRAISE, BLAME = 0, 1  # the two tones
CAST = {"title", "rival", "director", "star", "actor", "hero", "villain"}  # the same throughout a review
SLOT = re.compile(r"\{([~?]?)(\w+)\}")
EVEN = 50  # percent of the draws of a word that are even; the others prefer the first words of the list
TRIALS = 5  # at an entry that the review does not have yet


class Entries:
    """The entries of a symbol; `ranked` if the first are the commonest."""

    def __init__(self, entries: list[str], ranked: bool) -> None:
        self.entries, self.ranked = entries, ranked

    def draw(self, draw: Draw) -> str:
        size = len(self.entries)
        if not self.ranked or draw.chance(EVEN):
            return self.entries[draw.below(size)]
        return self.entries[min(draw.below(size) for _ in range(5))]


def read(name: str) -> dict[str, Entries]:
    """Return the symbols of a file in words/."""
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    words = {symbol: text.split() for symbol, text in content.get("words", {}).items()}
    symbols = {symbol: Entries([w.replace("_", " ") for w in entries], True) for symbol, entries in words.items()}
    return symbols | {symbol: Entries(text.splitlines(), False) for symbol, text in content.get("lines", {}).items()}


@cache
def toned() -> tuple[dict[str, Entries], dict[str, Entries]]:
    """Return the symbols of praise and those of blame."""
    return read("praise"), read("blame")


@cache
def neutral() -> dict[str, Entries]:
    return read("film") | read("plain") | read("opinions")


@cache
def parse(entry: str) -> list[str]:
    """Return the pieces of `entry`: text, mark, symbol, text, mark, symbol, …, text."""
    return SLOT.split(entry)


class Writer:
    """Fills slots for one review: holds its cast and what it has already said."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.cast: dict[str, str] = {}
        self.said: set[str] = set()

    def frame(self, symbol: str) -> str:
        """Return an entry of `symbol`, filled but for its toned slots; of a toned symbol, the slot itself."""
        if symbol in toned()[PRAISE]:
            return f"{{{symbol}}}"
        return self.fill(self._entry(neutral()[symbol]), None)

    def fill(self, entry: str, tone: int | None) -> str:
        """Return `entry` with its slots filled, in `tone`; without one, toned slots stay as they are."""
        first, *rest = parse(entry)
        text = first
        for mark, symbol, after in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            text += self._slot(mark, symbol, tone) + after
        return text

    def _slot(self, mark: str, symbol: str, tone: int | None) -> str:
        if symbol in toned()[PRAISE]:
            if mark == "?":
                tone, mark = self.draw.below(2), ""
            if tone is None:
                return f"{{{mark}{symbol}}}"
            tone = 1 - tone if mark else tone
            return self.fill(self._entry(toned()[tone][symbol]), tone)
        if symbol not in CAST:
            return self.fill(self._entry(neutral()[symbol]), tone)
        if symbol not in self.cast:
            self.cast[symbol] = self.fill(neutral()[symbol].draw(self.draw), tone)
        return self.cast[symbol]

    def _entry(self, entries: Entries) -> str:
        for _ in range(TRIALS):
            entry = entries.draw(self.draw)
            if entry not in self.said:
                break
        self.said.add(entry)
        return entry


def opposite(frame: str) -> str:
    """Return `frame` with each toned slot in the other tone."""
    return SLOT.sub(lambda slot: f"{{{'' if slot[1] else '~'}{slot[2]}}}", frame)
