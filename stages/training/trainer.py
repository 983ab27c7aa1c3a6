"""The training loop. Each epoch is scored; a training that was killed resumes from its checkpoint."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from stages.core.files import InputError
from stages.core.progress import progress
from stages.inference.config import TrainedOn
from stages.inference.device import Hardware
from stages.inference.predict import Batch, Batches, predict, score
from stages.training.averaging import WeightAverage
from stages.training.calibration import fit_temperature
from stages.training.checkpoint import Checkpoint
from stages.training.distributed import all_reduce_sum, broadcast_buffers, data_parallel, gather, shard_random_state
from stages.training.history import History
from stages.training.validation import check_validation

if TYPE_CHECKING:
    from stages.config.params import Training

CHECK_INTERVAL = 50  # batches between checks that losses are finite; each check waits for the device


@dataclass(frozen=True)
class Schedule:
    """The Trainer's params, for a training without a section in params.yaml."""

    epochs: int
    average_epochs: int = 0
    validation_fraction: float = 0.0
    patience: int | None = None
    schedule: str = "constant"
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    calibrate: bool = False


@dataclass
class Epoch:
    """The state of the current epoch's training pass."""

    losses: Tensor  # fp32 (batches,): the mean over each batch
    sizes: Tensor  # fp32 (batches,): examples in each batch
    correct: Tensor  # int64 ()
    done: int = 0  # batches
    seconds: float = 0.0

    @classmethod
    def start(cls, batches: int, device: torch.device) -> "Epoch":
        losses, sizes = torch.zeros(2, batches, device=device)
        return cls(losses, sizes, torch.zeros((), dtype=torch.int64, device=device))

    def figures(self) -> tuple[float, float]:
        """Return the mean loss and the accuracy over the examples, as seen while training."""
        return float((self.losses * self.sizes).sum() / self.sizes.sum()), int(self.correct) / int(self.sizes.sum())


class Trainer:
    """Trains `model`, alone or together with the other processes of torchrun.

    Each epoch is scored on the test split, or if training `validates`, on the validation split. The scored weights are
    the mean over the steps of the last `average_epochs` epochs (in earlier epochs, over the epoch's own steps), because
    at a high learning rate the last steps oscillate around a better point. With `average_epochs` 0 they are the weights
    of the last step. After `fit`, `model` has the weights that were scored last, or those that were best on the
    validation split. With `calibrate`, `temperature` is fitted to their logits on the validation split.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        params: "Training | Schedule",
        hardware: Hardware,
        checkpoint: Checkpoint | None = None,
        validates: bool | None = None,
    ) -> None:
        """`validates`: whether a validation split is scored; None: if there is a validation_fraction.

        Raises InputError where none is, and `params` ask for one.
        """
        self.model = model
        self.optimizer = optimizer
        self.params = params
        self.hardware = hardware
        self.checkpoint = checkpoint
        self.parallel_model = data_parallel(model, hardware)
        self.average = WeightAverage(model) if params.average_epochs else None
        self.scored_model = self.average.model if self.average else model
        self.validates = bool(params.validation_fraction) if validates is None else validates
        check_validation(params, self.validates)
        self.scored_split = "validation" if self.validates else "test"
        self.scheduler: OneCycleLR | None = None
        self.history = History()
        self.epoch: Epoch | None = None  # the current one
        self.best: dict[str, Tensor] | None = None  # the weights that did best on the validation split
        self.temperature = 1.0

    def fit(
        self,
        train: Batches,
        scored: Batches | None = None,
        on_epoch_end: Callable[[History], None] = lambda history: None,
    ) -> History:
        """Train all epochs, or until `patience` epochs in a row were not better; print one line per epoch.

        `on_epoch_end` is called in process 0. Raises InputError if a loss is not finite.
        """
        print(f"training on {self.hardware}", flush=True)
        if self.params.schedule == "one_cycle":  # Smith and Topin 2018
            rates = [group["lr"] for group in self.optimizer.param_groups]
            steps = self.params.epochs * len(train)
            self.scheduler = OneCycleLR(self.optimizer, rates, steps, cycle_momentum=False)
        self._resume()
        while not self._is_finished():
            self.train_epoch(train)
            self.evaluate(scored)
            self._keep_best()
            if self.hardware.rank == 0:
                on_epoch_end(self.history)
        if self.best:
            number = self.history.best_epoch()
            print(f"kept epoch {number}, validation acc {self.history.rows[number - 1]['validation_accuracy']:.3f}")
        self.model.load_state_dict(self.best or self.scored_model.state_dict())
        if self.params.calibrate and scored:
            outputs = predict(self.model, scored, self.hardware, "calibration")
            self.temperature = fit_temperature(*map(gather, outputs))
        return self.history

    def train_epoch(self, batches: Batches) -> None:
        """Take the remaining steps of the current epoch, or all steps of the next one."""
        number = len(self.history.rows)
        epoch = self.epoch = self.epoch or Epoch.start(len(batches), self.hardware.device)
        if self.average and not epoch.done and number <= self.params.epochs - self.params.average_epochs:
            self.average.restart()
        self.parallel_model.train()
        name = f"epoch {number + 1}"
        start = time.perf_counter() - epoch.seconds
        rest = batches.epoch(number, epoch.done)
        for batch in progress(rest, total=len(batches), desc=f"{name}, train", unit="batch", initial=epoch.done):
            loss, correct = self._step(batch, number, epoch.done)
            epoch.losses[epoch.done] = loss
            epoch.sizes[epoch.done] = batch.size
            epoch.correct += correct
            epoch.done += 1
            is_last = epoch.done == len(batches)
            if epoch.done % CHECK_INTERVAL == 0 or is_last:
                _refuse_infinite(epoch.losses[: epoch.done], name)
            epoch.seconds = time.perf_counter() - start
            if self.checkpoint and (self.checkpoint.is_due() or is_last):
                self.checkpoint.save(self.state_dict())

    def _step(self, batch: Batch, epoch: int, number: int) -> tuple[Tensor, Tensor]:
        """Take one step; return the mean loss () and the count of right answers () over the whole batch."""
        with self.hardware.autocast(), shard_random_state(self.hardware, epoch, number):
            logits = self.parallel_model(*batch.inputs).float()  # (shard, classes)
        # Gradients are averaged over the processes. With the weight this is the gradient of the batch's mean loss
        loss = cross_entropy(logits, batch.labels, label_smoothing=self.params.label_smoothing) * batch.weight
        self.optimizer.zero_grad()
        loss.backward()
        if self.params.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.params.clip_norm)
        self.optimizer.step()
        if self.scheduler:
            self.scheduler.step()
        if self.average:
            self.average.update(self.model)
        correct = (logits.argmax(1) == batch.labels).sum()
        if self.hardware.world_size == 1:
            return loss.detach(), correct
        mean, correct = all_reduce_sum(
            torch.stack([loss.detach() / self.hardware.world_size, correct * (batch.weight > 0)])
        )
        return mean, correct.long()

    def evaluate(self, scored: Batches | None) -> None:
        """End the current epoch: score the weights on `scored`, if given, record the figures and print a line."""
        assert self.epoch
        number, split = len(self.history.rows) + 1, self.scored_split
        start = time.perf_counter()
        loss, accuracy = self.epoch.figures()
        row = {"train_loss": loss, "train_accuracy": accuracy}
        seconds = {"train": self.epoch.seconds}
        line = f"epoch {number}, loss {loss:.4f}, train acc {accuracy:.3f}"
        if scored:
            loss, accuracy = self._score(scored, f"epoch {number}, {split}")
            if not math.isfinite(loss):
                raise _infinite(f"epoch {number}, {split} pass", loss)
            row |= {f"{split}_loss": loss, f"{split}_accuracy": accuracy}
            seconds[split] = time.perf_counter() - start
            line += f", {split} acc {accuracy:.3f}"
        self.history.rows.append(row)
        self.history.seconds.append(seconds)
        self.epoch = None
        print(f"{line}, time {sum(seconds.values()):.1f} sec", flush=True)

    def _score(self, scored: Batches, name: str) -> tuple[float, float]:
        """Return the mean loss and the accuracy of a pass over `scored`, all processes' shards together."""
        broadcast_buffers(self.scored_model)
        logits, labels = predict(self.scored_model, scored, self.hardware, name)
        if self.hardware.world_size == 1:
            return score(logits, labels)
        count = len(labels)
        figures = score(logits, labels) if count else (0.0, 0.0)
        loss, right, count = all_reduce_sum(torch.tensor([*figures, 1.0], dtype=torch.float64) * count).tolist()
        return loss / count, right / count

    def _keep_best(self) -> None:
        if self.validates and self.history.best_epoch() == len(self.history.rows):
            self.best = copy.deepcopy(self.scored_model.state_dict())

    def _is_finished(self) -> bool:
        done, params = len(self.history.rows), self.params
        waited = done - self.history.best_epoch() if done and self.validates else 0
        return done == params.epochs or (params.patience is not None and waited >= params.patience)

    def trained_on(self) -> TrainedOn:
        """Return the hardware and the kept epoch, for the model's config."""
        kept = self.history.best_epoch() if self.best else None
        return TrainedOn(self.hardware.device.type, self.hardware.precision, self.hardware.threads, kept)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a training needs to resume, for torch.save."""
        device, average = self.hardware.device, self.average
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "average": {"model": average.model.state_dict(), "steps": average.steps} if average else None,
            "random": torch.get_rng_state(),
            "device_random": torch.get_device_module(device).get_rng_state() if device.type != "cpu" else None,
            "rows": self.history.rows,
            "seconds": self.history.seconds,
            "epoch": vars(self.epoch) if self.epoch else None,
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; its tensors may be on the CPU."""
        device = self.hardware.device
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.average:
            self.average.model.load_state_dict(state["average"]["model"])
            self.average.steps = state["average"]["steps"]
        torch.set_rng_state(state["random"])
        if state["device_random"] is not None:
            torch.get_device_module(device).set_rng_state(state["device_random"])
        self.history = History(state["rows"], state["seconds"])
        if state["epoch"]:
            epoch = Epoch(**state["epoch"])
            epoch.losses, epoch.sizes, epoch.correct = (
                t.to(device) for t in (epoch.losses, epoch.sizes, epoch.correct)
            )
            self.epoch = epoch
        self.best = state["best"]

    def _resume(self) -> None:
        state = self.checkpoint.load() if self.checkpoint else None
        if state is not None:
            self.load_state_dict(state)
            under_way = f", batch {self.epoch.done + 1}" if self.epoch else ""
            print(f"going on from a checkpoint: epoch {len(self.history.rows) + 1}{under_way}", flush=True)


def _refuse_infinite(losses: Tensor, name: str) -> None:
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        batch = int(bad[0])
        raise _infinite(f"{name}, batch {batch + 1}", float(losses[batch]))


def _infinite(where: str, loss: float) -> InputError:
    return InputError(
        f"{where}: the loss is {loss:.4g}; try a smaller lr, and look for numbers in its inputs that are not finite"
    )
