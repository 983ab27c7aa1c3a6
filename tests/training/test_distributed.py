"""What several processes train together is what one trains; tests/training/processes.py is what they run."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import torch.distributed as dist

from stages.core.files import InputError, read_json
from stages.inference.device import Hardware
from stages.training import distributed
from tests.training.processes import STEPS, findings

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
TWO = ("--nproc-per-node", "2")
TRAININGS = ["birnn", "textcnn", "textbook", "images"]


def launch(folder: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    surroundings = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([*TORCHRUN, *command], cwd=folder, env=surroundings, text=True, **pipes)


def write_params(folder: Path) -> None:
    """Write a params.yaml for a quick train_textcnn."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("dropout: 0.5 ", "dropout: 0.3 ").replace("num_channels: 100 ", "num_channels: 4 ")
    text = text.replace("batch_size: 64 ", "batch_size: 3 ").replace("epochs: 5 ", "epochs: 30 ")
    (folder / "params.yaml").write_text(text.replace("device: auto", "device: cpu"), encoding="utf-8")


def inputs(trained: Path) -> list[str]:
    return [str(trained / "artifacts" / name) for name in ("reviews", "glove.safetensors")]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what two processes write that nobody kills."""
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def finished(
    together: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[tuple[Any, Any, Any], int, str]:
    """What one process alone finds, and each of two together; torchrun's exit code, and all that was printed."""
    write_params(together)
    command = ["-m", "tests.training.processes", str(together), *inputs(trained)]
    two = launch(together, *TWO, *command, SENTIDOG_CACHE=str(together / "cache"))
    threads = torch.get_num_threads()
    alone = findings(tmp_path_factory.mktemp("alone"))
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)
    said = two.communicate(timeout=600)[0]
    first, second = (torch.load(together / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    return (alone, first, second), two.returncode, said


@pytest.fixture(scope="module")
def found(finished: tuple[tuple[Any, Any, Any], int, str]) -> tuple[Any, Any, Any]:
    return finished[0]


@pytest.mark.parametrize("training", TRAININGS)
def test_the_losses_are_those_of_one_process(found: tuple[Any, Any, Any], training: str) -> None:
    alone, first, _ = (torch.tensor(one[training]["losses"]) for one in found)
    assert len(alone) >= STEPS
    assert alone.std() > 0.1  # something was learnt: the weights moved
    torch.testing.assert_close(first, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("training", TRAININGS)
def test_the_figures_of_an_epoch_are_over_all_shards(found: tuple[Any, Any, Any], training: str) -> None:
    alone, first, second = (one[training] for one in found)
    assert first["sizes"] == alone["sizes"]
    assert first["rows"] == second["rows"]  # or the processes would keep different epochs
    for row, expected in zip(first["rows"], alone["rows"], strict=True):
        for name, value in row.items():
            assert value == pytest.approx(expected[name], abs=0 if name.endswith("accuracy") else 1e-5)


@pytest.mark.parametrize("training", TRAININGS)
def test_both_processes_have_the_same_weights(found: tuple[Any, Any, Any], training: str) -> None:
    alone, first, second = (one[training]["state"] for one in found)
    assert first.keys() == second.keys() == alone.keys()
    for name, weights in first.items():
        assert torch.equal(weights, second[name])
        torch.testing.assert_close(weights, alone[name], atol=1e-4, rtol=1e-4)


def test_on_cpus_batch_norm_learns_and_both_processes_are_scored_with_the_same_statistics(
    found: tuple[Any, Any, Any],
) -> None:
    alone, first, second = (one["batch norm"] for one in found)
    assert first["rows"] == second["rows"]
    assert all(torch.equal(tensor, second["state"][name]) for name, tensor in first["state"].items())
    # Statistics are of each shard, so the figures differ from one process's: both learn
    for one in (alone, first):
        assert one["rows"][-1]["train_loss"] < 0.7 * one["rows"][0]["train_loss"]


def test_processes_draw_differently(found: tuple[Any, Any, Any]) -> None:
    _, first, second = found
    assert not torch.equal(first["drawn"], second["drawn"])
    assert first["broadcast"] == second["broadcast"] == {"rank": 0}


def test_the_hardware_says_how_many_processes(found: tuple[Any, Any, Any]) -> None:
    assert [one["hardware"] for one in found[:2]] == [
        "cpu (1 threads, fp32)",
        "2 processes, each on cpu (1 threads, fp32)",
    ]


# Failures


def test_the_error_of_one_process_ends_all_and_is_said_once(finished: tuple[Any, int, str]) -> None:
    _, code, said = finished
    assert code == 1
    assert said.count("error: here: wrong, put it right") == 1
    assert "gloo" not in said  # what the first process met then


def test_an_error_that_another_process_has_said_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = dist.HashStore()
    monkeypatch.setattr(dist, "rendezvous", lambda _: iter([(store, 0, 1)]))

    def main() -> None:
        raise InputError("wrong")

    try:
        store.add("failures", 1)
        with pytest.raises(SystemExit) as stopped:
            distributed._in_group(main)()
    finally:
        dist.destroy_process_group()
    assert stopped.value.code == 1


def test_a_process_that_would_train_on_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"params": {"lr": 1}, "inputs": ["a", "b"], "code": {}}
    monkeypatch.setattr(distributed, "broadcast", lambda _: facts)
    distributed.check_same(dict(facts))
    with pytest.raises(InputError, match=r"^params and inputs are not those of the first process; each machine needs"):
        distributed.check_same(facts | {"params": {"lr": 2}, "inputs": ["a", "c"]})


def test_on_gpus_batch_norm_is_torchs_synchronised_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "DistributedDataParallel", lambda model, **_: model)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    weight = model[1].weight
    distributed.data_parallel(model, Hardware(torch.device("cuda", 0), "fp32", 1, 0, 2))
    assert isinstance(model[1], torch.nn.SyncBatchNorm)
    assert model[1].weight is weight  # which the optimizer holds


@pytest.mark.parametrize(("rank", "writes"), [("0", True), ("1", False)])
def test_the_first_process_alone_writes_what_it_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str, writes: bool
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr(distributed, "_in_group", lambda main: main)
    monkeypatch.setattr(sys, "argv", ["script.py", "--cost", str(tmp_path / "cost.json")])
    distributed.run(lambda: None)
    assert (tmp_path / "cost.json").exists() == writes


# A killed process


class Training:
    """train_textcnn in a folder of its own, with a cache of its own."""

    def __init__(self, folder: Path, trained: Path, *options: str) -> None:
        folder.mkdir()
        write_params(folder)
        command = ["-m", "stages.train_textcnn", *inputs(trained), "model", "--cost", "cost.json"]
        self.folder = folder
        self.process = launch(folder, *options, *command, SENTIDOG_CACHE=str(folder / "cache"))

    def wait_for_some_epochs(self) -> None:
        assert self.process.stdout
        while not self.process.stdout.readline().startswith("epoch 5,"):
            assert self.process.poll() is None

    def kill(self, rank: int) -> None:
        """Kill one of the processes."""
        children = psutil.Process(self.process.pid).children()
        (child,) = [one for one in children if one.environ().get("RANK") == str(rank)]
        child.send_signal(signal.SIGKILL)

    def finish(self) -> str:
        said = self.process.communicate(timeout=600)[0]
        assert self.process.returncode == 0, said
        return said

    def files(self) -> dict[str, bytes]:
        return model_files(self.folder) if (self.folder / "model").exists() else {}


def model_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "model").iterdir()}


@pytest.fixture(scope="module")
def whole(finished: tuple[Any, int, str], together: Path) -> dict[str, bytes]:
    """The model of two processes that nobody kills."""
    assert finished[2].count("epoch 5, loss ") >= 1
    assert "model.safetensors" in model_files(together)
    return model_files(together)


def test_a_killed_process_is_started_again_and_training_ends_with_the_same_bytes(
    tmp_path: Path, trained: Path, whole: dict[str, bytes]
) -> None:
    broken = Training(tmp_path / "broken", trained, *TWO, "--max-restarts", "1")
    broken.wait_for_some_epochs()
    broken.kill(1)
    said = broken.finish()
    assert said.count("going on from a checkpoint: epoch ") == 1
    assert said.count("epoch 30, loss ") == 1
    assert broken.files() == whole
    assert {"seconds", "cpu_seconds"} <= read_json(broken.folder / "cost.json").keys()
    assert list(broken.folder.rglob("*.pt")) == list(broken.folder.rglob("*.tmp")) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="this machine answers at 127.0.0.1 alone")
def test_two_machines_train_as_one_with_two_processes_though_a_process_is_killed(
    tmp_path: Path, trained: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    each = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--max-restarts", "1"]
    each += ["--rdzv-endpoint", f"127.0.0.1:{port}", "--local-addr"]
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")  # see docs/beyond-one-machine.md
    first, second = (Training(tmp_path / f"{i}", trained, *each, f"127.0.0.{i}") for i in (1, 2))
    first.wait_for_some_epochs()
    second.kill(1)
    assert first.finish().count("going on from a checkpoint: epoch ") == 1
    assert "epoch" not in second.finish()
    assert first.files() == whole
    assert second.files() == {}
