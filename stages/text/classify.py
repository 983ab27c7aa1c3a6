"""Texts to classes and probabilities, with a trained model alone."""

from typing import Any

import torch
from torch import Tensor, nn

from stages.core.device import Hardware
from stages.core.fit import predict
from stages.text.batches import TEST_BATCH, ReviewBatches
from stages.text.ragged import Reviews, encode
from stages.text.tokens import UNK_INDEX, tokenizer


def classify(
    model: nn.Module, config: dict[str, Any], vocabulary: list[str], texts: list[str], hardware: Hardware
) -> tuple[Tensor, list[bool]]:
    """Return probabilities (texts, classes), and for each text whether any of its words is in the vocabulary."""
    ids, offsets = encode(tokenizer(config["tokenizer"])(texts), vocabulary, config["max_len"])
    labels = torch.zeros(len(texts), dtype=torch.int64)  # nobody knows them, and nothing looks at them
    reviews = Reviews(ids, offsets, labels, config["classes"], config["tokenizer"], config["max_len"])
    batches = ReviewBatches(reviews, TEST_BATCH, hardware.device, seed=None, **config["padding"])
    logits, _ = predict(model, batches, hardware, config["model"])
    return logits.softmax(1), [bool((reviews[i] != UNK_INDEX).any()) for i in range(len(texts))]
