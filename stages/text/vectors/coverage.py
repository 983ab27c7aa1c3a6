"""Look up the vectors of the vocabulary's words, one row group at a time, and count the words that have one."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from stages.core.files import read_row_groups, read_table, some
from stages.text.special import PAD, UNK
from stages.text.vectors.table import match, read_vector_table

SHOWN = 20  # words without a vector in the report

Missing = list[tuple[str, int]]  # words without a vector and their counts, the most frequent first


class Matched(NamedTuple):
    """The vectors of a row group of the vocabulary, and the number of words that have one."""

    vectors: np.ndarray  # float32 (words, dim), zeros for a word without one
    words_covered: int
    running_words: int  # occurrences of all words in the training split
    running_words_covered: int
    missing: Missing


def match_row_group(vocab: Path, group: int, *, glove: Path, dim: int) -> Matched:
    """Find the vectors of a row group of the vocabulary in the table that fetch_glove wrote."""
    (table,) = read_row_groups(vocab, ["word", "count"], [group])
    vectors, found = match(table["word"].to_pylist(), read_vector_table(glove, dim), dim)
    counts = table["count"].to_numpy()
    rest = table.filter(pa.array(~found))
    missing = _first(list(zip(rest["word"].to_pylist(), rest["count"].to_pylist(), strict=True)))
    return Matched(vectors, int(found.sum()), int(counts.sum()), int(counts[found].sum()), missing)


def _first(missing: Missing) -> Missing:
    return sorted(missing, key=lambda row: (-row[1], row[0]))[:SHOWN]


def why_none_matches(vocab: Path, glove: Path, dim: int) -> str:
    """Return a message with words of the vocabulary and of the vectors, and a likely reason why none is in both."""
    asked = [word for word in read_table(vocab, ["word"])["word"].to_pylist() if word not in ("", UNK, PAD)]
    words = [word for table in read_vector_table(glove, dim) for word in table["word"].to_pylist()]
    wanted = set(asked)
    cased = sum(word.lower() in wanted for word in words)
    likely = (
        f"in lower case, as reviews are read here, {cased:,} of them would match: take vectors of lower-case words"
        if cased
        else "are they of another language, or is build_vocab.tokenizer another one?"
    )
    return (
        f"none of the vocabulary's {len(asked):,} words has a vector. The vocabulary has words such as "
        f"{some(asked)}; the vectors are of {some(words)}; {likely}"
    )


class Coverage:
    """Sums the counts of the row groups."""

    def __init__(self) -> None:
        self.words = self.covered = self.running = self.running_covered = 0
        self.missing: Missing = []

    def add(self, part: Matched) -> np.ndarray:
        """Add the counts of a row group; return its vectors."""
        self.words += len(part.vectors)
        self.covered += part.words_covered
        self.running += part.running_words
        self.running_covered += part.running_words_covered
        self.missing = _first(self.missing + part.missing)
        return part.vectors

    def report(self) -> dict[str, Any]:
        return {
            "words": self.words,
            "words_covered": self.covered,
            "words_without_vector": self.words - self.covered,
            "share_of_words": round(self.covered / self.words, 4),
            "share_of_running_words": round(self.running_covered / self.running, 4),
            "most_frequent_without_vector": dict(self.missing),
        }
