"""Write a network as one ONNX file, which runs without torch, and check it."""

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stages.core.files import InputError, replacing

TOLERANCE = 1e-4  # largest allowed difference between onnxruntime's and torch's probabilities
OPSET = 20  # of ONNX, from 2023: nothing here needs a later one


class Case(NamedTuple):
    """Inputs, and the model's probabilities for them, which the file must reproduce."""

    inputs: dict[str, np.ndarray]
    probabilities: Tensor  # fp32 (batch, classes)


def write_onnx(
    path: Path,
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    free: Mapping[str, Mapping[int, str]],
    about: Mapping[str, Any],
    cases: Iterable[Case],
) -> tuple[int, float]:
    """Write `network`, which maps `inputs` to probabilities, as ONNX, and check the file on `cases`.

    `inputs` is an example by the inputs' names. `free` names the dimensions of each input whose size may vary. `about`
    goes into the file's metadata, each value as JSON. Returns the number of examples checked, and the largest
    difference of a probability.

    Raises InputError, and leaves no file, if a difference exceeds TOLERANCE, or if a library is missing.
    """
    try:
        import onnxruntime
        from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    except ImportError as problem:
        raise InputError(f"{problem}; get it with: uv run --extra export sentidog export …") from problem
    with warnings.catch_warnings(action="ignore"):  # torch.onnx warns of its own deprecated calls
        program = torch.onnx.export(
            network.eval(), tuple(inputs.values()), input_names=list(inputs), output_names=["probabilities"],
            dynamic_shapes={name: dict(sizes) for name, sizes in free.items()},
            dynamo=True, opset_version=OPSET, verbose=False,
        )  # fmt: skip
    assert program is not None  # it is None only without dynamo
    ClearMetadataAndDocStringPass()(program.model)  # removes the stack traces that torch.onnx adds to each node
    program.model.metadata_props.update({key: json.dumps(value, ensure_ascii=False) for key, value in about.items()})
    with replacing(path) as temporary:
        program.save(temporary, external_data=False)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        differences = [
            np.abs(np.asarray(session.run(None, case.inputs)[0]) - case.probabilities.numpy()).max(1) for case in cases
        ]  # each (batch,)
        count, worst = sum(map(len, differences)), float(np.concatenate(differences).max())  # NaN if any is NaN
        if not worst <= TOLERANCE:
            raise InputError(f"{path}: not written: onnxruntime's probabilities differ from torch's by {worst:.2g}")
    return count, worst
