"""The trained text models, and their predictions for the user's reviews."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
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
from stages.text.reading.breaks import one_line
from stages.text.special import UNK_INDEX
from stages.text.words.encoding import encode, words_read
from stages.text.words.tokens import tokenizer
from stages.text.words.vocabulary import read_vocabulary


class ReviewModels:
    """The trained models called `names`, from the folder that dvc repro fills. The ensemble needs all text models."""

    examples = "reviews"
    batch_size = EVAL_BATCH

    def __init__(self, artifacts: Path, names: Iterable[str], hardware: Hardware) -> None:
        self.hardware = hardware
        self.vocabulary = pa.array(read_vocabulary(artifacts / "vocab.parquet").words, pa.string())
        self.names = list(names)
        needed = TEXT_MODELS if ENSEMBLE in self.names else self.names
        self.models = {name: load_text_model(artifacts / name) for name in needed}
        for model, _ in self.models.values():
            model.to(hardware.device)

    def predict(self, examples: list[Review]) -> list[Prediction]:
        texts = [review.text for review in examples]
        all_logits = {}
        reviews_by_reading: dict[tuple[str, int, str], Reviews] = {}
        for name, (model, config) in self.models.items():
            reading = (config.tokenizer, config.max_len, config.keep)
            if reading not in reviews_by_reading:  # usually the same for all models
                reviews_by_reading[reading] = self.encode(texts, config)
            reviews = reviews_by_reading[reading]
            batches = ReviewBatches(reviews, EVAL_BATCH, self.hardware, seed=None, padding=config.padding)
            all_logits[name], _ = predict(model, batches, self.hardware, name, config.temperature)
        if ENSEMBLE in self.names:
            all_logits[ENSEMBLE] = mean_of_probabilities(list(all_logits.values()))
        by_model = {name: by_class(config.classes, all_logits[name].softmax(1)) for name in self.names}
        *_, reviews = reviews_by_reading.values()
        return [
            Prediction(dict(zip(by_model, rows, strict=True)), warning)
            for warning, *rows in zip(_warnings(texts, reviews), *by_model.values(), strict=True)
        ]

    def words(self, texts: list[str], config: TextConfig) -> pa.ListArray:
        """Return the words that the model of `config` reads of each text."""
        lines = [one_line(text) for text in texts]
        return words_read(tokenizer(config.tokenizer)(lines), config.max_len, config.keep)

    def encode(self, texts: list[str], config: TextConfig) -> Reviews:
        """Return the texts as the model of `config` reads them; labels are all 0 and mean nothing."""
        ids, lengths = (torch.from_numpy(array.copy()) for array in encode(self.words(texts, config), self.vocabulary))
        offsets = torch.nn.functional.pad(lengths.cumsum(0, dtype=torch.int64), (1, 0))
        labels = torch.zeros(len(texts), dtype=torch.int64)
        return Reviews(ids, offsets, labels, config.classes, config.tokenizer, config.max_len, config.keep)


def _warnings(texts: list[str], reviews: Reviews) -> Iterator[str | None]:
    """Yield for each text a warning if most of its words are unknown, else None."""
    before = torch.nn.functional.pad((reviews.ids == UNK_INDEX).cumsum(0), (1, 0))  # unknown words before each word
    counts = zip(before[reviews.offsets].diff().tolist(), reviews.offsets.diff().tolist(), strict=True)
    for text, (unknown, words) in zip(texts, counts, strict=True):
        shown = text[:60]
        if unknown == words:
            yield f"no word of {shown!r} is in the vocabulary"
        elif 2 * unknown > words:
            yield f"{unknown} of the {words} words of {shown!r} are not in the vocabulary"
        else:
            yield None
