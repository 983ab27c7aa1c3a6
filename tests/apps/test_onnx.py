import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from stages.apps.onnx import TOLERANCE, Case, write_onnx
from stages.core.files import InputError

INPUTS = {"numbers": torch.zeros(2, 3)}
FREE = {"numbers": {0: "batch"}}


class Shares(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 2)
        self.dropout = nn.Dropout()  # which must be off

    def forward(self, numbers: Tensor) -> Tensor:
        return self.dropout(self.layer(numbers)).softmax(1)


def case(rows: int, wrong_by: float = 0) -> Case:
    torch.manual_seed(rows)
    numbers = torch.randn(rows, 3)
    with torch.no_grad():
        return Case({"numbers": numbers.numpy()}, Shares().eval()(numbers) + wrong_by)


def test_the_file_predicts_what_the_network_does(tmp_path: Path) -> None:
    count, worst = write_onnx(tmp_path / "a.onnx", Shares(), INPUTS, FREE, {}, [case(1), case(5)])
    assert count == 6
    assert worst < 1e-6


def test_a_difference_is_measured_and_refused_and_no_file_left(tmp_path: Path) -> None:
    _, worst = write_onnx(tmp_path / "a.onnx", Shares(), INPUTS, FREE, {}, [case(4, TOLERANCE / 2), case(2)])
    assert worst == pytest.approx(TOLERANCE / 2, rel=0.01)
    with pytest.raises(InputError, match=r"b\.onnx: not written: .* differ from torch's by 0\.0002"):
        write_onnx(tmp_path / "b.onnx", Shares(), INPUTS, FREE, {}, [case(2), case(4, 2 * TOLERANCE)])
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_what_is_not_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="differ from torch's by nan"):
        write_onnx(tmp_path / "a.onnx", Shares(), INPUTS, FREE, {}, [case(2, np.nan), case(2)])


def test_metadata_is_json_and_the_file_holds_no_place_in_the_code(tmp_path: Path) -> None:
    about = {"classes": ["ja", "nein, „doch“"], "size": 3}
    write_onnx(tmp_path / "a.onnx", Shares(), INPUTS, FREE, about, [case(2)])
    found = onnxruntime.InferenceSession(tmp_path / "a.onnx").get_modelmeta().custom_metadata_map
    assert {key: json.loads(value) for key, value in found.items()} == about
    assert b".py" not in (tmp_path / "a.onnx").read_bytes()


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_onnx(tmp_path / name, Shares(), INPUTS, FREE, {"name": "x"}, [case(2)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_without_onnxruntime_there_is_one_error_that_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"onnxruntime.*uv run --extra export sentidog export"):
        write_onnx(tmp_path / "a.onnx", Shares(), INPUTS, FREE, {}, [case(2)])
