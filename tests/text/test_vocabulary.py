import random
from collections import Counter
from itertools import chain

import pyarrow as pa
import pytest
from torchtext.vocab import Vocab

from stages.core.files import InputError, write_json, write_table
from stages.text.special import PAD, PAD_INDEX, UNK, UNK_INDEX
from stages.text.words.counts import count_words
from stages.text.words.tokens import whitespace
from stages.text.words.vocabulary import Vocabulary, build_vocabulary, read_vocabulary, write_vocabulary


def random_texts(seed, literals=False):
    rng = random.Random(seed)
    words = ["", "the", "The", "é", "z", "Z", "ß", "'", "日本", "null", "🌭"] + [f"w{i}" for i in range(60)]
    words += [UNK, PAD] * 5 if literals else []
    return [" ".join(words[int(len(words) * rng.random() ** 2)] for _ in range(rng.randrange(40))) for _ in range(60)]


@pytest.mark.parametrize("literals", [False, True])
@pytest.mark.parametrize("min_freq", [1, 2, 5, 40, 10_000])
def test_words_order_and_counts_are_torchtexts(min_freq, literals):
    words = whitespace(random_texts(min_freq, literals))
    counter = Counter(chain.from_iterable(words.to_pylist()))
    expected = Vocab(counter, min_freq=min_freq)
    found, of, running = build_vocabulary([count_words(words)], min_freq, "whitespace")
    assert found.words == expected.itos
    assert found.counts == [counter[word] for word in expected.itos]
    assert (of, running) == (len(counter), counter.total())
    assert [expected.stoi[word] for word in found.words] == list(range(len(found.words)))


def test_equal_counts_are_in_the_order_of_the_alphabet():
    found, _, _ = build_vocabulary([count_words(whitespace(["b a c c Z é"]))], 1, "whitespace")
    assert found == Vocabulary([UNK, PAD, "c", "a", "b", "z", "é"], [0, 0, 2, 1, 1, 1, 1], "whitespace")


def test_a_word_needs_min_freq_occurrences():
    words = whitespace(["three three three two two one"])
    assert build_vocabulary([count_words(words)], 3, "whitespace")[0].words == [UNK, PAD, "three"]
    assert build_vocabulary([count_words(words)], 2, "whitespace")[0].words == [UNK, PAD, "three", "two"]


def test_a_text_with_the_literal_specials_adds_no_second_one():
    found, _, _ = build_vocabulary([count_words(whitespace(["<pad> <pad> <UNK> word <unk> <unk>"]))], 1, "whitespace")
    assert found.words == [UNK, PAD, "word"]
    assert found.counts == [3, 2, 1]


def test_specials_are_at_0_and_1():
    words = build_vocabulary([count_words(whitespace([""]))], 1, "whitespace")[0].words
    assert (words[UNK_INDEX], words[PAD_INDEX]) == (words[0], words[1]) == ("<unk>", "<pad>")


def test_what_is_written_is_read(tmp_path):
    vocabulary, _, _ = build_vocabulary([count_words(whitespace(random_texts(0, literals=True)))], 1, "whitespace")
    write_vocabulary(tmp_path / "a.parquet", vocabulary)
    write_vocabulary(tmp_path / "b.parquet", vocabulary)
    assert read_vocabulary(tmp_path / "a.parquet") == vocabulary
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


COLUMNS = {"word": [UNK, PAD, "a"], "count": [0, 0, 1]}


@pytest.mark.parametrize(
    "columns",
    [
        COLUMNS,  # without the tokenizer's name
        {"word": COLUMNS["word"]},
        {"word": [PAD, UNK, "a"], "count": [0, 0, 1]},
        {"word": ["a"], "count": [1]},
        {"id": ["train/pos/0_9"], "text": ["Good."]},
    ],
)
def test_a_table_that_is_no_vocabulary_is_refused(tmp_path, columns):
    metadata = None if columns is COLUMNS else {"tokenizer": "whitespace"}
    write_table(tmp_path / "vocab.parquet", pa.table(columns).replace_schema_metadata(metadata))
    with pytest.raises(InputError, match=r"vocab\.parquet: (?s:.*)make it again with: dvc repro"):
        read_vocabulary(tmp_path / "vocab.parquet")


def test_a_file_that_is_no_table_is_refused(tmp_path):
    write_json(tmp_path / "vocab.parquet", COLUMNS)
    for name in ("vocab.parquet", "missing.parquet"):
        with pytest.raises(InputError, match=name):
            read_vocabulary(tmp_path / name)
