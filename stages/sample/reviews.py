"""Make the embedded sample's reviews, as a tar.gz like aclImdb's, and their word vectors, as a zip like GloVe's.

`grammar` writes the reviews, `vectors` makes the vectors from them. Both archives have the same bytes on every machine:
seeded integers, fixed headers, no compression.
"""

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stages.sample.draw import Draw
from stages.sample.grammar import Writer, opposite
from stages.sample.vectors import vector_lines

REVIEWS = {"train": 8000, "test": 500}  # per class
UNSUP = 40  # unlabelled reviews in the archive
UNSUP_FOR_VECTORS = 500  # unlabelled reviews that the vectors are made from, including those in the archive
BLURBS = 14000  # lists of opinions in one tone, which only the vectors are made from
RATINGS = ((7, 8, 9, 10), (4, 3, 2, 1))  # of praise and of blame, by strength
SEEDS = {"train": 1, "test": 2, "unsup": 3, "blurbs": 4}

SIZES = {"short": 60, "medium": 6, "long": 3}  # size -> relative frequency
WORDS = {"medium": (25, 100), "long": (90, 340)}  # length at which a review is complete, least and most
SENTENCES = (1, 1, 1, 2, 3, 4)  # of a short review, equally likely
# Kind of sentence -> relative frequency, in short reviews and among the opinions of longer ones
SHORT_OPINIONS = {
    "verdict": 10, "aspect": 6, "headline": 4, "say": 5, "pair": 12, "nearly": 1, "mixed": 1, "rivalry": 1,
}  # fmt: skip
OPINIONS = {"aspect": 14, "say": 4, "pair": 5, "nearly": 2, "verdict": 2, "mixed": 1, "rivalry": 1}
PLAIN = {"medium": (0, 45), "long": (20, 60)}  # percent of sentences without an opinion, least and most
AGREES = (76, 84, 91, 97)  # percent of opinions that share the tone of a review of over two sentences, by strength
OPEN_WORDS = 8  # mean number of words of the kinds "say", "pair" and "nearly", which are a single slot
OPENS, CLOSES = 35, 60  # percent of longer reviews that open, and that close, with a verdict

# How people type
STOPS = (".",) * 15 + ("!",) * 4 + ("...",)
QUIET_STOPS = (".",) * 30 + ("...",)
ARTICLE = re.compile(r"\b([Aa]) (?=(?!uni|use|one\b|one-|euro)[aeiou]|hon|8|11)")
TYPOS = 1  # percent of words
LOWER_CASE, SPACED = 8, 6  # percent of reviews, in lower case and with spaces before punctuation
NO_STOP = 30  # percent of single sentences
MTIME = 1306000000  # May 2011, when the original was packed
README = "Sample reviews in the layout of the Large Movie Review Dataset. Made by a grammar: nobody wrote them.\n"


class SampleReview(NamedTuple):
    name: str  # "train/pos/0_9"
    text: str


class Plan(NamedTuple):
    """A review before its tone is chosen: slots that depend on the tone are still open."""

    writer: Writer
    frames: list[str]  # a sentence each
    strength: int  # of the tone: an index of RATINGS[tone] and of AGREES


def pick_kind(draw: Draw, frequencies: dict[str, int]) -> str:
    return draw.pick([kind for kind, times in frequencies.items() for _ in range(times)])


def plan_review(draw: Draw) -> Plan:
    """Draw the sentences of a review: the story, the circumstances, opinions for and against, verdicts."""
    writer, strength = Writer(draw), draw.below(4)
    size = pick_kind(draw, SIZES)
    if size == "short":
        frames = [writer.frame(pick_kind(draw, SHORT_OPINIONS)) for _ in range(draw.pick(SENTENCES))]
        if len(frames) > 2:
            frames = [agreeing(draw, frame, strength) for frame in frames]
        return Plan(writer, frames, strength)
    least, most = WORDS[size]
    target = min(draw.between(least, most), draw.between(least, most))
    plain = draw.between(*PLAIN[size])
    frames: list[str] = []
    words = 0
    while words < target:
        if draw.chance(plain):
            frame = writer.frame("plain")
        else:
            frame = agreeing(draw, writer.frame(pick_kind(draw, OPINIONS)), strength)
        frames.append(frame)
        words += frame.count(" ") + (OPEN_WORDS if frame in ("{say}", "{pair}", "{nearly}") else 1)
    if draw.chance(OPENS):
        frames.insert(0, writer.frame("verdict"))
    if draw.chance(CLOSES) or len(frames) == 1:
        frames.append(writer.frame("verdict"))
    return Plan(writer, frames, strength)


def agreeing(draw: Draw, frame: str, strength: int) -> str:
    """Return an opinion, in some cases with the tone opposite to the review's."""
    return frame if draw.chance(AGREES[strength]) else opposite(frame)


def written(plan: Plan, tone: int) -> str:
    """Return the text of a planned review in one tone, with the typing habits of people."""
    draw = plan.writer.draw
    sentences = [sentence(draw, plan.writer.fill(frame, tone), "{" in frame) for frame in plan.frames]
    if len(sentences) == 1 and draw.chance(NO_STOP):
        sentences = [sentences[0].rstrip(".")]
    text = join(draw, sentences)
    if draw.chance(LOWER_CASE):
        text = text.lower()
    if draw.chance(SPACED):
        text = re.sub(r"([.,!?]+)(?= |$)", r" \1", text)
    return " ".join(typo(draw, word) for word in text.split(" "))


def sentence(draw: Draw, text: str, is_opinion: bool) -> str:
    text = ARTICLE.sub(r"\1n ", text)
    text = text[:1].upper() + text[1:]
    if text.endswith(("!", "?", ".")):
        return text
    return text + draw.pick(STOPS if is_opinion else QUIET_STOPS)


def typo(draw: Draw, word: str) -> str:
    """Return `word`, in few cases with a typing error."""
    if len(word) < 4 or not word.isalpha() or not draw.chance(TYPOS):
        return word
    place = draw.between(1, len(word) - 2)
    a, b = word[place], word[place + 1]
    return word[:place] + draw.pick((b + a, a, b, a + a + b)) + word[place + 2 :]


def join(draw: Draw, sentences: list[str]) -> str:
    """Join sentences as reviews at IMDb do: some have paragraphs, some have two spaces after a stop."""
    space = "  " if draw.chance(8) else " "
    paragraphs = draw.chance(25)
    text = sentences[0]
    for sentence in sentences[1:]:
        text += ("<br /><br />" if paragraphs and draw.chance(15) else space) + sentence
    return text


def labelled(split: str) -> Iterator[SampleReview]:
    """Yield two reviews of each plan, one of praise and one of blame: only words with a tone tell the label."""
    draw = Draw(SEEDS[split])
    for number in range(REVIEWS[split]):
        plan = plan_review(draw)
        for tone, label in enumerate(("pos", "neg")):
            yield SampleReview(f"{split}/{label}/{number}_{RATINGS[tone][plan.strength]}", written(plan, tone))


def unlabelled(number: int) -> Iterator[SampleReview]:
    draw = Draw(SEEDS["unsup"])
    for index in range(number):
        yield SampleReview(f"train/unsup/{index}_0", written(plan_review(draw), draw.below(2)))


def blurbs(number: int) -> Iterator[str]:
    """Yield short lists of opinions in one tone: like GloVe's, the source of the vectors is not reviews alone."""
    draw = Draw(SEEDS["blurbs"])
    for _ in range(number):
        writer = Writer(draw)
        yield writer.fill(writer.frame("blurb"), draw.below(2))


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
    """Return `content` as gzip without compression. Not by zlib: zlib-ng cuts even level 0 into other blocks."""
    parts = [b"\x1f\x8b\x08" + bytes(6) + b"\xff"]  # deflate, no flags, no time, unknown system
    size = 0xFFFF  # bytes that one stored block can hold, at most
    for start in range(0, max(len(content), 1), size):
        block = content[start : start + size]
        last = start + size >= len(content)
        length = len(block)
        parts += [bytes([last]), length.to_bytes(2, "little"), (length ^ 0xFFFF).to_bytes(2, "little"), block]
    parts += [zlib.crc32(content).to_bytes(4, "little"), len(content).to_bytes(4, "little")]
    return b"".join(parts)


def write_glove(path: Path) -> None:
    """Write the word vectors as a zip with one text file, a word and its 100 numbers per line."""
    texts = [review.text for review in (*labelled("train"), *unlabelled(UNSUP_FOR_VECTORS))]
    texts += blurbs(BLURBS)
    member = zipfile.ZipInfo("glove.sample.100d.txt", (2014, 8, 1, 0, 0, 0))
    member.create_system, member.external_attr = 3, 0o644 << 16
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(member, "".join(f"{line}\n" for line in vector_lines(texts)))
