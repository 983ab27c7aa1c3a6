"""Tokenizers: each maps a list of texts to the words of each text."""

from collections.abc import Callable

import pyarrow as pa
from pyarrow import compute

Tokenizer = Callable[[list[str]], pa.ListArray]


def tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer called `name` in params.yaml."""
    return {"whitespace": whitespace, "basic_english": basic_english, "characters": characters}[name]


def whitespace(texts: list[str]) -> pa.ListArray:
    """Split as the textbook does: drop newlines, lower-case, split on the single space."""
    # Python's lower(), as in the textbook; Arrow's differs on a few letters
    return compute.split_pattern(pa.array([text.replace("\n", "").lower() for text in texts], pa.string()), " ")


def basic_english(texts: list[str]) -> pa.ListArray:
    """Split as torchtext's tokenizer of this name does: lower-case, split punctuation off."""
    from torchtext.data.utils import get_tokenizer  # imported here, because it imports torch

    tokenize = get_tokenizer("basic_english")
    return pa.array([tokenize(text) for text in texts], pa.list_(pa.string()))


def characters(texts: list[str]) -> pa.ListArray:
    """Split into characters: lower-case, drop white space. For languages without spaces between words."""
    return pa.array([list("".join(text.lower().split())) for text in texts], pa.list_(pa.string()))
