"""Counts of words are right however many wait on disk."""

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from stages.text.words import counts
from stages.text.words.counts import add_up, count_words


def lists(words: list[list[str]]) -> pa.ListArray:
    return pa.array(words, pa.list_(pa.string()))


@pytest.mark.parametrize(
    ("held", "block", "fan"), [(1 << 26, 1 << 16, 32), (200, 3, 2), (500, 5, 2), (1000, 7, 3), (1, 1, 2)]
)
def test_counts_of_many_tables_are_those_of_all_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, block: int, fan: int
) -> None:
    for name, value in (("MEMORY", held), ("BLOCK", block), ("FAN_IN", fan)):
        monkeypatch.setattr(counts, name, value)
    rng = random.Random(held)
    pool = ["", "the", "é", "e\u0301", "日本", "🌭", "\uffff", *(f"w{i}" for i in range(50))]
    parts = [rng.choices(pool, k=rng.choice([0, 1, 20])) for _ in range(20)]
    found = list(add_up((count_words(lists([part])) for part in parts), tmp_path / "new"))
    words = [word for table in found for word in table["word"].to_pylist()]
    numbers = [number for table in found for number in table["count"].to_pylist()]
    expected = Counter(word for part in parts for word in part)
    assert words == sorted(expected)
    assert dict(zip(words, numbers, strict=True)) == expected
    assert list((tmp_path / "new").iterdir()) == []


def test_no_word_at_all_has_no_count(tmp_path: Path) -> None:
    assert list(add_up([], tmp_path)) == []
    assert list(add_up([count_words(lists([[]]))], tmp_path)) == []


def test_an_error_leaves_nothing_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "MEMORY", 1)

    def parts():
        yield count_words(lists([["a", "b"]]))
        yield count_words(lists([["b", "c"]]))
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        list(add_up(parts(), tmp_path))
    assert list(tmp_path.iterdir()) == []
