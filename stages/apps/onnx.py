"""A trained model as one ONNX file that any runtime reads, without torch."""

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stages.core.files import InputError, replacing

TOLERANCE = 1e-4  # largest difference between the two probabilities
OPSET = 20  # of ONNX, from 2023: nothing here needs a later one


class Case(NamedTuple):
    """What a model predicted, for the file to reproduce."""

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
    """Write `network`, which maps `inputs` to probabilities, as ONNX, and check it on `cases`.

    `inputs` are an example, `free` the names of the dimensions whose size is free. `about` goes into the file's
    metadata, each value as JSON. Returns the number of examples checked, and the largest difference found.

    Raises InputError, and leaves no file, if the difference is more than TOLERANCE, or if a library is missing.
    """
    try:
        import onnxruntime
        from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    except ImportError as problem:
        raise InputError(f"{problem}; get it with: uv run --extra export sentidog export …") from problem
    with warnings.catch_warnings(action="ignore"):  # of the translation's own old-fashioned calls
        program = torch.onnx.export(
            network.eval(), tuple(inputs.values()), input_names=list(inputs), output_names=["probabilities"],
            dynamic_shapes={name: dict(sizes) for name, sizes in free.items()},
            dynamo=True, opset_version=OPSET, verbose=False,
        )  # fmt: skip
    assert program is not None  # as it is with dynamo
    ClearMetadataAndDocStringPass()(program.model)  # where in the code each number was computed
    program.model.metadata_props.update({key: json.dumps(value, ensure_ascii=False) for key, value in about.items()})
    with replacing(path) as temporary:
        program.save(temporary, external_data=False)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        differences = [
            np.abs(np.asarray(session.run(None, case.inputs)[0]) - case.probabilities.numpy()).max(1) for case in cases
        ]  # each (batch,)
        count, worst = sum(map(len, differences)), float(np.concatenate(differences).max())  # NaN, if one is
        if not worst <= TOLERANCE:
            raise InputError(f"{path}: not written: onnxruntime's probabilities differ from torch's by {worst:.2g}")
    return count, worst
