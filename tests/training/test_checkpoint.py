"""Training that is broken off anywhere and goes on ends with the same bytes."""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from stages.core.files import InputError
from stages.inference.device import Hardware
from stages.inference.predict import Batch
from stages.training import checkpoint as module
from stages.training.checkpoint import MAX_AGE, Checkpoint, checkpoint
from stages.training.history import write_curves
from stages.training.trainer import Epoch, Schedule, Trainer

FEATURES = torch.randn(22, 3, generator=torch.Generator().manual_seed(0)) * 3
LABELS = (FEATURES[:, 0] + FEATURES[:, 1] > 0).long()
EPOCHS = 3
CPU = Hardware(torch.device("cpu"), "fp32", 1)


class StoppedError(Exception):
    """Stands for whatever ends a process."""


class Rows:
    """Shuffled batches of four, which end after `limit` in all with StoppedError."""

    examples = len(LABELS)

    def __init__(self, device: torch.device, seed: int | None, limit: float = math.inf) -> None:
        self.device, self.seed, self.limit = device, seed, limit
        self.given = 0

    def __len__(self) -> int:
        return 6

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        order = torch.arange(len(LABELS))
        if self.seed is not None:
            order = torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(self.seed + 1000 * number))
        for rows in order.split(4)[start:]:
            if self.given == self.limit:
                raise StoppedError
            self.given += 1
            yield Batch(
                (FEATURES[rows].to(self.device),), LABELS[rows].to(self.device), rows.to(self.device), len(rows)
            )


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENTIDOG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def hardware(device: torch.device) -> Hardware:
    return Hardware(device, "fp32", 1)


def network(device: torch.device, seed: int = 0) -> nn.Module:
    """Dropout draws from torch's generator, batch norm has a state of its own."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)).to(device)


OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "adam": lambda model: torch.optim.Adam(model.parameters(), 0.05, fused=True),
    "sgd": lambda model: torch.optim.SGD(model.parameters(), 0.05, weight_decay=0.001),
    "momentum": lambda model: torch.optim.SGD(
        [{"params": list(model.parameters())[:2]}, {"params": list(model.parameters())[2:], "lr": 0.5}],
        0.05,
        momentum=0.9,
    ),
}


def run(
    hardware: Hardware,
    out: Path,
    saved: Path,
    optimizer: str = "adam",
    train: float = math.inf,
    test: float = math.inf,
    average: int = 2,
    **schedule: Any,
) -> dict[str, Tensor]:
    """Train, at most for so many batches of the splits, with a checkpoint at `saved`; return the weights."""
    model = network(hardware.device)
    params = Schedule(**{"epochs": EPOCHS, "average_epochs": average} | schedule)
    trainer = Trainer(model, OPTIMIZERS[optimizer](model), params, hardware, Checkpoint(saved, hardware))
    splits = Rows(hardware.device, 0, train), Rows(hardware.device, None, test)
    trainer.fit(*splits, lambda history: write_curves(out / "curves.csv", history))
    (out / "kept").write_text(str(trainer.trained_on().kept_epoch))
    return model.state_dict()


def results(out: Path) -> dict[str, bytes]:
    """All files of a training."""
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def undisturbed(hardware: Hardware, tmp_path: Path) -> Callable[..., tuple[dict[str, Tensor], dict[str, bytes]]]:
    def go(optimizer: str = "adam", average: int = 2) -> tuple[dict[str, Tensor], dict[str, bytes]]:
        weights = run(hardware, tmp_path / "whole", tmp_path / "whole.pt", optimizer, average=average)
        return weights, results(tmp_path / "whole")

    return go


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("average", [0, 1, 2])
@pytest.mark.parametrize("batches", [0, 1, 5, 6, 7, 11, 17])
def test_training_broken_off_after_some_batches_ends_the_same(
    hardware: Hardware,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: Any,
    optimizer: str,
    average: int,
    batches: int,
) -> None:
    weights, files = undisturbed(optimizer, average)
    monkeypatch.setattr(module, "SAVE_INTERVAL", 0.0)  # a checkpoint after every batch
    saved = tmp_path / "state.pt"
    with pytest.raises(StoppedError):
        run(hardware, tmp_path / "out", saved, optimizer, train=batches, average=average)
    assert saved.exists() == (batches > 0)
    torch.manual_seed(99)
    assert same(run(hardware, tmp_path / "out", saved, optimizer, average=average), weights)
    assert results(tmp_path / "out") == files


@pytest.mark.parametrize("batches", [0, 4, 9, 17])
def test_training_broken_off_in_a_test_pass_ends_the_same(
    hardware: Hardware, tmp_path: Path, undisturbed: Any, batches: int
) -> None:
    weights, files = undisturbed()
    saved = tmp_path / "state.pt"
    with pytest.raises(StoppedError):
        run(hardware, tmp_path / "out", saved, test=batches)
    assert same(run(hardware, tmp_path / "out", saved), weights)
    assert results(tmp_path / "out") == files


VALIDATED = {"validation_fraction": 0.5, "patience": 2, "epochs": 8}  # with 0: keeps 3 of 5; with 2: 4 of 6


@pytest.mark.parametrize(("average", "kept", "ran"), [(0, 3, 5), (2, 4, 6)])
@pytest.mark.parametrize("batches", [17, 18, 19, 25])
def test_training_broken_off_around_its_best_epoch_ends_with_the_weights_of_that_epoch(
    hardware: Hardware,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    average: int,
    kept: int,
    ran: int,
    batches: int,
) -> None:
    weights = run(hardware, tmp_path / "whole", tmp_path / "whole.pt", average=average, **VALIDATED)
    files = results(tmp_path / "whole")
    if hardware.device.type == "cpu":
        assert (int(files["kept"]), files["curves.csv"].count(b"\n")) == (kept, ran + 1)
    monkeypatch.setattr(module, "SAVE_INTERVAL", 0.0)
    for split in ("train", "test"):
        saved, out = tmp_path / f"{split}.pt", tmp_path / split
        limit: Any = {split: batches}
        with pytest.raises(StoppedError):
            run(hardware, out, saved, average=average, **VALIDATED, **limit)
        assert same(run(hardware, out, saved, average=average, **VALIDATED), weights)
        assert results(out) == files


def test_training_broken_off_again_and_again_ends_the_same(
    hardware: Hardware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Any
) -> None:
    weights, files = undisturbed()
    monkeypatch.setattr(module, "SAVE_INTERVAL", 0.0)
    saved = tmp_path / "state.pt"
    found, tries = None, 0
    while found is None:
        tries += 1
        with suppress(StoppedError):
            found = run(hardware, tmp_path / "out", saved, train=2, test=7)
    assert tries == 9  # 18 batches, two at a time
    assert same(found, weights)
    assert results(tmp_path / "out") == files


def trainer(hardware: Hardware, saved: Path, epochs: int = EPOCHS) -> Trainer:
    model = network(hardware.device)
    return Trainer(model, OPTIMIZERS["adam"](model), Schedule(epochs, 2), hardware, Checkpoint(saved, hardware))


def test_what_is_done_is_not_done_again(hardware: Hardware, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoppedError):
        run(hardware, tmp_path / "out", tmp_path / "state.pt", train=14)
    capsys.readouterr()
    train = Rows(hardware.device, 0)
    done = trainer(hardware, tmp_path / "state.pt").fit(train, Rows(hardware.device, None))
    assert train.given == 6  # the checkpoint is the one at the end of the second epoch's training
    assert len(done.rows) == len(done.seconds) == 3
    _, second, *epochs = capsys.readouterr().out.splitlines()
    assert second == "going on from a checkpoint: epoch 2, batch 7"
    assert [line.split(",")[0] for line in epochs] == ["epoch 2", "epoch 3"]


def test_a_checkpoint_is_saved_at_the_end_of_an_epoch_and_when_it_is_due(
    hardware: Hardware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[tuple[int, int]] = []
    save = Checkpoint.save

    def save_and_note(self: Checkpoint, state: dict[str, Any]) -> None:
        save(self, state)
        states.append((len(state["rows"]), state["epoch"]["done"]))

    monkeypatch.setattr(Checkpoint, "save", save_and_note)
    run(hardware, tmp_path / "out", tmp_path / "a.pt")
    assert states == [(0, 6), (1, 6), (2, 6)]
    clock = iter(range(0, 10_000, 25))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    states.clear()
    run(hardware, tmp_path / "out", tmp_path / "b.pt")
    assert (0, 3) in states
    assert len(states) > 3


def test_the_seconds_before_the_break_count(
    hardware: Hardware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_INTERVAL", 0.0)
    with pytest.raises(StoppedError):
        run(hardware, tmp_path / "out", tmp_path / "state.pt", train=4)
    saved = Checkpoint(tmp_path / "state.pt", hardware)
    state = saved.load()
    assert state is not None
    state["epoch"]["seconds"] = 1000.0
    saved.save(state)
    done = trainer(hardware, tmp_path / "state.pt", epochs=1).fit(Rows(hardware.device, 0), Rows(hardware.device, None))
    assert 1000 < done.seconds[0]["train"] < 1060


# The file


def test_a_damaged_checkpoint_is_set_aside(
    hardware: Hardware, tmp_path: Path, undisturbed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, files = undisturbed()
    saved = tmp_path / "state.pt"
    with pytest.raises(StoppedError):
        run(hardware, tmp_path / "out", saved, train=8)
    damaged = saved.read_bytes()[:1000]
    saved.write_bytes(damaged)
    assert same(run(hardware, tmp_path / "out", saved), weights)
    assert results(tmp_path / "out") == files
    assert saved.with_suffix(".damaged").read_bytes() == damaged
    assert "a damaged checkpoint was set aside as" in capsys.readouterr().err


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "ran"),))

    path = tmp_path / "state.pt"
    torch.save({"model": Hostile()}, path)
    assert Checkpoint(path, Hardware(torch.device("cpu"), "fp32", 1)).load() is None
    assert not (tmp_path / "ran").exists()


def test_a_save_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = Checkpoint(tmp_path / "state.pt", CPU)
    saved.save({"epoch": 1})

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot be written: No space left on device\n.*SENTIDOG_CACHE"):
        saved.save({"epoch": 2})
    assert saved.load() == {"epoch": 1}
    assert [path.name for path in tmp_path.glob("*state*")] == ["state.pt"]


# Its name


@pytest.fixture
def held(hardware: Hardware, tmp_path: Path) -> Callable[..., AbstractContextManager[Checkpoint]]:
    data = tmp_path / "data"
    data.write_bytes(b"data")

    def hold(params: Any = 1, content: bytes = b"data", name: str = "model", **changes: Any) -> Any:
        data.write_bytes(content)
        return checkpoint(name, {"lr": params}, [data], Hardware(**vars(hardware) | changes))

    return hold


def path_of(held: AbstractContextManager[Checkpoint]) -> Path:
    with held as saved:
        return saved.path


def test_the_same_training_has_the_same_place(held: Any) -> None:
    assert path_of(held()) == path_of(held())


def break_off(held: AbstractContextManager[Checkpoint]) -> Path:
    """Save a checkpoint and fail; return its place."""
    with suppress(StoppedError), held as saved:
        saved.save({"epoch": 1})
        raise StoppedError
    return saved.path


@pytest.mark.parametrize("changes", [{"params": 2}, {"content": b"date"}, {"name": "other"}, {"threads": 7}])
def test_another_training_has_another_place(held: Any, changes: dict[str, Any]) -> None:
    assert path_of(held()) != path_of(held(**changes))


def test_another_code_has_another_place(held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path_of(held())
    edited = tmp_path / "trainer.py"
    edited.write_text("# edited")
    monkeypatch.setattr("stages.training.trainer.__file__", str(edited))
    assert path_of(held()) != before


def test_it_is_gone_after_success_and_stays_after_a_failure(held: Any) -> None:
    break_off(held())
    with held() as saved:
        assert saved.load() == {"epoch": 1}
        folder = saved.path.parent
    assert [path for path in folder.iterdir() if path.suffix == ".pt"] == []


def test_a_checkpoint_of_other_params_is_left_alone_and_said(held: Any, capsys: pytest.CaptureFixture[str]) -> None:
    break_off(held())
    with held(params=2) as other:
        assert other.load() is None
    assert "model: starting afresh; a checkpoint of other params" in capsys.readouterr().err
    with held() as again:
        assert again.load() == {"epoch": 1}
    assert capsys.readouterr().err == ""


def test_a_running_trainings_checkpoint_is_nobody_elses_business(held: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with held() as running:
        running.save({"epoch": 1})
        with held(params=2):
            pass
        assert running.load() == {"epoch": 1}
    assert capsys.readouterr().err == ""


def test_nobody_else_can_hold_it_meanwhile(held: Any) -> None:
    with held() as saved, pytest.raises(Timeout):
        FileLock(saved.path.with_suffix(".lock")).acquire(timeout=0)


def test_what_a_killed_save_left_is_deleted(held: Any) -> None:
    path = path_of(held())
    partial = path.with_name(f".{path.name}.123.tmp")
    partial.write_bytes(b"half")
    with held():
        assert not partial.exists()


def test_a_checkpoint_that_goes_while_another_training_looks_round_is_no_error(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = break_off(held())
    monkeypatch.setattr(module.time, "time", lambda: gone.unlink() or 0.0)  # between the list and the look at it
    with held(params=2) as saved:
        assert saved.load() is None
    assert not gone.exists()


def test_the_lock_outlives_success_for_whoever_waits_for_it(held: Any) -> None:
    lock = path_of(held()).with_suffix(".lock")
    before = lock.stat().st_ino
    path_of(held())
    assert lock.stat().st_ino == before


def test_old_checkpoints_are_deleted(held: Any) -> None:
    old = break_off(held())
    past = time.time() - MAX_AGE - 60
    os.utime(old, (past, past))
    with held(params=2):
        assert not old.exists()


def test_batches_that_are_done_are_not_asked_for(hardware: Hardware, tmp_path: Path) -> None:
    some = trainer(hardware, tmp_path / "state.pt")
    batches = Rows(hardware.device, 0)
    some.epoch = Epoch.start(len(batches), hardware.device)
    some.epoch.done = 4
    some.train_epoch(batches)
    assert (batches.given, some.epoch.done) == (2, 6)
