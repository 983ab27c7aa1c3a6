"""Texts that occur in both splits, ignoring case and white space. They make the test split too easy."""

import hashlib
from collections.abc import Iterable


def same_text(text: str) -> bytes:
    """Return a key that ignores a text's case and white space."""
    return hashlib.blake2b(" ".join(text.lower().split()).encode(), digest_size=16).digest()


def repeated(train: Iterable[str], test: Iterable[str]) -> list[int]:
    """Return the rows, from 0, of the test texts that occur among the training texts."""
    known = set(map(same_text, train))
    return [place for place, text in enumerate(test) if same_text(text) in known]
