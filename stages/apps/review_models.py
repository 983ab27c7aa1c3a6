"""Texts to classes and probabilities, by trained models alone."""

from collections.abc import Iterable
from pathlib import Path

import torch

from stages.apps.predictions import Prediction, by_class
from stages.apps.review_lines import Review
from stages.evaluation.titles import ENSEMBLE, TEXT_MODELS
from stages.inference.config import TextConfig
from stages.inference.device import Hardware
from stages.inference.predict import mean_of_probabilities, predict
from stages.text.batches.review_batches import EVAL_BATCH, ReviewBatches
from stages.text.batches.reviews import Reviews
from stages.text.models.registry import load_text_model
from stages.text.special import UNK_INDEX
from stages.text.words.encoding import encode, word_indices, words_read
from stages.text.words.tokens import tokenizer
from stages.text.words.vocabulary import read_vocabulary


class ReviewModels:
    """The trained models of these names, from the folder that dvc repro fills; the ensemble needs all of them."""

    examples = "reviews"
    batch_size = EVAL_BATCH

    def __init__(self, artifacts: Path, names: Iterable[str], hardware: Hardware) -> None:
        self.hardware = hardware
        self.index = word_indices(read_vocabulary(artifacts / "vocab.parquet").words)
        self.names = list(names)
        needed = TEXT_MODELS if ENSEMBLE in self.names else self.names
        self.models = {name: load_text_model(artifacts / name) for name in needed}
        for model, _ in self.models.values():
            model.to(hardware.device)

    def predict(self, examples: list[Review]) -> list[Prediction]:
        texts = [review.text for review in examples]
        all_logits, warnings = {}, []
        for name, (model, config) in self.models.items():
            reviews = self.encode(texts, config)
            batches = ReviewBatches(reviews, EVAL_BATCH, self.hardware, seed=None, padding=config.padding)
            all_logits[name], _ = predict(model, batches, self.hardware, name, config.temperature)
            warnings = [_warning(text, reviews[i]) for i, text in enumerate(texts)]
        if ENSEMBLE in self.names:
            all_logits[ENSEMBLE] = mean_of_probabilities(list(all_logits.values()))
        by_model = {name: by_class(config.classes, all_logits[name].softmax(1)) for name in self.names}
        return [
            Prediction(dict(zip(by_model, rows, strict=True)), warning)
            for warning, *rows in zip(warnings, *by_model.values(), strict=True)
        ]

    def encode(self, texts: list[str], config: TextConfig) -> Reviews:
        """Return the texts as the model of `config` reads them; labels are all 0 and mean nothing."""
        words = words_read(tokenizer(config.tokenizer)(texts), config.max_len, config.keep)
        ids, lengths = (torch.from_numpy(array.copy()) for array in encode(words, self.index))
        offsets = torch.nn.functional.pad(lengths.cumsum(0, dtype=torch.int64), (1, 0))
        labels = torch.zeros(len(texts), dtype=torch.int64)
        return Reviews(ids, offsets, labels, config.classes, config.tokenizer, config.max_len, config.keep)


def _warning(text: str, ids: torch.Tensor) -> str | None:
    """Say so where most words of a review, ids (words,), are unknown: its prediction means little."""
    unknown, words, shown = int((ids == UNK_INDEX).sum()), len(ids), text[:60]
    if unknown == words:
        return f"no word of {shown!r} is in the vocabulary"
    return f"{unknown} of the {words} words of {shown!r} are not in the vocabulary" if 2 * unknown > words else None
