"""The vocabulary: which words have an index."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import compute
from torchtext.vocab import Vocab

from stages.core.files import InputError, read_table, write_table
from stages.text.tokens import PAD, UNK


@dataclass(frozen=True)
class Vocabulary:
    words: list[str]  # in index order: <unk>, <pad>, then by falling count, equal counts by alphabet
    counts: list[int]  # occurrences in the training half
    tokenizer: str  # the tokenizer that the words come from


def build_vocabulary(words: pa.ListArray, min_freq: int, tokenizer: str) -> tuple[Vocabulary, int]:
    """Return the words that occur at least `min_freq` times, in the order of torchtext's Vocab; and of how many."""
    found = compute.value_counts(words.flatten())
    counts = Counter(dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)))
    kept = Vocab(counts, min_freq=min_freq, specials=[UNK, PAD]).itos
    return Vocabulary(kept, [counts[word] for word in kept], tokenizer), len(counts)


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    table = pa.table({"word": vocabulary.words, "count": vocabulary.counts})
    write_table(path, table.replace_schema_metadata({"tokenizer": vocabulary.tokenizer}))


def read_vocabulary(path: Path) -> Vocabulary:
    """Raises InputError if the file is not a vocabulary."""
    table = read_table(path, ["word", "count"])
    name = (table.schema.metadata or {}).get(b"tokenizer")
    words = table["word"].to_pylist()
    if name is None or words[:2] != [UNK, PAD]:
        raise InputError(f"{path}: not a vocabulary; make it again with: dvc repro build_vocab")
    return Vocabulary(words, table["count"].to_pylist(), name.decode())
