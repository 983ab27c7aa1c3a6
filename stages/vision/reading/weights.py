"""Read a network's weights from a file of torch.save or safetensors, without executing code in it."""

import re
import sys
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from stages.core.files import InputError, some
from stages.vision.networks import check_fit, is_output, misfits, outline, outputs_of
from stages.vision.reading.kinds import described

WRAPPINGS = ("state_dict", "model_state_dict", "model")  # keys under which training scripts save the state dict
EXPECTED = "expected a state dict, as torch.save(model.state_dict(), file) or safetensors write it"
SHOWN = 5  # names that a message lists

_RENAMED = (  # names in torchvision's older files, and today's
    (re.compile(r"(\.denselayer\d+\.(norm|conv))\.([12]\.)"), r"\1\3"),
    (re.compile(r"(\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(\.mlp)\.linear_2\."), r"\1.3."),
)


def read_weights(file: Path, arch: str) -> tuple[dict[str, Tensor], int]:
    """Return the state dict for `arch`, on the CPU, with floats as fp32, and the network's number of outputs.

    In the file it may be nested in a dictionary, and its names may have a prefix, such as that of DataParallel or
    Lightning. If the output layer is missing or is another one, it is left out, and the number of outputs is 0. Other
    tensors are left out too, and named on standard error.

    Raises InputError if the file holds anything but tensors, weights of another architecture, or numbers that are not
    finite.
    """
    state = _without_prefix(arch, _state_dict(_load(file), file), file)
    outputs = outputs_of(arch, state)
    weights = {}
    for name, tensor in state.items():
        if not outputs and is_output(arch, name):
            continue
        # A copy, because safetensors cannot write tensors that share memory
        dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
        weights[name] = tensor.detach().to(dtype, copy=True)
        if not weights[name].isfinite().all():
            raise InputError(f"{file}: {name}: not all of its numbers are finite in fp32; get another file")
    return weights, outputs


def _load(file: Path) -> Any:
    start = b"?"
    try:
        with file.open("rb") as opened:
            start = opened.read(512)
        if start[8:9] == b"{":  # safetensors: eight bytes of length, then JSON
            return load_file(file)
        with warnings.catch_warnings(action="ignore"):  # torch's advice is for the file's author
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:  # a damaged pickle can raise anything
        raise InputError(f"{file}: {_why(file, start, problem)}; {EXPECTED}") from problem


def _why(file: Path, start: bytes, problem: Exception) -> str:
    """Return why a file could not be loaded, without torch's advice to load it by executing its code."""
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    if refused := re.search(r"GLOBAL (\S+)", str(problem)):
        return f"it holds {refused[1]}"
    members = _members(file)
    if any(name.endswith("/constants.pkl") for name in members):
        return "it is a TorchScript archive"
    if members and not any(name.endswith("/data.pkl") for name in members):
        return f"it is a zip archive, though not of torch.save's, with {some(members)}"
    if not members and start.startswith(b"PK"):
        return "it is damaged: a zip archive, as torch.save writes it, that breaks off"
    if not members and (kind := described(start)):
        return f"it is {kind}"
    if isinstance(problem, SafetensorError):
        return f"it is damaged ({problem})"
    return "it holds more than tensors, or is damaged"


def _members(file: Path) -> list[str]:
    """Return the names in a file that is a zip, none for another."""
    try:
        with zipfile.ZipFile(file) as zipped:
            return zipped.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def _state_dict(value: Any, file: Path) -> dict[str, Tensor]:
    """Return the state dict in `value`, with torchvision's current names."""
    while isinstance(value, dict) and not _is_flat(value):
        nested = [key for key, inner in value.items() if isinstance(inner, dict) and _may_be_network(inner)]
        known = [key for key in WRAPPINGS if key in nested] or nested
        if not known:
            break
        if len(known) > 1 and known == nested:
            raise InputError(
                f"{file}: it holds more than one network: {some(nested)}; save the one that is meant: {EXPECTED}"
            )
        if others := [key for key in nested if key != known[0]]:
            print(
                f"{file}: the weights under {known[0]!r} are read, and not those under {some(others)}", file=sys.stderr
            )
        value = value[known[0]]
    if not isinstance(value, dict):
        raise InputError(f"{file}: it holds a {type(value).__name__}; {EXPECTED}")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise InputError(f"{file}: {name!r} in it is a {type(tensor).__name__}, not a tensor; {EXPECTED}")
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise InputError(f"{file}: {name} in it is no ordinary tensor; {EXPECTED}")
    return {_today(name): tensor for name, tensor in value.items()}


def _is_flat(value: dict[Any, Any]) -> bool:
    return all(isinstance(inner, Tensor) for inner in value.values())


def _may_be_network(value: dict[Any, Any]) -> bool:
    return _holds_tensors(value) and "param_groups" not in value  # which the state of an optimizer has


def _holds_tensors(value: dict[Any, Any]) -> bool:
    return any(
        isinstance(inner, Tensor) or (isinstance(inner, dict) and _holds_tensors(inner)) for inner in value.values()
    )


def _without_prefix(arch: str, state: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Return the network's tensors without their prefix; print the names of other tensors.

    A candidate is each prefix that some name has before the name of the network's first tensor.

    Raises InputError if the network is found under no prefix, or under several.
    """
    expected = list(outline(arch, 1).state_dict())
    first = expected[0]
    prefixes = {name.removesuffix(first) for name in state if name == first or name.endswith(f".{first}")}
    modules = {name.partition(".")[0] for name in expected}
    fitting = {}
    for prefix in sorted(prefixes):
        inside = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        # The file of another network may hold all of this one's tensors, as ResNet-34's does for ResNet-18: compare all
        network = {name: tensor for name, tensor in inside.items() if name.partition(".")[0] in modules}
        if not misfits(arch, network):
            fitting[prefix] = network
    if len(fitting) > 1:
        keys = ", ".join(repr(prefix) for prefix in fitting)
        raise InputError(f"{file}: it holds more than one {arch}: {keys}; save the one that is meant: {EXPECTED}")
    if not fitting:
        common = next(iter(prefixes)) if len(prefixes) == 1 else ""
        check_fit(arch, {name.removeprefix(common): tensor for name, tensor in state.items()}, file)
    ((prefix, network),) = fitting.items()
    if beside := [name for name in state if name.removeprefix(prefix) not in network or not name.startswith(prefix)]:
        names = ", ".join(beside[:SHOWN]) + (", …" if len(beside) > SHOWN else "")
        print(f"{file}: {len(beside):,} tensors beside the network are left out: {names}", file=sys.stderr)
    return network


def _today(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = pattern.sub(replacement, name)
    return name
