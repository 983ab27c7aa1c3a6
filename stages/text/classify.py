"""Texts to classes and probabilities, with trained models alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stages.core.answers import Answers, by_class
from stages.core.device import Hardware
from stages.core.fit import predict
from stages.text.batches import TEST_BATCH, ReviewBatches
from stages.text.lines import Review
from stages.text.models import load
from stages.text.ragged import Reviews, encode
from stages.text.tokens import UNK_INDEX, tokenizer
from stages.text.vocabulary import read_vocabulary


class ReviewModels:
    """The trained models of these names, from the folder that dvc repro fills."""

    examples = "reviews"
    batch_size = TEST_BATCH

    def __init__(self, artifacts: Path, names: Iterable[str], hardware: Hardware) -> None:
        self.hardware = hardware
        self.vocabulary = read_vocabulary(artifacts / "vocab.parquet").words
        self.models = {name: load(artifacts / name) for name in names}
        for model, _ in self.models.values():
            model.to(hardware.device)

    def answer(self, some: list[Review]) -> list[Answers]:
        """Return what the models answer about each review."""
        by_model, known = {}, []
        for name, (model, config) in self.models.items():
            texts = [review.text for review in some]
            probabilities, known = classify(model, config, self.vocabulary, texts, self.hardware)
            by_model[name] = by_class(config, probabilities)
        return [
            Answers(
                dict(zip(by_model, answers, strict=True)),
                None if understood else f"no word of {review.text[:60]!r} is in the vocabulary",
            )
            for review, understood, *answers in zip(some, known, *by_model.values(), strict=True)
        ]


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
