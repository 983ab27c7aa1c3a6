"""The vocabulary: the words with an index, and their counts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import compute

from stages.core.files import InputError, read_table, write_table
from stages.text.special import PAD, UNK


@dataclass(frozen=True)
class Vocabulary:
    words: list[str]  # in index order: <unk>, <pad>, then by descending count, equal counts alphabetically
    counts: list[int]  # occurrences in the training split
    tokenizer: str  # its name in params.yaml


def build_vocabulary(counts: Iterable[pa.Table], min_freq: int, tokenizer: str) -> tuple[Vocabulary, int, int]:
    """Return the vocabulary of words with at least `min_freq` occurrences, in the order of torchtext's Vocab.

    `counts` are tables of words and their counts, each word once. Also returns the number of distinct words and of
    running words, which is the sum of all counts.
    """
    kept: Counter[str] = Counter()
    distinct = running = 0
    specials = pa.array([UNK, PAD])  # kept, whatever min_freq is
    for table in counts:
        distinct, running = distinct + len(table), running + compute.sum(table["count"]).as_py()
        enough = compute.greater_equal(table["count"], min_freq)
        some = table.filter(compute.or_(enough, compute.is_in(table["word"], value_set=specials)))
        kept.update(dict(zip(some["word"].to_pylist(), some["count"].to_pylist(), strict=True)))
    # Not torchtext's Vocab itself: to import torch would take longer than the work of this stage
    words = [UNK, PAD, *sorted(kept.keys() - {UNK, PAD}, key=lambda word: (-kept[word], word))]
    return Vocabulary(words, [kept[word] for word in words], tokenizer), distinct, running


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    table = pa.table({"word": vocabulary.words, "count": vocabulary.counts})
    write_table(path, table.replace_schema_metadata({"tokenizer": vocabulary.tokenizer}), row_group_size=1 << 16)


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary; raises InputError if the file is none."""
    table = read_table(path, ["word", "count"])
    name = (table.schema.metadata or {}).get(b"tokenizer")
    words = table["word"].to_pylist()
    if name is None or words[:2] != [UNK, PAD]:
        raise InputError(f"{path}: not a vocabulary; make it again with: dvc repro build_vocab")
    return Vocabulary(words, table["count"].to_pylist(), name.decode())
