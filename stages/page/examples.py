"""Reviews and pictures to look at, with what the model's answer rests on."""

import base64
import io
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps
from torch import nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.core.device import Hardware
from stages.page.answers import Answers
from stages.text.influence import influence
from stages.text.ragged import Reviews
from stages.text.tokens import UNK, UNK_INDEX, tokenizer
from stages.vision.augmentation import central_view
from stages.vision.heatmap import heatmaps
from stages.vision.networks import Classifier
from stages.vision.pictures import Pictures

SHADES = 5  # of a word's influence, the strongest in each review being the darkest
LARGEST = 160  # pixels of a picture's side in the page
HEAT = 0.7  # of the colour where a picture's heat is highest


class Word(NamedTuple):
    text: str
    shade: int  # -SHADES to SHADES: against or for the class that is answered
    added: float  # to the margin of that class
    known: bool  # in the vocabulary


@dataclass(frozen=True)
class Example:
    """A test example and a model's answer."""

    id: str
    actual: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class ReviewExample(Example):
    words: list[Word]
    margin: float
    baseline: float


@dataclass(frozen=True)
class PictureExample(Example):
    view: str  # data: URI, what the network sees
    heat: str | None  # data: URI, the same with its heat map


def review_examples(
    loaded: tuple[nn.Module, dict[str, Any]],
    answers: Answers,
    rows: list[int],
    table: pa.Table,
    reviews: Reviews,
    hardware: Hardware,
) -> list[ReviewExample]:
    """Return the reviews of `rows` of the test half, `table` with id and text, `reviews` as they were read."""
    model, config = loaded
    tokenize = tokenizer(config["tokenizer"])
    examples = []
    for row in rows:
        ids = reviews[row]
        found = influence(model, config, ids, int(answers.predicted[row]), hardware)
        texts = tokenize([table["text"][row].as_py()])[0].as_py()[: len(ids)] or [UNK]
        added = F.pad(found.words, (0, len(ids) - len(found.words))).tolist()  # what was not read adds nothing
        strongest = max(*map(abs, added), 1e-6)
        words = [
            Word(text or "␣", round(SHADES * addend / strongest), addend, known)
            for text, addend, known in zip(texts, added, (ids != UNK_INDEX).tolist(), strict=True)
        ]
        answer = _answer(table["id"][row].as_py(), answers, row)
        examples.append(ReviewExample(*answer, words, found.margin, found.baseline))
    return examples


def picture_examples(
    loaded: tuple[Classifier, dict[str, Any]], answers: Answers, rows: list[int], pictures: Pictures, hardware: Hardware
) -> list[PictureExample]:
    """Return the pictures of `rows` of the test half."""
    classifier, config = loaded
    chosen = Pictures(
        [pictures.ids[row] for row in rows],
        pictures.labels[rows],
        pictures.classes,
        pictures.encoded.take(pa.array(rows, pa.int64())),
    )
    view = central_view(config["image_size"])
    heat = heatmaps(classifier, config, chosen, hardware) if rows else None
    examples = []
    for place, row in enumerate(rows):
        seen = view(chosen.decode(place))
        heated = None if heat is None else data_uri(heat_over(seen, heat[place].numpy()), LARGEST)
        examples.append(PictureExample(*_answer(pictures.ids[row], answers, row), data_uri(seen, LARGEST), heated))
    return examples


def _answer(name: str, answers: Answers, row: int) -> tuple[str, str, str, float]:
    actual, predicted = (answers.classes[int(some[row])] for some in (answers.labels, answers.predicted))
    return name, actual, predicted, float(answers.confidence[row])


def heat_over(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """Return the picture in grey, and over it the heat (height, width), 0 to 1, in colour."""
    grey = np.asarray(picture.convert("L").convert("RGB"), np.float32)
    colour = matplotlib.colormaps["inferno"](heat)[:, :, :3] * 255
    weight = HEAT * heat[:, :, None]
    return Image.fromarray((grey * (1 - weight) + colour * weight).round().astype(np.uint8))


def data_uri(picture: Image.Image, largest: int | None = None) -> str:
    """Return the picture, no side longer than `largest` pixels, as an address that holds it."""
    if largest and max(picture.size) > largest:
        picture = ImageOps.contain(picture, (largest, largest))
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "WEBP", quality=82, method=6)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
