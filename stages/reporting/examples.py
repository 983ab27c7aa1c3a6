"""Test examples for the report, each with the explanation of the model's prediction."""

import base64
import io
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import torch
from PIL import Image, ImageOps
from torch import nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.explain.grad_cam import heat_maps
from stages.explain.overlay import overlay
from stages.explain.reviews import attribute
from stages.inference.config import ImageConfig, TextConfig
from stages.inference.device import Hardware
from stages.reporting.predictions import ModelPredictions
from stages.text.batches.reviews import Reviews
from stages.text.special import UNK_INDEX
from stages.text.words.encoding import words_read
from stages.text.words.tokens import tokenizer
from stages.vision.batches.augmentation import central_view
from stages.vision.batches.images import Images
from stages.vision.networks import Classifier

SHADES = 5  # of a word's attribution; the strongest in each review is the darkest
SIDE = 160  # pixels of an image in the page, at most


class Word(NamedTuple):
    text: str
    shade: int  # from -SHADES, against the predicted class, to SHADES, for it
    added: float  # to the margin of that class
    known: bool  # in the vocabulary


@dataclass(frozen=True)
class ShownExample:
    id: str
    actual: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class ReviewExample(ShownExample):
    words: list[Word]
    margin: float
    baseline: float
    ngrams: list[tuple[str, float]]  # those that add most, and how much


@dataclass(frozen=True)
class ImageExample(ShownExample):
    view: str  # data: URI of what the network sees
    heat: str | None  # data: URI of the same with its heat map


def review_examples(
    loaded: tuple[nn.Module, TextConfig],
    predictions: ModelPredictions,
    rows: list[int],
    table: pa.Table,
    reviews: Reviews,
    hardware: Hardware,
) -> list[ReviewExample]:
    """Return the reviews of `rows` of the test split; `table` has id and text, `reviews` the indices that were read."""
    model, config = loaded
    tokenize = tokenizer(config.tokenizer)
    examples = []
    for row in rows:
        ids = reviews[row]
        found = attribute(model, config, ids, int(predictions.predicted[row]), hardware)
        texts = words_read(tokenize([table["text"][row].as_py()]), config.max_len, config.keep)[0].as_py()
        added = F.pad(found.words, (0, len(ids) - len(found.words))).tolist()  # words that were not read add nothing
        strongest = max(*map(abs, added), 1e-6)
        words = [
            Word(text or "␣", round(SHADES * value / strongest), value, known)
            for text, value, known in zip(texts, added, (ids != UNK_INDEX).tolist(), strict=True)
        ]
        facts = _facts(table["id"][row].as_py(), predictions, row)
        ngrams = [(" ".join(texts[start : start + size]), value) for start, size, value in found.ngrams]
        examples.append(ReviewExample(*facts, words, found.margin, found.baseline, ngrams))
    return examples


def image_examples(
    loaded: tuple[Classifier, ImageConfig],
    predictions: ModelPredictions,
    rows: list[int],
    images: Images,
    hardware: Hardware,
) -> list[ImageExample]:
    """Return the images of `rows` of the test split."""
    classifier, config = loaded
    chosen = images.select(torch.tensor(rows, dtype=torch.int64))
    view = central_view(config.image_size)
    heat = heat_maps(classifier, config, chosen, hardware) if rows else None
    examples = []
    for place, row in enumerate(rows):
        seen = view(chosen.decode(place))
        heated = None if heat is None else data_uri(overlay(seen, heat[place].numpy()), SIDE)
        examples.append(ImageExample(*_facts(images.ids[row], predictions, row), data_uri(seen, SIDE), heated))
    return examples


def _facts(name: str, predictions: ModelPredictions, row: int) -> tuple[str, str, str, float]:
    actual, predicted = (predictions.classes[int(side[row])] for side in (predictions.labels, predictions.predicted))
    return name, actual, predicted, float(predictions.confidence[row])


def data_uri(image: Image.Image, side: int | None = None) -> str:
    """Return the image, reduced to at most `side` pixels on each side, as a data: URI."""
    if side and max(image.size) > side:
        image = ImageOps.contain(image, (side, side))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", quality=82, method=6)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
