"""Reviews on disk as tensorize leaves them."""

from pathlib import Path

from stages.text.ragged import Reviews, write_encoded
from stages.text.tokens import Encoded


def write_reviews(path: Path, reviews: Reviews) -> None:
    part = Encoded(reviews.ids.numpy(), reviews.offsets.diff().numpy(), reviews.labels.numpy())
    write_encoded(path, [part], reviews.classes, reviews.tokenizer, reviews.max_len)
