"""Texts that are the same but for case and white space: on both sides of a split they make a test easy."""

import hashlib
from collections.abc import Iterable


def same_text(text: str) -> bytes:
    """Return a key that is equal for texts which differ by case and white space alone."""
    return hashlib.blake2b(" ".join(text.lower().split()).encode(), digest_size=16).digest()


def repeated(train: Iterable[str], test: Iterable[str]) -> list[int]:
    """Return which of the test texts occur among the training texts, as places from 0."""
    known = set(map(same_text, train))
    return [place for place, text in enumerate(test) if same_text(text) in known]
