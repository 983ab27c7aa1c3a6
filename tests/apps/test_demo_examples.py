from pathlib import Path

import pyarrow as pa

from stages.apps.demo_examples import evenly_spread_images, short_reviews
from stages.core.files import write_table
from stages.sample.examples import EXAMPLE_REVIEWS, example_images
from stages.vision.batches.images import read_images
from tests.vision.tiny import write_split


def write_texts(path: Path, classes: str) -> Path:
    rows = [(f"{label} {'x' * length}", label) for label in classes for length in (9, 1, 5, 3)]
    write_table(path, pa.table(list(zip(*rows, strict=True)), names=["text", "label"]))
    return path


def test_the_shortest_reviews_of_each_class(tmp_path: Path) -> None:
    assert short_reviews(write_texts(tmp_path / "two.parquet", "ba"), 4) == ["a x", "a xxx", "b x", "b xxx"]
    assert short_reviews(write_texts(tmp_path / "three.parquet", "abc"), 4) == ["a x", "b x", "c x"]
    assert short_reviews(write_texts(tmp_path / "many.parquet", "abcdefg"), 2) == ["a x", "b x"]


def test_images_of_every_class(tmp_path: Path) -> None:
    path = write_split(tmp_path / "test.parquet", "test", ["bar", "disc", "frame"], 4)
    images = read_images(path)
    every = [encoded.as_py() for encoded in images.encoded]
    found = [images.ids[every.index(encoded)] for encoded in evenly_spread_images(path, 3)]
    assert found == ["test/bar/0.png", "test/disc/0.png", "test/frame/0.png"]
    assert evenly_spread_images(path, 99) == every


def test_without_a_test_split_the_examples_are_made_up(tmp_path: Path) -> None:
    assert short_reviews(tmp_path / "none.parquet", 6) == list(EXAMPLE_REVIEWS)
    assert evenly_spread_images(tmp_path / "none.parquet", 3) == example_images(3)
