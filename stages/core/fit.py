"""The one training loop, and the pass over a test half that training and evaluation share."""

import copy
import math
import time
from collections.abc import Iterator
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


class Training(Wishes, Protocol):
    """The keys of params.yaml that every training section holds."""

    @property
    def seed(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def average_epochs(self) -> int: ...


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


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Batches,
    test: Batches,
    epochs: int,
    hardware: Hardware,
    out: Path,
    checkpoint: Checkpoint,
    *,
    average_epochs: int,
) -> Progress:
    """Train `model` for `epochs`, each followed by a pass over the test half; go on from where `checkpoint` stands.

    Where the last steps bounce from side to side, the mean of the weights lies in the middle (Polyak and Juditsky
    1992): what is left in `model` is the mean over the steps of the last `average_epochs`, with 0 the last step's. It
    is tested as it grows; before that, each epoch's own mean is.

    Prints a line an epoch, in the textbook's form; writes `out`/metrics.json, the learning curves in
    `out`/plots and the wall-clock seconds in `out`/timing.json.

    Raises InputError when a loss is not finite.
    """
    print(f"training on {hardware}", flush=True)
    average = Average(model) if average_epochs else None
    progress = _restore(checkpoint, model, optimizer, average, hardware.device)
    with Live(str(out), save_dvc_exp=False, dvcyaml=False) as live:
        live.step = 1  # plots count epochs from 1, as people do
        for row in progress.curves:
            _log(live, row)
        for number in range(len(progress.curves), epochs):
            epoch = progress.epoch = progress.epoch or Epoch.start(train, hardware.device)
            if average and not epoch.done and number <= epochs - average_epochs:
                average.start()
            for _ in train_batches(model, optimizer, train, number, hardware, epoch, average):
                if checkpoint.is_due() or epoch.done == len(train):
                    checkpoint.save(_state(model, optimizer, average, progress, hardware.device))
            start = time.perf_counter()
            loss, accuracy = epoch.figures()
            tested = average.model if average else model
            test_loss, test_accuracy = score(*predict(tested, test, hardware, f"epoch {number + 1}, test"))
            if not math.isfinite(test_loss):
                raise _infinite(f"epoch {number + 1}, test half", test_loss)
            row = {
                "train/loss": loss,
                "train/accuracy": accuracy,
                "test/loss": test_loss,
                "test/accuracy": test_accuracy,
            }
            seconds = {"train": epoch.seconds, "test": time.perf_counter() - start}
            progress.curves.append(row)
            progress.seconds.append(seconds)
            progress.epoch = None
            print(
                f"epoch {number + 1}, loss {loss:.4f}, train acc {accuracy:.3f}, test acc {test_accuracy:.3f}, "
                f"time {sum(seconds.values()):.1f} sec",
                flush=True,
            )
            _log(live, row)
    if average:
        model.load_state_dict(average.model.state_dict())
    write_json(out / "timing.json", {"examples": train.examples, "seconds": progress.seconds})
    return progress


def _log(live: Live, row: dict[str, float]) -> None:
    for name, value in row.items():
        live.log_metric(name, value)
    live.next_step()


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
    return Progress(state["curves"], state["seconds"], epoch)


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
    summed = parallel.total(torch.stack([loss.detach().double(), correct, correct.new_tensor(len(labels))]))
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
        place, examples = torch.cat(rows), batches.examples
        return tuple(parallel.together(torch.cat(some), place, examples) for some in (logits, labels))
    order = torch.cat(rows).argsort()
    return torch.cat(logits)[order], torch.cat(labels)[order]


def score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy."""
    return float(cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())
