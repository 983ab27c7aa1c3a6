"""The text networks by name, and loading of trained text models. A new network is added to NETWORKS."""

from pathlib import Path

import torch
from torch import nn

from stages.core.files import InputError
from stages.core.tensors import read_tensors
from stages.inference.config import TextConfig
from stages.text.models.birnn import BiRNN
from stages.text.models.linear import LinearModel
from stages.text.models.textcnn import TextCNN

NETWORKS = {"birnn": BiRNN, "textcnn": TextCNN}


def load_text_model(folder: Path) -> tuple[nn.Module, TextConfig]:
    """Return a trained model, on the CPU, and its config; raises InputError if they do not fit each other."""
    config = TextConfig.read(folder)
    weights, _ = read_tensors(folder / "model.safetensors")
    try:
        if config.vectors is None:
            return LinearModel(weights), config
        vectors = torch.zeros(config.vectors)
        model = NETWORKS[config.model](vectors, len(config.classes), **config.architecture)
        model.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError, ValueError) as problem:
        raise InputError(f"{folder}: config.json and model.safetensors do not fit each other: {problem}") from problem
    return model, config
