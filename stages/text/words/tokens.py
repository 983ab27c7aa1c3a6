"""Tokenizers: from texts to words, a column at a time."""

from collections.abc import Callable

import pyarrow as pa
from pyarrow import compute

Tokenizer = Callable[[list[str]], pa.ListArray]  # texts -> the words of each


def tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer called `name` in params.yaml."""
    return {"whitespace": whitespace, "basic_english": basic_english, "characters": characters}[name]


def whitespace(texts: list[str]) -> pa.ListArray:
    """The textbook's words: newlines dropped, lower case, split on the single space."""
    # Python's lower(), which differs from Arrow's on a few letters: the textbook's vocabulary is counted with it.
    return compute.split_pattern(pa.array([text.replace("\n", "").lower() for text in texts], pa.string()), " ")


def basic_english(texts: list[str]) -> pa.ListArray:
    """Torchtext's words: lower case, punctuation split off."""
    from torchtext.data.utils import get_tokenizer  # imports torch, which the textbook's words do not need

    tokenize = get_tokenizer("basic_english")
    return pa.array([tokenize(text) for text in texts], pa.list_(pa.string()))


def characters(texts: list[str]) -> pa.ListArray:
    """Every character a word, lower case, without white space: for languages without spaces between words."""
    return pa.array([list("".join(text.lower().split())) for text in texts], pa.list_(pa.string()))
