"""A training never goes on from a checkpoint of other params: each key of params.yaml that it uses names another."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from stages.core.checkpoint import Checkpoint
from tests.vision.tiny import ARCH, Folder

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
TRAININGS = {"train_birnn": "text", "train_textcnn": "text", "finetune": "vision", "scratch": "vision"}
OTHER_WORDS = {"auto": "cpu", "lstm": "gru", "none": "features", ARCH: "mobilenet_v2"}
# What does not decide a training on the sample; and finetune's architecture is its source model's, whose bytes count
UNUSED = {"dataset", "pictures.image_size.full", "pictures.batch_size.full"}
KEYS = [
    (stage, key)
    for stage in TRAININGS
    for key in STAGES[stage]["params"]
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


@pytest.fixture
def place(
    trained: Path, trained_pictures: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """The checkpoint that a stage with one changed key would go on from."""
    artifacts = trained / "artifacts"
    reviews = [artifacts / f"reviews/{half}.safetensors" for half in ("train", "test")]
    pictures = [trained_pictures.train, trained_pictures.test]
    inputs = {
        "train_birnn": [*reviews, artifacts / "glove.safetensors"],
        "train_textcnn": [*reviews, artifacts / "glove.safetensors"],
        "finetune": [*pictures, trained_pictures.source],
        "scratch": pictures,
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENTIDOG_CACHE", str(tmp_path / "cache"))
    found: list[Path] = []

    def fit(*given: Any, **_options: Any) -> None:
        (saved,) = (one for one in given if isinstance(one, Checkpoint))
        found.append(saved.path)
        raise StoppedError

    for name in ("text", "vision"):
        monkeypatch.setattr(f"stages.{name}.train.fit", fit)

    def look(stage: str, changed: str | None = None) -> Path:
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
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
            import_module(f"stages.{stage}").main(*inputs[stage], tmp_path / "out")
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
        return found.pop()

    return look


@pytest.mark.parametrize(("stage", "key"), KEYS)
def test_another_value_of_any_key_is_another_training(place: Callable[..., Path], stage: str, key: str) -> None:
    before = place(stage)
    assert place(stage) == before
    assert place(stage, key) != before
