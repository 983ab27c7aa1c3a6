import random
from itertools import pairwise

import pyarrow as pa
import pytest
import torch

from stages.core.files import InputError
from stages.core.tensors import write_tensors
from stages.text.batches.reviews import Reviews, read_reviews
from stages.text.special import PAD, PAD_INDEX, UNK, UNK_INDEX
from stages.text.words.encoding import words_read
from stages.text.words.tokens import basic_english, whitespace
from tests.text.written import encode_words, write_reviews

VOCABULARY = [UNK, PAD, "", "the", "movie", "é", "日本", "null", "."]


def lists(words):
    return pa.array(words, pa.list_(pa.string()))


def split(ids, offsets):
    return [ids[start:end].tolist() for start, end in pairwise(offsets)]


def by_hand(words, vocabulary, max_len):
    index = {word: i for i, word in enumerate(vocabulary)}
    return [[index.get(word, UNK_INDEX) for word in some[:max_len]] or [UNK_INDEX] for some in words]


@pytest.mark.parametrize("max_len", [1, 2, 7, 500])
@pytest.mark.parametrize("seed", range(3))
def test_encoding_is_that_of_a_plain_loop(seed, max_len):
    rng = random.Random(seed)
    pool = [*VOCABULARY, "other", "The", "e\u0301", "🌭"]
    words = [rng.choices(pool, k=rng.choice([0, 1, 2, 3, 10, 30])) for _ in range(200)]
    ids, offsets = encode_words(lists(words), VOCABULARY, max_len)
    assert (ids.dtype, offsets.dtype) == (torch.int32, torch.int64)
    assert (offsets[0], offsets[-1]) == (0, len(ids))
    assert split(ids, offsets) == by_hand(words, VOCABULARY, max_len)


def test_texts_are_encoded_as_the_textbook_does():
    texts = ["The movie\n is  GOOD", "", "日本 É null <pad> <unk>"]
    ids, offsets = encode_words(whitespace(texts), VOCABULARY, 500)
    assert split(ids, offsets) == [[3, 4, 0, 2, 0], [2], [6, 5, 7, PAD_INDEX, UNK_INDEX]]


@pytest.mark.parametrize(("tokenize", "known"), [(whitespace, VOCABULARY[:2]), (basic_english, VOCABULARY)])
def test_an_empty_text_is_a_single_unk(tokenize, known):
    ids, offsets = encode_words(tokenize(["", "the", ""]), known, 500)
    assert offsets.tolist() == [0, 1, 2, 3]
    assert ids[[0, 2]].tolist() == [UNK_INDEX, UNK_INDEX]


def test_only_empty_texts_can_be_encoded():
    ids, offsets = encode_words(lists([[], []]), VOCABULARY, 500)
    assert split(ids, offsets) == [[0], [0]]


def test_unknown_words_are_unk():
    ids, _ = encode_words(lists([["unheard", "the", "of"]]), VOCABULARY, 500)
    assert ids.tolist() == [0, 3, 0]


@pytest.mark.parametrize(("max_len", "expected"), [(1, [[3], [4]]), (2, [[3, 4], [4]]), (3, [[3, 4, 5], [4]])])
def test_a_review_is_cut_after_max_len_words(max_len, expected):
    ids, offsets = encode_words(lists([["the", "movie", "é"], ["movie"]]), VOCABULARY, max_len)
    assert split(ids, offsets) == expected


def some_reviews():
    ids, offsets = encode_words(lists([["the", "movie"], [], ["é", "x", "é"]]), VOCABULARY, 9)
    return Reviews(ids, offsets, torch.tensor([1, 0, 1]), ["negative", "größer"], "whitespace", 9, "start")


def test_reviews_have_a_length_and_items():
    reviews = some_reviews()
    assert len(reviews) == 3
    assert [reviews[i].tolist() for i in range(3)] == [[3, 4], [0], [5, 0, 5]]


def test_what_is_written_is_read(tmp_path):
    reviews = some_reviews()
    write_reviews(tmp_path / "train.safetensors", reviews)
    found = read_reviews(tmp_path / "train.safetensors")
    for name in ("ids", "offsets", "labels"):
        tensor, expected = getattr(found, name), getattr(reviews, name)
        assert tensor.dtype == expected.dtype
        assert torch.equal(tensor, expected)
    about = (found.classes, found.tokenizer, found.max_len, found.keep)
    assert about == (["negative", "größer"], "whitespace", 9, "start")


def test_the_same_reviews_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_reviews(tmp_path / name, some_reviews())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("names", [["vectors"], ["ids", "offsets"], ["ids", "offsets", "labels"]])
def test_tensors_that_are_no_reviews_are_refused(tmp_path, names):
    path = tmp_path / "glove.safetensors"
    write_tensors(path, {name: torch.zeros(2) for name in names}, {"classes": ["a"], "tokenizer": "whitespace"})
    with pytest.raises(InputError, match=r"glove\.safetensors: not reviews .*dvc repro tensorize"):
        read_reviews(path)


def test_a_damaged_or_missing_file_is_refused(tmp_path):
    path = tmp_path / "train.safetensors"
    write_reviews(path, some_reviews())
    path.write_bytes(path.read_bytes()[:-1])
    for name in ("train.safetensors", "missing.safetensors"):
        with pytest.raises(InputError, match=name):
            read_reviews(tmp_path / name)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, [UNK]),
        (1, ["0"]),
        (8, ["0", "1", "2", "3", "4", "5", "6", "7"]),
        (9, ["0", "1", "3", "4", "5", "6", "7", "8"]),
        (20, ["0", "1", "14", "15", "16", "17", "18", "19"]),
    ],
)
def test_a_quarter_of_the_words_is_from_the_start_and_the_rest_from_the_end(count, expected):
    words = pa.array([["a"], [str(i) for i in range(count)], ["b"] * 30], pa.list_(pa.string()))
    assert words_read(words, 8, "start_and_end").to_pylist() == [["a"], expected, ["b"] * 8]
    first = [str(i) for i in range(min(count, 8))] or [UNK]
    assert words_read(words, 8, "start").to_pylist() == [["a"], first, ["b"] * 8]


def test_of_few_words_all_may_be_from_the_end():
    words = pa.array([["a", "b", "c", "d"]], pa.list_(pa.string()))
    assert words_read(words, 3, "start_and_end").to_pylist() == [["b", "c", "d"]]


def test_selected_reviews_are_those_of_the_rows():
    lengths = [3, 1, 4, 1, 5]
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    labels = torch.tensor([0, 1, 1, 0, 1])
    reviews = Reviews(torch.arange(14, dtype=torch.int32), offsets, labels, ["n", "p"], "whitespace", 9, "start")
    some = reviews.select(torch.tensor([4, 0, 3]))
    assert split(some.ids, some.offsets) == [[9, 10, 11, 12, 13], [0, 1, 2], [8]]
    assert (some.ids.dtype, some.offsets.dtype) == (torch.int32, torch.int64)
    assert some.labels.tolist() == [1, 0, 0]
    assert (some.classes, some.tokenizer, some.max_len, some.keep) == (["n", "p"], "whitespace", 9, "start")
