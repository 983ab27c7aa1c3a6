"""The picture models, back from disk."""

from pathlib import Path
from typing import Any

from stages.core.files import InputError, read_json
from stages.core.tensors import read_tensors
from stages.vision.networks import Classifier, build, set_weights

MODELS = ("finetune", "scratch")


def load(folder: Path) -> tuple[Classifier, dict[str, Any]]:
    """Return a trained model, on the CPU, and its config; raises InputError if they do not fit each other."""
    config = read_json(folder / "config.json")
    weights, _ = read_tensors(folder / "model.safetensors")
    try:
        classifier = Classifier(config["arch"], build(config["arch"], len(config["classes"])))
        set_weights(classifier.network, weights)
    except (KeyError, TypeError, RuntimeError) as problem:
        raise InputError(f"{folder}: config.json and model.safetensors do not fit each other: {problem}") from problem
    return classifier, config
