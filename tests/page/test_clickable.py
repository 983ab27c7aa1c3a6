from pathlib import Path

import pyarrow as pa

from stages.core.files import write_table
from stages.page.clickable import short_reviews, some_pictures
from stages.vision.pictures import read_pictures
from tests.vision.tiny import write_half


def write_texts(path: Path, classes: str) -> Path:
    rows = [(f"{label} {'x' * length}", label) for label in classes for length in (9, 1, 5, 3)]
    write_table(path, pa.table(list(zip(*rows, strict=True)), names=["text", "label"]))
    return path


def test_the_shortest_reviews_of_each_class(tmp_path: Path) -> None:
    assert short_reviews(write_texts(tmp_path / "two.parquet", "ba"), 4) == ["a x", "a xxx", "b x", "b xxx"]
    assert short_reviews(write_texts(tmp_path / "three.parquet", "abc"), 4) == ["a x", "b x", "c x"]
    assert short_reviews(write_texts(tmp_path / "many.parquet", "abcdefg"), 2) == ["a x", "b x"]


def test_pictures_of_every_class(tmp_path: Path) -> None:
    path = write_half(tmp_path / "test.parquet", "test", ["bar", "disc", "frame"], 4)
    pictures = read_pictures(path)
    every = [encoded.as_py() for encoded in pictures.encoded]
    found = [pictures.ids[every.index(encoded)] for encoded in some_pictures(path, 3)]
    assert found == ["test/bar/0.png", "test/disc/0.png", "test/frame/0.png"]
    assert some_pictures(path, 99) == every
