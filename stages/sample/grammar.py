"""A grammar that writes the sample's reviews from the words and sentences in words/.

A symbol is the name of a list of entries: words, the most frequent first, or sentences. A slot `{symbol}` in an entry
is replaced by an entry of that symbol. The symbols of praise.yaml and blame.yaml have a tone: `{adj}` is replaced by a
word in the tone of the sentence, `{~adj}` by one in the opposite tone, `{?adj}` by one in a random tone.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml

from stages.sample.draw import Draw

FOLDER = Path(__file__).parent / "words"
PRAISE, BLAME = 0, 1  # the two tones
CAST = {"title", "rival", "director", "star", "actor", "hero", "villain"}  # symbols with one entry throughout a review
SLOT = re.compile(r"\{([~?]?)(\w+)\}")
UNIFORM = 50  # percent of the draws of a word that are uniform; the others prefer the first words of the list
TRIALS = 5  # draws, at most, to find an entry that the review does not have yet


class Entries:
    """The entries of a symbol. `ranked`: the first ones are the most frequent."""

    def __init__(self, entries: Sequence[str], ranked: bool) -> None:
        self.entries, self.ranked = entries, ranked

    def draw(self, draw: Draw) -> str:
        size = len(self.entries)
        if not self.ranked or draw.chance(UNIFORM):
            return self.entries[draw.below(size)]
        return self.entries[min(draw.below(size) for _ in range(5))]


def read(name: str) -> dict[str, Entries]:
    """Return the symbols in a file of words/, and their entries."""
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    words = {symbol: text.split() for symbol, text in content.get("words", {}).items()}
    symbols = {symbol: Entries([w.replace("_", " ") for w in entries], True) for symbol, entries in words.items()}
    return symbols | {symbol: Entries(text.splitlines(), False) for symbol, text in content.get("lines", {}).items()}


@cache
def toned() -> tuple[dict[str, Entries], dict[str, Entries]]:
    """Return the symbols with a tone twice: with their entries of praise, and with those of blame.

    The entries of `pair` are phrases: each line of pairs.tsv has one of praise and one of blame that share most words.
    """
    lines = (FOLDER / "pairs.tsv").read_text(encoding="utf-8").splitlines()
    praise, blame = zip(*(line.split("\t") for line in lines), strict=True)
    return read("praise") | {"pair": Entries(praise, False)}, read("blame") | {"pair": Entries(blame, False)}


@cache
def neutral() -> dict[str, Entries]:
    return read("film") | read("plain") | read("opinions")


@cache
def parse(entry: str) -> list[str]:
    """Split `entry` at its slots: text, mark, symbol, text, mark, symbol, …, text."""
    return SLOT.split(entry)


class Writer:
    """Fills the slots of one review. It remembers the review's cast and the entries that it has used."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.cast: dict[str, str] = {}
        self.said: set[str] = set()

    def frame(self, symbol: str) -> str:
        """Return an entry of `symbol` in which only the slots with a tone are still open."""
        if symbol in toned()[PRAISE]:
            return f"{{{symbol}}}"
        return self.fill(self._entry(neutral()[symbol]), None)

    def fill(self, entry: str, tone: int | None) -> str:
        """Return `entry` with its slots filled in `tone`. With tone None, slots with a tone stay open."""
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
    """Return `frame` with the tone of each open slot reversed."""
    return SLOT.sub(lambda slot: f"{{{'' if slot[1] else '~'}{slot[2]}}}", frame)
