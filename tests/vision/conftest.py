from collections.abc import Callable
from pathlib import Path

import pytest

from stages.vision.pictures import Pictures, read_pictures
from tests.vision.tiny import SHAPES, write_half


@pytest.fixture
def half(tmp_path: Path) -> Callable[..., Pictures]:
    """Gives a half of `classes`, `each` pictures of every one."""

    def make(classes: int = 2, each: int = 5) -> Pictures:
        return read_pictures(write_half(tmp_path / "half.parquet", "train", sorted(list(SHAPES)[:classes]), each))

    return make
