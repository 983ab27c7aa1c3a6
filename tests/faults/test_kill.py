"""Training stages, killed in processes of their own or broken off here, and started again."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from stages.training import checkpoint
from tests.conftest import Settings
from tests.vision.tiny import ARCH, Folder

ROOT = Path(__file__).parents[2]
SIZES = {"image_size": 32, "batch_size": 8}
EPOCHS = {"train_birnn": 150, "finetune": 12}  # some seconds


class StoppedError(Exception):
    """Stands for whatever ends a process."""


class Training:
    """A training stage in a folder with a params.yaml of its own."""

    def __init__(self, folder: Path, stage: str, inputs: list[Path], **changes: object) -> None:
        self.folder, self.stage, self.inputs = folder, stage, inputs
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params[stage] |= {"device": "cpu", "threads": 1} | changes
        sizes = {key: dict.fromkeys(("sample", "full", "own"), size) for key, size in SIZES.items()}
        params["pictures"] = {"arch": ARCH} | sizes
        folder.mkdir(exist_ok=True)
        (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")

    def start(self) -> subprocess.Popen[str]:
        shutil.rmtree(self.folder / "out", ignore_errors=True)  # as DVC does
        command = [sys.executable, "-m", f"stages.{self.stage}", *map(str, self.inputs), "out/model"]
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "SENTIDOG_CACHE": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=self.folder, env=environment, text=True, **pipes)

    def finish(self) -> str:
        """Run to the end; return what it printed."""
        process = self.start()
        said = process.communicate()[0]
        assert process.returncode == 0, said
        return said

    def run_here(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setenv("SENTIDOG_CACHE", str(self.folder / "cache"))
            try:
                import_module(f"stages.{self.stage}").main(*self.inputs, Path("out/model"))
            finally:
                torch.set_flush_denormal(False)

    def kill_after(self, lines: int, seconds: float) -> None:
        """Start it, and kill it so many seconds after so many printed lines."""
        process = self.start()
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()

    def checkpoints(self) -> list[str]:
        return [path.name for path in (self.folder / "cache/checkpoints").glob("[!.]*.pt")]

    def files(self) -> dict[str, bytes]:
        out = self.folder / "out/model"
        return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture
def trainings(trained: Path, trained_images: Folder, tmp_path: Path) -> Callable[..., Training]:
    artifacts = trained / "artifacts"

    def make(stage: str, name: str, epochs: int) -> Training:
        folder = tmp_path / name
        if stage in ("finetune", "scratch"):
            source = [trained_images.source] if stage == "finetune" else []
            return Training(folder, stage, [trained_images.images, *source], epochs=epochs)
        sizes = {"num_hiddens": 4, "num_layers": 1} if stage == "train_birnn" else {"num_channels": 4}
        inputs = [artifacts / "reviews", artifacts / "glove.safetensors"]
        return Training(folder, stage, inputs, epochs=epochs, batch_size=Settings.batch_size, **sizes)

    return make


def test_a_killed_training_ends_with_the_bytes_of_one_that_was_not(trainings: Callable[..., Training]) -> None:
    # Of pictures; trainings of reviews are killed in test_campaign.py
    whole, broken = (trainings("finetune", name, EPOCHS["finetune"]) for name in ("whole", "broken"))
    whole.finish()
    # The first line names the device, the next an epoch each
    broken.kill_after(lines=5, seconds=random.uniform(0, 0.3))
    assert len(broken.checkpoints()) == 1
    said = broken.finish()
    assert "going on from a checkpoint: epoch " in said
    assert broken.files() == whole.files()
    assert whole.checkpoints() == broken.checkpoints() == []
    assert list(broken.folder.rglob("*.tmp")) == []


@pytest.mark.parametrize(
    ("stage", "batches"), [("train_birnn", 3), ("train_textcnn", 3), ("finetune", 5), ("scratch", 5)]
)
def test_a_training_broken_off_after_each_batch_ends_with_the_bytes_of_one_that_was_not(
    trainings: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, stage: str, batches: int
) -> None:
    whole, broken = (trainings(stage, name, 2) for name in ("whole", "broken"))
    whole.run_here()
    save = checkpoint.Checkpoint.save

    def save_and_stop(self: checkpoint.Checkpoint, state: dict[str, Any]) -> None:
        save(self, state)
        raise StoppedError

    monkeypatch.setattr(checkpoint, "SAVE_INTERVAL", 0.0)  # a checkpoint after every batch
    monkeypatch.setattr(checkpoint.Checkpoint, "save", save_and_stop)
    for _ in range(2 * batches):
        torch.manual_seed(99)
        with pytest.raises(StoppedError):
            broken.run_here()
    broken.run_here()
    assert broken.files() == whole.files()
    assert whole.checkpoints() == broken.checkpoints() == []


def test_two_of_the_same_training_never_run_at_once(trainings: Callable[..., Training]) -> None:
    # In two folders, as two clones or two experiments: DVC's lock is of one alone
    training, other = (trainings("train_birnn", name, EPOCHS["train_birnn"]) for name in ("one", "other"))
    (training.folder / "cache").mkdir()
    (other.folder / "cache").symlink_to(training.folder / "cache")
    first = training.start()
    assert first.stdout is not None
    for _ in range(3):
        first.stdout.readline()
    first.send_signal(signal.SIGSTOP)
    second = other.start()
    assert second.stdout is not None
    said = second.stdout.readline()
    first.send_signal(signal.SIGCONT)
    assert "model: waiting for another process that trains the very same" in said
    first.communicate()
    second.communicate()
    assert first.returncode == second.returncode == 0
    assert training.files() == other.files()
    assert training.checkpoints() == []
