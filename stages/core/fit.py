"""The one training loop, and the pass without learning that training and evaluation share."""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from dvclive import Live
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stages.core import parallel
from stages.core.batch_norm import share_statistics
from stages.core.checkpoint import Checkpoint
from stages.core.device import Hardware, Wishes
from stages.core.files import InputError, write_json
from stages.core.progress import progress as progress_bar

CHECK_EVERY = 50  # batches between looks at the loss: each look waits for the device
OTHER = {"test": "validation", "validation": "test"}  # the part of the data that epochs are not scored on


class Schedule(Protocol):
    """The keys of params.yaml that say how long to train, and what is kept of it."""

    @property
    def epochs(self) -> int: ...
    @property
    def average_epochs(self) -> int: ...
    @property
    def validation_fraction(self) -> float: ...
    @property
    def patience(self) -> int | None: ...


class Training(Wishes, Schedule, Protocol):
    """The keys of params.yaml that every training section holds."""

    @property
    def seed(self) -> int: ...
    @property
    def lr(self) -> float: ...


class Batch(NamedTuple):
    inputs: tuple[Tensor, ...]  # what the model takes, each (batch, …)
    labels: Tensor  # int64 (batch,)
    rows: Tensor  # int64 (batch,): the examples' places in the data set


class Batches(Protocol):
    """A data set in batches on the training device."""

    examples: int

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        ...

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield epoch `number`'s batches from batch `start` on; they depend on the seed and on `number` alone.

        Of several processes each is given its share of every batch, which may be nothing.
        """
        ...


@dataclass
class Epoch:
    """What the training part of an epoch has come to."""

    losses: Tensor  # (batches,), each the mean over its batch, whose shares several processes may have
    sizes: Tensor  # (batches,), examples in each
    correct: Tensor  # int64 ()
    done: int = 0  # batches
    seconds: float = 0.0  # that they took

    @classmethod
    def start(cls, batches: Batches, device: torch.device) -> "Epoch":
        losses, sizes = torch.zeros(2, len(batches), device=device)
        return cls(losses, sizes, torch.zeros((), dtype=torch.int64, device=device))

    def figures(self) -> tuple[float, float]:
        """Return the mean loss and the accuracy over the examples, as seen while training."""
        return float((self.losses * self.sizes).sum() / self.sizes.sum()), int(self.correct) / int(self.sizes.sum())


class Average:
    """The mean of what moves in a model, over the steps since `start`; of its counters, the last."""

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model)
        for part in self.model.modules():
            if isinstance(part, nn.RNNBase):
                part.flatten_parameters()  # a copy's lie apart; on a GPU each pass would gather them anew
        self.steps = 0

    def start(self) -> None:
        self.steps = 0

    @torch.no_grad()
    def add(self, model: nn.Module) -> None:
        self.steps += 1
        means, values = _moving(self.model), _moving(model)
        torch._foreach_lerp_(_floats(means), _floats(values), 1 / self.steps)
        for mean, value in zip(means, values, strict=True):
            if not mean.is_floating_point():
                mean.copy_(value)


def _moving(model: nn.Module) -> list[Tensor]:
    return [*(parameter for parameter in model.parameters() if parameter.requires_grad), *model.buffers()]


def _floats(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor.is_floating_point()]


@dataclass
class Progress:
    """All that training has come to, besides the model and the optimizer."""

    curves: list[dict[str, float]] = field(default_factory=list)  # one row per epoch
    seconds: list[dict[str, float]] = field(default_factory=list)  # one row per epoch
    epoch: Epoch | None = None  # the one under way
    kept: dict[str, Tensor] | None = None  # the weights that did best on a held-out part

    def end_epoch(self, row: dict[str, float], seconds: dict[str, float]) -> None:
        self.curves.append(row)
        self.seconds.append(seconds)
        self.epoch = None


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Batches,
    scored: Batches,
    schedule: Schedule,
    hardware: Hardware,
    out: Path,
    checkpoint: Checkpoint,
) -> Progress:
    """Train `model`, each epoch followed by a pass over `scored`; go on from where `checkpoint` stands.

    `scored` is the test half, or with a `validation_fraction` a held-out part of the training half. Where the last
    steps bounce from side to side, the mean of the weights lies in the middle (Polyak and Juditsky 1992): what is
    scored is the mean over the steps of the last `average_epochs`, as it grows, and before that each epoch's own mean;
    with 0 the last step's weights. What is left in `model` is what was scored last, or best on the held-out part.

    Prints a line an epoch, in the textbook's form; writes `out`/metrics.json, the learning curves in
    `out`/plots and the wall-clock seconds in `out`/timing.json.

    Raises InputError when a loss is not finite.
    """
    print(f"training on {hardware}", flush=True)
    average = Average(model) if schedule.average_epochs else None
    candidate = average.model if average else model
    progress = _restore(checkpoint, model, optimizer, average, hardware.device)
    part = "validation" if schedule.validation_fraction else "test"
    with _live(out, part, progress.curves) as live:
        while not _is_over(progress.curves, schedule):
            number = len(progress.curves)
            epoch = progress.epoch = progress.epoch or Epoch.start(train, hardware.device)
            if average and not epoch.done and number <= schedule.epochs - schedule.average_epochs:
                average.start()
            for _ in train_batches(model, optimizer, train, number, hardware, epoch, average):
                if checkpoint.is_due() or epoch.done == len(train):
                    checkpoint.save(_state(model, optimizer, average, progress, hardware.device))
            _score_epoch(candidate, scored, part, hardware, progress)
            _log(live, progress.curves[-1])
            if schedule.validation_fraction and best_epoch(progress.curves) == number + 1:
                progress.kept = copy.deepcopy(candidate.state_dict())
        if progress.kept:
            _tell_kept(live, progress.curves)
    model.load_state_dict(progress.kept or candidate.state_dict())
    write_json(out / "timing.json", {"examples": train.examples, "seconds": progress.seconds})
    return progress


def best_epoch(curves: list[dict[str, float]]) -> int:
    """Return the number, from 1, of the epoch with the highest validation accuracy; of equals, the one of least loss.

    By accuracy, which is what models are compared by: the loss of a model that is too sure rises while it still learns.
    """
    return 1 + max(range(len(curves)), key=lambda i: (curves[i]["validation/accuracy"], -curves[i]["validation/loss"]))


def _is_over(curves: list[dict[str, float]], schedule: Schedule) -> bool:
    """Whether all epochs are done, or `patience` of them since the best."""
    waited = len(curves) - best_epoch(curves) if curves and schedule.validation_fraction else 0
    return len(curves) == schedule.epochs or (schedule.patience is not None and waited >= schedule.patience)


def _score_epoch(model: nn.Module, scored: Batches, part: str, hardware: Hardware, progress: Progress) -> None:
    """End the epoch under way with a pass of `model` over `scored`, which its figures call `part`; print its line."""
    assert progress.epoch
    number = len(progress.curves) + 1
    start = time.perf_counter()
    loss, accuracy = progress.epoch.figures()
    scored_loss, scored_accuracy = score(*predict(model, scored, hardware, f"epoch {number}, {part}"))
    if not math.isfinite(scored_loss):
        raise _infinite(f"epoch {number}, {part} pass", scored_loss)
    row = {
        "train/loss": loss,
        "train/accuracy": accuracy,
        f"{part}/loss": scored_loss,
        f"{part}/accuracy": scored_accuracy,
    }
    seconds = {"train": progress.epoch.seconds, part: time.perf_counter() - start}
    progress.end_epoch(row, seconds)
    print(
        f"epoch {number}, loss {loss:.4f}, train acc {accuracy:.3f}, {part} acc {scored_accuracy:.3f}, "
        f"time {sum(seconds.values()):.1f} sec",
        flush=True,
    )


@contextmanager
def _live(out: Path, part: str, curves: list[dict[str, float]]) -> Iterator[Live]:
    """Hold what writes metrics.json and the curves, with the rows of the epochs that are done, scored on `part`."""
    with Live(str(out), save_dvc_exp=False, dvcyaml=False) as live:
        live.step = 1  # plots count epochs from 1, as people do
        # dvc.yaml's plots name both parts. To DVC a curve without rows is no line, one without a file is an error
        absent = out / "plots/metrics" / OTHER[part]
        absent.mkdir(parents=True)
        for figure in ("loss", "accuracy"):
            (absent / f"{figure}.tsv").write_text(f"step\t{figure}\n", encoding="utf-8", newline="")
        for row in curves:
            _log(live, row)
        yield live


def _log(live: Live, row: dict[str, float]) -> None:
    for name, value in row.items():
        live.log_metric(name, value)
    live.next_step()


def _tell_kept(live: Live, curves: list[dict[str, float]]) -> None:
    """Have metrics.json hold the figures of the weights that are kept, and print which these are."""
    number = best_epoch(curves)
    row = curves[number - 1]
    for name, value in row.items():
        part, figure = name.split("/")
        live.summary[part][figure] = value
    live.summary["kept_epoch"] = number
    print(f"kept epoch {number}, validation acc {row['validation/accuracy']:.3f}", flush=True)


def _state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average | None,
    progress: Progress,
    device: torch.device,
) -> dict[str, Any]:
    """All that decides how training goes on, as torch.save takes it."""
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": {"model": average.model.state_dict(), "steps": average.steps} if average else None,
        "random": torch.get_rng_state(),
        "device_random": torch.get_device_module(device).get_rng_state() if device.type != "cpu" else None,
        "curves": progress.curves,
        "seconds": progress.seconds,
        "epoch": vars(progress.epoch) if progress.epoch else None,
        "kept": progress.kept,
    }


def _restore(
    checkpoint: Checkpoint,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average | None,
    device: torch.device,
) -> Progress:
    """Put everything as it was when the checkpoint was saved; without one, leave all as it is."""
    state = checkpoint.load()
    if state is None:
        return Progress()
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if average:
        average.model.load_state_dict(state["average"]["model"])
        average.steps = state["average"]["steps"]
    torch.set_rng_state(state["random"])
    if state["device_random"] is not None:
        torch.get_device_module(device).set_rng_state(state["device_random"])
    epoch = Epoch(**state["epoch"]) if state["epoch"] else None
    if epoch:
        epoch.losses, epoch.sizes, epoch.correct = (t.to(device) for t in (epoch.losses, epoch.sizes, epoch.correct))
    under_way = f", batch {epoch.done + 1}" if epoch else ""
    print(f"going on from a checkpoint: epoch {len(state['curves']) + 1}{under_way}", flush=True)
    return Progress(state["curves"], state["seconds"], epoch, state["kept"])


def train_batches(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    number: int,
    hardware: Hardware,
    epoch: Epoch,
    average: Average | None = None,
) -> Iterator[None]:
    """Train on what is left of epoch `number`; `epoch` and `average` are up to date whenever a batch is done."""
    share_statistics(model)
    model.train()
    name = f"epoch {number + 1}"
    start = time.perf_counter() - epoch.seconds
    rest = batches.epoch(number, epoch.done)
    for batch in progress_bar(rest, total=len(batches), desc=f"{name}, train", unit="batch", initial=epoch.done):
        with hardware.autocast(), parallel.drawing(hardware.device, number, epoch.done):
            logits = model(*batch.inputs).float()  # (share, classes)
        loss, whole = _loss(logits, batch.labels)
        optimizer.zero_grad()
        loss.backward()
        parallel.sum_gradients(model)
        optimizer.step()
        if average:
            average.add(model)
        epoch.losses[epoch.done] = whole.loss
        epoch.sizes[epoch.done] = whole.size
        epoch.correct += whole.correct
        epoch.done += 1
        if epoch.done % CHECK_EVERY == 0 or epoch.done == len(batches):
            _refuse_infinite(epoch.losses[: epoch.done], name)
        epoch.seconds = time.perf_counter() - start
        yield


class Whole(NamedTuple):
    """What a batch came to, over all processes' shares of it."""

    loss: Tensor  # (), the mean
    size: Tensor | int
    correct: Tensor  # int64 ()


def _loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Whole]:
    """Return the loss to step against, for logits (share, classes) and labels (share,), and the whole batch's figures.

    The loss's gradients, summed over the processes, are those of the mean over the whole batch.
    """
    correct = (logits.argmax(1) == labels).sum()
    if parallel.processes() == 1:
        loss = cross_entropy(logits, labels)
        return loss, Whole(loss.detach(), len(labels), correct)
    loss = cross_entropy(logits, labels, reduction="sum")
    summed = parallel.total(torch.stack([loss.detach().double(), correct, correct.new_full((), len(labels))]))
    return loss / summed[2], Whole(summed[0] / summed[2], summed[2], summed[1].long())


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    number: int,
    hardware: Hardware,
    average: Average | None = None,
) -> tuple[float, float]:
    """Train for one epoch; return the mean loss and the accuracy over its examples, as seen while training."""
    epoch = Epoch.start(batches, hardware.device)
    for _ in train_batches(model, optimizer, batches, number, hardware, epoch, average):
        pass
    return epoch.figures()


def _refuse_infinite(losses: Tensor, name: str) -> None:
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        batch = int(bad[0])
        raise _infinite(f"{name}, batch {batch + 1}", float(losses[batch]))


def _infinite(where: str, loss: float) -> InputError:
    return InputError(
        f"{where}: the loss is {loss:.4g}; try a smaller lr, and look for numbers in its inputs that are not finite"
    )


@torch.no_grad()
def predict(model: nn.Module, batches: Batches, hardware: Hardware, name: str) -> tuple[Tensor, Tensor]:
    """Return logits (examples, classes) fp32 and labels (examples,) in the data set's order, all in every process."""
    model.eval()
    logits, labels, rows = [], [], []
    for batch in progress_bar(batches.epoch(0), total=len(batches), desc=name, unit="batch"):
        with hardware.autocast():
            logits.append(model(*batch.inputs).float())
        labels.append(batch.labels)
        rows.append(batch.rows)
    if parallel.processes() > 1:
        places, examples = torch.cat(rows), batches.examples
        everywhere = parallel.together(torch.cat(logits), places, examples)
        return everywhere, parallel.together(torch.cat(labels), places, examples)
    order = torch.cat(rows).argsort()
    return torch.cat(logits)[order], torch.cat(labels)[order]


def score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy."""
    return float(cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())
