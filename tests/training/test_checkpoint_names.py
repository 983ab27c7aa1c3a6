"""A training never goes on from a checkpoint of other params: each key of params.yaml that it uses names another."""

import copy
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from stages.training.trainer import Trainer
from tests.vision.tiny import ARCH, Folder

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "train_birnn": ["train_birnn"],
    "train_textcnn": ["train_textcnn"],
    "finetune": ["pictures", "augment", "finetune"],
    "scratch": ["pictures", "augment", "scratch"],
}
OTHER_WORDS = {
    "auto": "cpu", "lstm": "gru", "none": "features", ARCH: "mobilenet_v2", "constant": "one_cycle",
    "ends": "mean_max", "max": "mean_max",
}  # fmt: skip
# What does not decide a training on the sample; and finetune's architecture is its source model's, whose bytes count
UNUSED = {f"pictures.{key}.{name}" for key in ("image_size", "batch_size") for name in ("full", "own")}


def leaves(values: Any, place: str) -> Iterator[str]:
    if isinstance(values, dict):
        for key, inner in values.items():
            yield from leaves(inner, f"{place}.{key}")
    else:
        yield place


PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
KEYS = [
    (stage, key)
    for stage, sections in SECTIONS.items()
    for section in sections
    for key in leaves(PARAMS[section], section)
    if key not in UNUSED and (stage, key) != ("finetune", "pictures.arch")
]


class StoppedError(Exception):
    """Ends a training where it would begin."""


def another(key: str, value: Any) -> Any:
    match value:
        case "auto" if key.endswith("precision"):
            return "fp32"
        case str():
            return OTHER_WORDS[value]
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2 or 0.25
        case [int(), *rest]:
            return rest
        case [first, *rest]:
            return [another(key, first), *rest]
    assert value is None
    return 3


@pytest.fixture(scope="module")
def place(
    trained: Path, trained_images: Folder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Path]]:
    """The checkpoint that a stage with one changed key would go on from."""
    folder = tmp_path_factory.mktemp("names")
    mains = {stage: import_module(f"stages.{stage}").main for stage in SECTIONS}  # all code first: it is in the names
    artifacts = trained / "artifacts"
    inputs = {
        "train_birnn": [artifacts / "reviews", artifacts / "glove.safetensors"],
        "train_textcnn": [artifacts / "reviews", artifacts / "glove.safetensors"],
        "finetune": [trained_images.images, trained_images.source],
        "scratch": [trained_images.images],
    }
    found: list[Path] = []

    def fit(self: Trainer, *_: Any) -> None:
        assert self.checkpoint
        found.append(self.checkpoint.path)
        raise StoppedError

    def look(stage: str, changed: str | None = None) -> Path:
        params = copy.deepcopy(PARAMS)
        params["pictures"]["arch"] = ARCH
        params["pictures"]["image_size"]["sample"] = 32
        params[stage]["validation_fraction"] = 0.5  # else patience is refused
        if changed:
            *sections, key = changed.split(".")
            section = params
            for name in sections:
                section = section[name]
            section[key] = another(changed, section[key])
        Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        threads = torch.get_num_threads()
        with pytest.raises(StoppedError):
            mains[stage](*inputs[stage], folder / "out")
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
        return found.pop()

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SENTIDOG_CACHE", str(folder / "cache"))
        patch.setattr(Trainer, "fit", fit)
        yield look


@pytest.fixture(scope="module")
def unchanged(place: Callable[..., Path]) -> dict[str, Path]:
    """Of each stage, the checkpoint of params.yaml as it is."""
    return {stage: place(stage) for stage in SECTIONS}


def test_the_same_values_are_the_same_training(place: Callable[..., Path], unchanged: dict[str, Path]) -> None:
    assert {stage: place(stage) for stage in SECTIONS} == unchanged


@pytest.mark.parametrize(("stage", "key"), KEYS)
def test_another_value_of_any_key_is_another_training(
    place: Callable[..., Path], unchanged: dict[str, Path], stage: str, key: str
) -> None:
    assert place(stage, key) != unchanged[stage]
