"""The text models, back from disk."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from stages.core.files import InputError, read_json
from stages.core.tensors import read_tensors
from stages.text.birnn import BiRNN
from stages.text.textcnn import TextCNN

MODELS = {"birnn": BiRNN, "textcnn": TextCNN}


def load(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return a trained model, on the CPU, and its config; raises InputError if they do not fit each other."""
    config = read_json(folder / "config.json")
    weights, _ = read_tensors(folder / "model.safetensors")
    try:
        vectors = torch.zeros(config["vectors"])
        model = MODELS[config["model"]](vectors, len(config["classes"]), **config["architecture"])
        model.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError) as problem:
        raise InputError(f"{folder}: config.json and model.safetensors do not fit each other: {problem}") from problem
    return model, config
