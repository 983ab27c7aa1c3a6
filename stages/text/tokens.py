"""From texts to words, and to their indices, a column at a time."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import compute

UNK, PAD = "<unk>", "<pad>"
UNK_INDEX, PAD_INDEX = 0, 1

Tokenizer = Callable[[list[str]], pa.ListArray]  # texts -> the words of each


class Encoded(NamedTuple):
    ids: np.ndarray  # int32 (tokens,): all reviews' word indices, one review after the other
    lengths: np.ndarray  # int32 (reviews,): words of each
    labels: np.ndarray  # int64 (reviews,): indices of classes


def tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer called `name` in params.yaml."""
    return {"whitespace": whitespace, "basic_english": basic_english, "characters": characters}[name]


def whitespace(texts: list[str]) -> pa.ListArray:
    """The textbook's words: newlines dropped, lower case, split on the single space."""
    # Python's lower(), which differs from Arrow's on a few letters: the textbook's vocabulary is counted with it.
    return compute.split_pattern(pa.array([text.replace("\n", "").lower() for text in texts], pa.string()), " ")


def basic_english(texts: list[str]) -> pa.ListArray:
    """Torchtext's words: lower case, punctuation split off."""
    from torchtext.data.utils import get_tokenizer  # brings torch along, which the textbook's words do not need

    tokenize = get_tokenizer("basic_english")
    return pa.array([tokenize(text) for text in texts], pa.list_(pa.string()))


def characters(texts: list[str]) -> pa.ListArray:
    """Every character a word, lower case, without white space: for languages that do not put spaces between words."""
    return pa.array([list("".join(text.lower().split())) for text in texts], pa.list_(pa.string()))


def index_of(words: list[str]) -> dict[str, int]:
    return {word: place for place, word in enumerate(words)}


def indices(words: pa.ListArray, index: Mapping[str, int], max_len: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ids int32 (tokens,) of each text's first `max_len` words, one text after the other, and lengths (texts,).

    `index` gives each word of the vocabulary its place. A word outside it is <unk>, a text of no words a single <unk>.
    """
    wordless = compute.equal(compute.list_value_length(words), 0)
    words = compute.if_else(wordless, pa.scalar([UNK], words.type), words)
    words = compute.list_slice(words, 0, max_len)
    # Each distinct word is looked up once, in a table made once: Arrow's index_in would make one of its own each time
    coded = words.flatten().dictionary_encode()
    known = np.array([index.get(word, UNK_INDEX) for word in coded.dictionary.to_pylist()], np.int32)
    return known[coded.indices], compute.list_value_length(words).to_numpy()
