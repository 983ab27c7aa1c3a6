"""torchvision's classification networks, with one output per class."""

import difflib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from stages.core.files import InputError
from stages.core.tensors import read_tensors
from stages.inference.config import ImageConfig

AUXILIARY = ("googlenet", "inception_v3")  # have further outputs, each with a loss of its own
SHOWN = 3  # tensors in a message; with the wrong architecture hundreds do not fit


def architectures() -> list[str]:
    """Return the names of torchvision's classification models that have no auxiliary outputs."""
    return [name for name in models.list_models(module=models) if name not in AUXILIARY]


def check_arch(arch: str) -> None:
    """Raise InputError unless `arch` is one of architectures()."""
    known = architectures()
    if arch in known:
        return
    close = difflib.get_close_matches(arch.lower(), known, n=1)
    why = "has auxiliary outputs" if arch in AUXILIARY else "is no classification model of torchvision's"
    guess = f"did you mean {close[0]}? " if close else ""
    raise InputError(f"pictures.arch: {arch} {why}; {guess}take one of {', '.join(known)}")


def build(arch: str, classes: int) -> nn.Module:
    """Return the network with random weights and `classes` outputs; raises InputError for an unsuitable `arch`."""
    check_arch(arch)
    return models.get_model(arch, weights=None, num_classes=classes)


def outline(arch: str, classes: int) -> nn.Module:
    """Return the network of build() for its names and shapes: most of its weights have no memory.

    The state of torch's random generator does not change.
    """
    with torch.random.fork_rng(devices=[]), _WithoutMemory():
        return build(arch, classes)


class _WithoutMemory(TorchFunctionMode):
    """Allocate weights on the meta device. torch.device("meta") would also move RegNet's arithmetic there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        device = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **device})


@lru_cache
def output_layer(arch: str) -> str:
    """Return the name of the module that computes the logits ("fc", "classifier.1")."""
    two, three = (outline(arch, classes).state_dict() for classes in (2, 3))
    (name,) = {key.rpartition(".")[0] for key in two if two[key].shape != three[key].shape}
    return name


class Classifier(nn.Module):
    """A torchvision network for images. `network.state_dict()` has the names of torchvision's weight files.

    With freeze "features", only the output layer is trained. All other layers keep their weights and stay in evaluation
    mode: batch norm uses its fixed statistics, and dropout is off. With `average_flips`, logits in evaluation mode are
    the mean over the image and its mirror image.
    """

    def __init__(
        self,
        arch: str,
        network: nn.Module,
        freeze: Literal["none", "features"] = "none",
        average_flips: bool = False,
    ) -> None:
        super().__init__()
        self.arch = arch
        self.network = network
        self.average_flips = average_flips
        self.frozen = freeze == "features"
        if self.frozen:
            network.requires_grad_(False)
            self.output.requires_grad_(True)
        self.train()

    @property
    def output(self) -> nn.Module:
        return self.network.get_submodule(output_layer(self.arch))

    def train(self, mode: bool = True) -> "Classifier":
        super().train(mode)
        if self.frozen:
            self.network.eval()
            self.output.train(mode)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images, float (batch, 3, size, size), to logits (batch, classes)."""
        if self.average_flips and not self.training:
            return (self.network(images) + self.network(images.flip(3))) / 2
        return self.network(images)


@torch.no_grad()
def size_problem(network: nn.Module, size: int, device: torch.device | None = None) -> str | None:
    """Return why the network does not take images of `size` by `size` pixels, None if it does."""
    try:
        network.eval()(torch.zeros(1, 3, size, size, device=device))
    except (AssertionError, RuntimeError, ValueError) as problem:
        return f"{size} by {size} pixels ({str(problem).splitlines()[0]})"
    return None


def parameter_groups(classifier: Classifier, lr: float, output_factor: float) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups: the features at `lr`, the output layer at `lr * output_factor`."""
    output = list(classifier.output.parameters())
    apart = {id(parameter) for parameter in output}
    features = [p for p in classifier.parameters() if p.requires_grad and id(p) not in apart]
    groups = [{"params": features, "lr": lr}, {"params": output, "lr": lr * output_factor}]
    return [group for group in groups if group["params"]]


def from_source(arch: str, state: Mapping[str, Tensor], classes: int, file: Path) -> nn.Module:
    """Return a network with the source model's weights, and a new output layer of `classes` outputs.

    These are steps 2 and 3 of fine-tuning in Dive into Deep Learning, 14.2.1. The output layer in `state` may have any
    size, or be missing. Raises InputError, which names `file`, if the other layers do not fit `arch`.
    """
    check_fit(arch, state, file)
    network = build(arch, classes)
    features = {name: tensor for name, tensor in state.items() if not is_output(arch, name)}
    set_weights(network, {**network.state_dict(), **features})
    return network


def set_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights that have no layer versions, which MNASNet checks, as weights of the current versions."""
    state = network.state_dict()  # a state dict that carries the versions
    state.clear()
    state.update(weights)
    network.load_state_dict(state)


def load_image_model(folder: Path) -> tuple[Classifier, ImageConfig]:
    """Return a trained model, on the CPU, and its config; raises InputError if they do not fit each other."""
    config = ImageConfig.read(folder)
    weights, _ = read_tensors(folder / "model.safetensors")
    try:
        network = build(config.arch, len(config.classes))
        classifier = Classifier(config.arch, network, average_flips=config.average_flips)
        set_weights(classifier.network, weights)
    except (KeyError, TypeError, RuntimeError) as problem:
        raise InputError(f"{folder}: config.json and model.safetensors do not fit each other: {problem}") from problem
    return classifier, config


def is_output(arch: str, name: str) -> bool:
    """Return whether the tensor called `name` belongs to the output layer, or to a head that replaces it."""
    return name.startswith(_head(arch) + ".")


@lru_cache
def _head(arch: str) -> str:
    """Return the outermost module around the output layer that holds no other weights."""
    layer = output_layer(arch)
    names = [name for name in outline(arch, 2).state_dict() if not name.startswith(layer + ".")]
    parts = layer.split(".")
    modules = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return next(module for module in modules if not any(name.startswith(module + ".") for name in names))


def misfits(arch: str, state: Mapping[str, Tensor]) -> list[str]:
    """Return the tensors of `state` that do not fit `arch`, one line each. The output layer is not compared.

    Batch norm's counters may be missing: files from before PyTorch 0.4.1 do not have them.
    """
    expected = outline(arch, 2).state_dict()
    problems = []
    for name in [*expected, *(name for name in state if name not in expected)]:
        found, wanted = _form(state.get(name)), _form(expected.get(name))
        counter = name not in state and name.endswith(".num_batches_tracked")
        if found != wanted and not counter and not is_output(arch, name):
            problems.append(f"{name}: {found} found, expected {wanted}")
    return problems


def outputs_of(arch: str, state: Mapping[str, Tensor]) -> int:
    """Return the number of outputs of weights for `arch`, 0 if the output layer is missing or is not that of `arch`."""
    layer = output_layer(arch) + "."
    found = {name: tensor for name, tensor in state.items() if is_output(arch, name)}
    outputs = len(found[f"{layer}weight"]) if f"{layer}weight" in found and found[f"{layer}weight"].ndim else 0
    expected = {name: tensor for name, tensor in outline(arch, outputs or 1).state_dict().items() if name in found}
    complete = found.keys() == {name for name in outline(arch, 1).state_dict() if is_output(arch, name)}
    return outputs if complete and all(_form(found[name]) == _form(expected[name]) for name in found) else 0


def check_fit(arch: str, state: Mapping[str, Tensor], file: Path) -> None:
    """Raise InputError, which names `file` and the first tensors that do not fit, unless `state` fits `arch`."""
    if problems := misfits(arch, state):
        shown, more = problems[:SHOWN], len(problems) - SHOWN
        names = ", ".join(list(state)[:SHOWN]) + (", …" if len(state) > SHOWN else "")
        raise InputError(
            "\n  ".join([f"{file}: not the weights of pictures.arch, {arch}", *shown])
            + (f"\n  and {more} more" if more > 0 else "")
            + f"\nthe file has {len(state):,} tensors: {names or 'none'}"
            + "\nset pictures.arch to the architecture that the file is of, "
            f"or sources.source_model to a file of {arch} weights"
        )


def _form(tensor: Tensor | None) -> str:
    if tensor is None:
        return "nothing"
    return f"{'floats' if tensor.is_floating_point() else 'integers'} {tuple(tensor.shape)}"
