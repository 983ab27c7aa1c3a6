"""Make the embedded sample: movie reviews as an aclImdb tar.gz, their word vectors as a GloVe zip.

The reviews come from `grammar`, the vectors from the reviews' own words (`vectors`). Both archives are the same bytes
on every machine: seeded integers, fixed headers, nothing compressed.
"""

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

from stages.sample.draw import Draw
from stages.sample.grammar import CAST, GRADED, NEUTRAL, ONCE, TONED
from stages.sample.vectors import vector_lines

REVIEWS = {"train": 1000, "test": 500}  # per class
UNSUP = 40  # unlabelled reviews in the archive
UNSUP_FOR_VECTORS = 500  # unlabelled reviews that the vectors are made from, those in the archive among them
BLURBS = 3000  # lists of like opinions, for the vectors alone
RATINGS = {"pos": (7, 8, 9, 10), "neg": (4, 3, 2, 1)}  # from weak to strong
SEEDS = {"train": 1, "test": 2, "unsup": 3, "blurbs": 4}

WORDS = (45, 165)  # where a review stops to grow; with its last sentences it ends within 40 to 200
KEPT = {  # percent of the draws of a marked entry that stand
    "train": {"*": 8, "+": 0},
    "test": {"*": 100, "+": 100},
    "unsup": {"*": 50, "+": 0},
}
AGREES = (70, 80, 88, 95)  # percent of aspects that share the verdict's tone, from weak to strong
OPENS = 40  # percent of reviews that open with a verdict too
PLAN = (
    *("scene",) * 3,
    *("remark",) * 2,
    *("aspect",) * 7,
    *("mixed",) * 2,
    *("claim",) * 2,
    *("rivalry",) * 1,
)  # what a sentence of the body is, each as likely as the next

SLOT = re.compile(r"\{([~?]?)(\w+)\}")
ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
MTIME = 1306000000  # May 2011, when the original was packed
README = "Sample reviews in the layout of the Large Movie Review Dataset. Made by a grammar: nobody wrote them.\n"


class Review(NamedTuple):
    name: str  # "train/pos/0_9"
    text: str


@cache
def parse(entry: str) -> tuple[str, tuple[str, ...]]:
    """The mark of `entry`, and its pieces: text, tone, symbol, text, tone, symbol, …, text."""
    mark = entry[0] if entry[0] in "*+" else ""
    return mark, tuple(SLOT.split(entry.removeprefix(mark)))


class Writer:
    """Writes one review: holds its cast and what it has already said. `tone` is 0 for praise, 1 for blame."""

    def __init__(self, draw: Draw, strong: bool, half: str) -> None:
        self.draw, self.strong, self.kept = draw, strong, KEPT[half]
        self.cast: dict[str, str] = {}
        self.said: set[str] = set()

    def fill(self, symbol: str, tone: int) -> str:
        """A text for `symbol`, its slots filled too."""
        if symbol in self.cast:
            return self.cast[symbol]
        first, *rest = self.pick(symbol, tone)
        text = first
        for mark, slot, after in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            slot_tone = {"": tone, "~": 1 - tone, "?": self.draw.below(2)}[mark]
            text += self.fill(slot, slot_tone) + after
        if symbol in CAST:
            self.cast[symbol] = text
        return text

    def pick(self, symbol: str, tone: int) -> tuple[str, ...]:
        """The pieces of one entry of `symbol`, if possible one that was not said before."""
        entries = TONED[symbol][tone] if symbol in TONED else NEUTRAL[symbol]
        for trial in count():
            entry = entries[self.index(symbol, len(entries))]
            mark, pieces = parse(entry)
            if mark and not self.draw.chance(self.kept[mark]):
                continue
            if symbol not in ONCE or entry not in self.said or trial > 20:
                break
        self.said.add(entry)
        return pieces

    def index(self, symbol: str, size: int) -> int:
        if symbol not in GRADED:
            return self.draw.below(size)
        one, other = self.draw.below(size), self.draw.below(size)
        return max(one, other) if self.strong else min(one, other)

    def sentence(self, symbol: str, tone: int) -> str:
        text = ARTICLE.sub(r"\1n ", self.fill(symbol, tone))
        stop = "" if text.endswith("!") else "."
        return text[0].upper() + text[1:] + stop


def compose(draw: Draw, tone: int, strength: int, half: str) -> str:
    """One review: plot, aspects for and against, hearsay, and a verdict at its end, maybe at its start too."""
    writer = Writer(draw, strength >= 2, half)
    target = WORDS[0] + min(draw.below(WORDS[1] - WORDS[0]), draw.below(WORDS[1] - WORDS[0]))
    sentences = [writer.sentence("remark" if draw.chance(50) else "scene", tone)]
    while sum(len(sentence.split()) for sentence in sentences) < target:
        kind = PLAN[draw.below(len(PLAN))]
        agrees = kind not in ("aspect", "mixed") or draw.chance(AGREES[strength])
        sentences.append(writer.sentence(kind, tone if agrees else 1 - tone))
    if draw.chance(OPENS):
        sentences.insert(draw.below(2), writer.sentence("verdict", tone))
    sentences.append(writer.sentence("verdict", tone))
    return join(draw, sentences)


def join(draw: Draw, sentences: list[str]) -> str:
    """The sentences as IMDb has them: some reviews with paragraphs, some with two spaces after a stop."""
    space = "  " if draw.chance(8) else " "
    paragraphs = draw.chance(25)
    text = sentences[0]
    for sentence in sentences[1:]:
        text += ("<br /><br />" if paragraphs and draw.chance(15) else space) + sentence
    return text


def labelled(half: str) -> Iterator[Review]:
    draw = Draw(SEEDS[half])
    for number in range(REVIEWS[half]):
        for tone, label in enumerate(("pos", "neg")):
            strength = draw.below(4)
            text = compose(draw, tone, strength, half)
            yield Review(f"{half}/{label}/{number}_{RATINGS[label][strength]}", text)


def unlabelled(number: int) -> Iterator[Review]:
    draw = Draw(SEEDS["unsup"])
    for index in range(number):
        yield Review(f"train/unsup/{index}_0", compose(draw, draw.below(2), draw.below(4), "unsup"))


def blurbs(number: int) -> Iterator[str]:
    """Short lists of like opinions: the vectors' source is wider than reviews, as that of the real ones."""
    draw = Draw(SEEDS["blurbs"])
    for _ in range(number):
        yield Writer(draw, draw.chance(50), "unsup").sentence("blurb", draw.below(2))


def write_imdb(path: Path) -> None:
    """Write the reviews as a tar.gz: aclImdb/{train,test}/{pos,neg}/<id>_<rating>.txt."""
    reviews = sorted([*labelled("train"), *labelled("test"), *unlabelled(UNSUP)])
    members = {f"aclImdb/{review.name}.txt": review.text for review in reviews}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in {"aclImdb/README": README, **members}.items():
            content = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(content), MTIME, 0o644
            archive.addfile(member, io.BytesIO(content))
    path.write_bytes(stored_gzip(buffer.getvalue()))


def stored_gzip(content: bytes) -> bytes:
    """`content` as gzip without compression. By hand: zlib and zlib-ng frame even level 0 differently."""
    parts = [b"\x1f\x8b\x08" + bytes(6) + b"\xff"]  # deflate, no flags, no time, unknown system
    size = 0xFFFF  # the most that one stored block can hold
    for start in range(0, max(len(content), 1), size):
        block = content[start : start + size]
        last = start + size >= len(content)
        length = len(block)
        parts += [bytes([last]), length.to_bytes(2, "little"), (length ^ 0xFFFF).to_bytes(2, "little"), block]
    parts += [zlib.crc32(content).to_bytes(4, "little"), len(content).to_bytes(4, "little")]
    return b"".join(parts)


def write_glove(path: Path) -> None:
    """Write the words' vectors as a zip with one text file: word v1 … v100 on each line."""
    texts = [review.text for review in (*labelled("train"), *unlabelled(UNSUP_FOR_VECTORS))]
    texts += blurbs(BLURBS)
    member = zipfile.ZipInfo("glove.sample.100d.txt", (2014, 8, 1, 0, 0, 0))
    member.create_system, member.external_attr = 3, 0o644 << 16
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(member, "".join(f"{line}\n" for line in vector_lines(texts)))
