from collections.abc import Callable
from pathlib import Path

import pytest

from stages.vision.batches.images import Images, read_images
from tests.vision.tiny import SHAPES, write_split


@pytest.fixture
def split(tmp_path: Path) -> Callable[..., Images]:
    """Gives a split of `classes`, `each` pictures of every one."""

    def make(classes: int = 2, each: int = 5) -> Images:
        return read_images(write_split(tmp_path / "split.parquet", "train", sorted(list(SHAPES)[:classes]), each))

    return make
