"""Tensors that come in parts are the same file as tensors that come at once; a hostile file is refused."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.core.files import InputError
from stages.core.tensors import read_tensors, write_in_parts, write_tensors
from tests.sources.hostile import HOSTILE, packed

ABOUT = {"classes": ["négatif", 'with "quotes"', "line\nbreak"], "max_len": 500}


@pytest.mark.parametrize("cuts", [[], [1], [0, 3, 3, 10], [10]])
def test_parts_are_written_as_the_whole_is(tmp_path: Path, cuts: list[int]) -> None:
    rows = np.arange(10)
    arrays = {
        "ids": rows.astype(np.int32),
        "offsets": rows,
        "vectors": np.linspace(0, 1, 30, dtype=np.float32).reshape(10, 3),
    }
    parts = [
        dict(zip(arrays, part, strict=True)) for part in zip(*(np.split(a, cuts) for a in arrays.values()), strict=True)
    ]
    written = write_in_parts(tmp_path / "parts", parts, ABOUT)
    assert written == dict.fromkeys(arrays, 10)
    write_tensors(tmp_path / "whole", {name: torch.from_numpy(array) for name, array in arrays.items()}, ABOUT)
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()
    assert read_tensors(tmp_path / "parts")[1] == ABOUT


def test_nothing_is_left_of_parts_that_end_in_an_error(tmp_path: Path) -> None:
    def parts() -> Iterator[dict[str, np.ndarray]]:
        yield {"ids": np.zeros(3, np.int32)}
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        write_in_parts(tmp_path / "ids", parts(), {})
    assert list(tmp_path.iterdir()) == []


def test_an_honest_file_of_that_form_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(packed({"a": ([2], [0, 8]), "b": ([1], [8, 12])}, bytes(12)))
    assert {name: tensor.tolist() for name, tensor in read_tensors(tmp_path / "file")[0].items()} == {
        "a": [0, 0],
        "b": [0],
    }


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match=r"file: .+\nmake it again with: dvc repro$"):
        read_tensors(tmp_path / "file")
