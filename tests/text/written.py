"""Reviews on disk as tensorize leaves them, and in batches."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from stages.inference.config import Padding
from stages.inference.device import Hardware
from stages.text.batches.review_batches import ReviewBatches
from stages.text.batches.reviews import Reviews
from stages.text.words.encoding import Encoded, encode, words_read, write_encoded
from stages.text.words.tokens import tokenizer


def encode_words(
    words: pa.ListArray, vocabulary: list[str], max_len: int, keep: str = "start"
) -> tuple[Tensor, Tensor]:
    """Return ids int32 (tokens,) and offsets int64 (texts + 1,)."""
    ids, lengths = encode(words_read(words, max_len, keep), pa.array(vocabulary, pa.string()))
    return torch.from_numpy(ids.copy()), torch.from_numpy(np.concatenate([[0], lengths.cumsum(dtype=np.int64)]))


def encode_texts(
    texts: list[str], vocabulary: list[str], max_len: int, name: str = "whitespace"
) -> tuple[Tensor, Tensor]:
    return encode_words(tokenizer(name)(texts), vocabulary, max_len)


def write_reviews(path: Path, reviews: Reviews) -> None:
    held_out = torch.empty(0, dtype=torch.int64) if reviews.validation is None else reviews.validation
    part = Encoded(reviews.ids.numpy(), reviews.offsets.diff().numpy(), reviews.labels.numpy(), held_out.numpy())
    write_encoded(path, [part], reviews.classes, reviews.tokenizer, reviews.max_len, reviews.keep)


def review_batches(
    reviews: Reviews,
    batch_size: int,
    device: torch.device,
    *,
    seed: int | None,
    mask_padding: bool = True,
    pad_to: int | None = None,
) -> ReviewBatches:
    hardware = Hardware(device, "fp32", 1)
    return ReviewBatches(reviews, batch_size, hardware, seed=seed, padding=Padding(mask_padding, pad_to))
