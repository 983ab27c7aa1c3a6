"""A network's weights from outside: a file of torch.save's or safetensors, read so that no code in it can run."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from stages.core.files import InputError
from stages.vision.networks import check_fit

WRAPPINGS = ("state_dict", "model_state_dict", "model")  # keys under which training scripts save it
EXPECTED = "expected a state dict, as torch.save(model.state_dict(), file) or safetensors write it"

_WRAPPED = re.compile(r"((module|_orig_mod)\.)+")  # prefixes of DataParallel and torch.compile
_RENAMED = (  # names in torchvision's older files, and today's
    (re.compile(r"(\.denselayer\d+\.(norm|conv))\.([12]\.)"), r"\1\3"),
    (re.compile(r"(\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(\.mlp)\.linear_2\."), r"\1.3."),
)


def read_weights(file: Path, arch: str) -> tuple[dict[str, Tensor], int]:
    """Return the state dict of an `arch`, its floats fp32, on the CPU, and the network's number of outputs.

    It may be nested in one of WRAPPINGS, and its names may have the prefixes of DataParallel and torch.compile.

    Raises InputError for a file that holds anything but tensors, for weights of another architecture and for
    numbers that are not finite.
    """
    state = _state_dict(_load(file), file)
    outputs = check_fit(arch, state, file)
    weights = {}
    for name, tensor in state.items():
        # A copy, because safetensors cannot write tensors that share memory
        dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
        weights[name] = tensor.detach().to(dtype, copy=True)
        if not weights[name].isfinite().all():
            raise InputError(f"{file}: {name}: not all of its numbers are finite in fp32; get another file")
    return weights, outputs


def _load(file: Path) -> Any:
    try:
        with file.open("rb") as opened:
            start = opened.read(9)
        if start[8:] == b"{":  # safetensors: eight bytes of length, then JSON
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:  # a damaged pickle can raise anything
        refused = re.search(r"GLOBAL (\S+)", str(problem))
        why = f"it holds {refused[1]}" if refused else _first_line(problem)
        raise InputError(f"{file}: {why}; {EXPECTED}") from problem


def _first_line(problem: Exception) -> str:
    lines = str(problem).splitlines()
    return lines[0] if lines else type(problem).__name__


def _state_dict(value: Any, file: Path) -> dict[str, Tensor]:
    """Return the state dict in `value` under today's names."""
    for key in WRAPPINGS:
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict):
        raise InputError(f"{file}: it holds a {type(value).__name__}; {EXPECTED}")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise InputError(f"{file}: {name!r} in it is a {type(tensor).__name__}, not a tensor; {EXPECTED}")
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise InputError(f"{file}: {name} in it is no ordinary tensor; {EXPECTED}")
    if all(_WRAPPED.match(name) for name in value):
        value = {_WRAPPED.sub("", name, count=1): tensor for name, tensor in value.items()}
    return {_today(name): tensor for name, tensor in value.items()}


def _today(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = pattern.sub(replacement, name)
    return name
