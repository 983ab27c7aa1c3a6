import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stages.core.files import read_table
from stages.explain.overlay import HEAT, overlay
from stages.inference.device import Hardware
from stages.reporting.examples import SHADES, SIDE, data_uri, image_examples, review_examples
from stages.reporting.predictions import ModelPredictions
from stages.text.batches.reviews import read_reviews
from stages.text.models.registry import load_text_model
from stages.vision.batches.images import read_images
from stages.vision.networks import load_image_model
from tests.vision.tiny import Folder

CPU = Hardware(torch.device("cpu"), "fp32", 1)


def opened(address: str) -> Image.Image:
    kind, data = address.split(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("name", ["birnn", "textcnn"])
def test_a_reviews_words_are_shaded_by_their_attribution(trained: Path, name: str) -> None:
    reviews = read_reviews(trained / "artifacts/reviews/test.safetensors")
    table = read_table(trained / "data/imdb/test.parquet", ["id", "text"])
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5], [0.1, 0.9]])
    predictions = ModelPredictions(reviews.classes, probabilities, reviews.labels.numpy())
    first, long = review_examples(
        load_text_model(trained / "artifacts" / name), predictions, [0, 2], table, reviews, CPU
    )
    assert (first.id, first.actual, first.predicted, first.confidence) == ("test/0", "negative", "negative", 0.9)
    assert [word.text for word in first.words] == ["bad", "and", "dull"]
    assert [word.text for word in long.words] == table["text"][2].as_py().split(" ")
    assert [word.text for word in long.words if not word.known] == ["film", "with", "many", "unheard", "words"][1:]
    for example in (first, long):
        assert max(abs(word.shade) for word in example.words) == SHADES
        assert all(word.shade * word.added >= 0 for word in example.words)
        total = sum(word.added for word in example.words)
        assert total == pytest.approx(example.margin - example.baseline, abs=0.1 * abs(total) + 0.01)


def test_an_image_comes_as_the_network_sees_it_with_its_heat(trained_images: Folder) -> None:
    images = read_images(trained_images.test)
    probabilities = np.tile([0.2, 0.8], (len(images), 1))
    predictions = ModelPredictions(images.classes, probabilities, images.labels.numpy())
    loaded = load_image_model(trained_images.path / "finetune")
    examples = image_examples(loaded, predictions, [7, 0], images, CPU)
    assert [example.id for example in examples] == [images.ids[7], images.ids[0]]
    assert [(example.actual, example.predicted) for example in examples] == [("square", "square"), ("disc", "square")]
    for example in examples:
        assert example.heat is not None
        assert opened(example.view).size == opened(example.heat).size == (32, 32)
        assert example.view != example.heat
    assert image_examples(loaded, predictions, [], images, CPU) == []


def test_where_there_is_no_heat_the_image_is_grey_and_where_it_is_highest_it_is_coloured() -> None:
    image = Image.new("RGB", (4, 4), (200, 40, 40))
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 1
    pixels = np.asarray(overlay(image, heat)).astype(int)
    grey = int(np.asarray(image.convert("L"))[0, 0])
    assert (pixels[3, 3] == grey).all()
    brightest = np.array([252, 255, 164])  # of inferno
    np.testing.assert_allclose(pixels[0, 0], grey * (1 - HEAT) + brightest * HEAT, atol=2)


def test_a_large_image_is_made_small_and_a_small_one_left() -> None:
    assert opened(data_uri(Image.new("RGB", (800, 400)), SIDE)).size == (SIDE, SIDE // 2)
    assert opened(data_uri(Image.new("RGB", (32, 20)), SIDE)).size == (32, 20)
    assert opened(data_uri(Image.new("RGB", (800, 400)))).size == (800, 400)
