"""The vocabulary: which words have an index."""

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
    words: list[str]  # in index order: <unk>, <pad>, then by falling count, equal counts alphabetically
    counts: list[int]  # occurrences in the training split
    tokenizer: str  # its name in params.yaml


def build_vocabulary(counts: Iterable[pa.Table], min_freq: int, tokenizer: str) -> tuple[Vocabulary, int, int]:
    """Return the words that occur at least `min_freq` times, in the order of torchtext's Vocab.

    `counts` are tables of word and count, each word once. Also returns the number of distinct and of running words.
    """
    kept: Counter[str] = Counter()
    distinct = running = 0
    specials = pa.array([UNK, PAD])  # are kept whatever min_freq is
    for table in counts:
        distinct, running = distinct + len(table), running + compute.sum(table["count"]).as_py()
        enough = compute.greater_equal(table["count"], min_freq)
        some = table.filter(compute.or_(enough, compute.is_in(table["word"], value_set=specials)))
        kept.update(dict(zip(some["word"].to_pylist(), some["count"].to_pylist(), strict=True)))
    # Not torchtext's Vocab itself: it imports torch, which takes this stage longer than its work
    words = [UNK, PAD, *sorted(kept.keys() - {UNK, PAD}, key=lambda word: (-kept[word], word))]
    return Vocabulary(words, [kept[word] for word in words], tokenizer), distinct, running


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    table = pa.table({"word": vocabulary.words, "count": vocabulary.counts})
    write_table(path, table.replace_schema_metadata({"tokenizer": vocabulary.tokenizer}), row_group_size=1 << 16)


def read_vocabulary(path: Path) -> Vocabulary:
    """Raises InputError if the file is not a vocabulary."""
    table = read_table(path, ["word", "count"])
    name = (table.schema.metadata or {}).get(b"tokenizer")
    words = table["word"].to_pylist()
    if name is None or words[:2] != [UNK, PAD]:
        raise InputError(f"{path}: not a vocabulary; make it again with: dvc repro build_vocab")
    return Vocabulary(words, table["count"].to_pylist(), name.decode())
