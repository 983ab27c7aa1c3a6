import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stages.core.files import InputError
from stages.inference.device import Hardware
from stages.inference.predict import Batch, predict, score
from stages.training.history import History, write_curves
from stages.training.trainer import CHECK_INTERVAL, Schedule, Trainer

FEATURES = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)) * 3
LABELS = (FEATURES[:, 0] + FEATURES[:, 1] > 0).long()


class Rows:
    """Rows of a tensor in batches, shuffled by seed and epoch; without a seed in a fixed order that is not theirs."""

    def __init__(self, features: Tensor, labels: Tensor, size: int, device: torch.device, seed: int | None = 0) -> None:
        self.features, self.labels = features.to(device), labels.to(device)
        self.size, self.device, self.seed = size, device, seed
        self.examples = len(labels)
        self.asked: list[int] = []  # the epochs that were asked for
        self.given = 0  # batches

    def __len__(self) -> int:
        return math.ceil(self.examples / self.size)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        self.asked.append(number)
        order = torch.arange(self.examples).flip(0)
        if self.seed is not None:
            order = torch.randperm(self.examples, generator=torch.Generator().manual_seed(self.seed + 1000 * number))
        for rows in order.to(self.device).split(self.size)[start:]:
            self.given += 1
            yield Batch((self.features[rows],), self.labels[rows], rows, len(rows))


class Watched(nn.Linear):
    """A linear model that notes how it is called."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.calls: list[tuple[bool, bool, bool, int]] = []  # in training mode, with gradients, in bf16, examples

    def forward(self, features: Tensor) -> Tensor:
        bf16 = torch.is_autocast_enabled(features.device.type)
        self.calls.append((self.training, torch.is_grad_enabled(), bf16, len(features)))
        return super().forward(features)


class Echo(nn.Module):
    """Answers its input, so that a test decides on every loss."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        return features * self.scale


@pytest.fixture
def hardware(device: torch.device) -> Hardware:
    return Hardware(device, "fp32", 1)


def linear(device: torch.device, seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 2).to(device)


def still(model: nn.Module) -> torch.optim.Optimizer:
    """An optimizer that changes nothing."""
    return torch.optim.SGD(model.parameters(), 0.0)


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Rows,
    scored: Rows,
    schedule: Schedule,
    hardware: Hardware,
) -> History:
    return Trainer(model, optimizer, schedule, hardware).fit(train, scored)


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Rows, hardware: Hardware, done: int = 0
) -> tuple[float, float]:
    """Train for one epoch after `done` others; return its mean loss and accuracy."""
    trainer = Trainer(model, optimizer, Schedule(done + 1), hardware)
    trainer.history.rows = [{}] * done
    trainer.train_epoch(batches)
    assert trainer.epoch
    return trainer.epoch.figures()


def run(
    hardware: Hardware, epochs: int = 3, seed: int = 0, lr: float = 0.05, average_epochs: int = 1
) -> tuple[nn.Module, History]:
    model = linear(hardware.device, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    train = Rows(FEATURES, LABELS, 4, hardware.device, seed)
    test = Rows(FEATURES[:7], LABELS[:7], 3, hardware.device, None)
    return model, fit(model, optimizer, train, test, Schedule(epochs, average_epochs), hardware)


# One epoch


def test_the_loss_is_the_mean_over_the_examples_not_over_the_batches(hardware: Hardware) -> None:
    model = linear(hardware.device)
    batches = Rows(FEATURES, LABELS, 4, hardware.device)  # 4 + 4 + 2
    loss, _ = train_epoch(model, still(model), batches, hardware)
    with torch.no_grad():
        logits = model(FEATURES.to(hardware.device)).cpu().double()
        by_batch = [float(cross_entropy(model(batch.inputs[0]), batch.labels)) for batch in batches.epoch(0)]
    by_hand = [-math.log(math.exp(row[label]) / row.exp().sum()) for row, label in zip(logits, LABELS, strict=True)]
    assert loss == pytest.approx(sum(by_hand) / 10, rel=1e-5)
    assert loss != pytest.approx(sum(by_batch) / 3, rel=1e-3)


def test_the_accuracy_is_the_exact_share_of_right_answers(hardware: Hardware) -> None:
    model = linear(hardware.device)
    _, accuracy = train_epoch(model, still(model), Rows(FEATURES, LABELS, 4, hardware.device), hardware)
    right = int((model(FEATURES.to(hardware.device)).argmax(1).cpu() == LABELS).sum())
    assert 0 < right < 10
    assert accuracy == right / 10


def test_the_figures_are_those_seen_while_training_before_each_step(hardware: Hardware) -> None:
    # One batch: the loss is that of the weights that the epoch starts with
    model = linear(hardware.device)
    before = cross_entropy(model(FEATURES.to(hardware.device)), LABELS.to(hardware.device)).item()
    loss, _ = train_epoch(
        model, torch.optim.SGD(model.parameters(), 0.5), Rows(FEATURES, LABELS, 10, hardware.device), hardware
    )
    assert loss == pytest.approx(before, rel=1e-5)


def test_an_epoch_steps_once_a_batch_against_the_gradient_of_that_batch_alone(hardware: Hardware) -> None:
    model, other = linear(hardware.device), linear(hardware.device)
    train_epoch(model, torch.optim.SGD(model.parameters(), 0.1), Rows(FEATURES, LABELS, 4, hardware.device), hardware)
    for batch in Rows(FEATURES, LABELS, 4, hardware.device).epoch(0):
        loss = cross_entropy(other(batch.inputs[0]), batch.labels)
        gradients = torch.autograd.grad(loss, list(other.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(other.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    for parameter, expected in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected)


def test_training_mode_to_train_evaluation_mode_to_test(hardware: Hardware) -> None:
    model = Watched().to(hardware.device)
    train = Rows(FEATURES, LABELS, 4, hardware.device)
    test = Rows(FEATURES[:3], LABELS[:3], 2, hardware.device, None)
    fit(model, still(model), train, test, Schedule(2), hardware)
    trained = [(True, True, False, size) for size in (4, 4, 2)]
    tested = [(False, False, False, size) for size in (2, 1)]
    assert model.calls == [*trained, *tested] * 2


def test_each_epoch_has_its_own_batches_and_the_test_half_always_the_same(hardware: Hardware) -> None:
    model = linear(hardware.device)
    train, test = Rows(FEATURES, LABELS, 4, hardware.device), Rows(FEATURES, LABELS, 4, hardware.device, None)
    fit(model, still(model), train, test, Schedule(3), hardware)
    assert train.asked == [0, 1, 2]
    assert test.asked == [0, 0, 0]


def test_bf16_is_for_products_alone(device: torch.device) -> None:
    hardware = Hardware(device, "bf16", 1)
    model = Watched().to(device)
    batches = Rows(FEATURES, LABELS, 4, device)
    train_epoch(model, torch.optim.SGD(model.parameters(), 0.1), batches, hardware)
    logits, _ = predict(model, batches, hardware, "test")
    assert all(bf16 for _, _, bf16, _ in model.calls)
    assert logits.dtype == torch.float32
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


# Losses that are not finite


def numbers(bad: dict[int, float], batches: int) -> Tensor:
    """Logits (batches, 2), one example a batch; the label 1 of the bad ones has the given logit."""
    logits = torch.zeros(batches, 2)
    for place, value in bad.items():
        logits[place, 1] = value
    return logits


@pytest.mark.parametrize(("logit", "shown"), [(float("nan"), "nan"), (float("-inf"), "inf")])
def test_the_first_loss_that_is_not_finite_is_named(hardware: Hardware, logit: float, shown: str) -> None:
    model = Echo().to(hardware.device)
    features = numbers({2: logit, 4: float("nan")}, 6)
    batches = Rows(features.flip(0), torch.ones(6, dtype=torch.int64), 1, hardware.device, None)
    with pytest.raises(InputError, match=rf"^epoch 1, batch 3: the loss is {shown}; try a smaller lr"):
        train_epoch(model, torch.optim.SGD(model.parameters(), 0.1), batches, hardware)


def test_a_loss_that_is_not_finite_ends_training_in_the_epoch_that_has_it(hardware: Hardware) -> None:
    class LaterBad(Rows):
        def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
            for place, batch in enumerate(super().epoch(number, start), start):
                yield batch._replace(inputs=(batch.inputs[0] * (math.nan if (number, place) == (1, 1) else 1),))

    model = linear(hardware.device)
    train = LaterBad(FEATURES, LABELS, 4, hardware.device)
    test = Rows(FEATURES, LABELS, 4, hardware.device, None)
    with pytest.raises(InputError, match=r"^epoch 2, batch 2: the loss is nan"):
        fit(model, still(model), train, test, Schedule(3), hardware)
    assert train.asked == [0, 1]


def test_a_test_half_whose_loss_is_not_finite_ends_training(hardware: Hardware) -> None:
    model = linear(hardware.device)
    train = Rows(FEATURES, LABELS, 4, hardware.device)
    test = Rows(FEATURES * math.nan, LABELS, 4, hardware.device, None)
    with pytest.raises(InputError, match=r"^epoch 1, test pass: the loss is nan"):
        fit(model, still(model), train, test, Schedule(3), hardware)


def test_a_long_epoch_ends_soon_after_a_loss_that_is_not_finite(hardware: Hardware) -> None:
    model = Echo().to(hardware.device)
    count = 3 * CHECK_INTERVAL
    batches = Rows(
        numbers({4: math.nan}, count).flip(0), torch.ones(count, dtype=torch.int64), 1, hardware.device, None
    )
    with pytest.raises(InputError, match=r"^epoch 8, batch 5: "):
        train_epoch(model, still(model), batches, hardware, done=7)
    assert batches.given <= CHECK_INTERVAL


# Prediction


def test_predictions_come_in_the_data_sets_order(hardware: Hardware) -> None:
    model = linear(hardware.device).train()
    with torch.no_grad():
        expected = model(FEATURES.to(hardware.device))
    for size, seed in ((4, None), (3, 1), (10, 2), (1, 3)):
        logits, labels = predict(model, Rows(FEATURES, LABELS, size, hardware.device, seed), hardware, "test")
        torch.testing.assert_close(logits, expected)
        assert labels.tolist() == LABELS.tolist()
        assert not logits.requires_grad
    assert not model.training


def test_score_is_mean_cross_entropy_and_accuracy() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [0.0, math.log(3)]])
    loss, accuracy = score(logits, torch.tensor([0, 0, 0]))
    assert loss == pytest.approx(-(math.log(1 / 2) + math.log(3 / 4) + math.log(1 / 4)) / 3)
    assert accuracy == 2 / 3


# The mean of an epoch's weights


class Noting(torch.optim.SGD):
    """An optimizer that notes all that its model holds after every step."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model.parameters(), 0.5)
        self.model = model
        self.states: list[dict[str, Tensor]] = []

    def step(self, closure: Any = None) -> Any:
        done = super().step(closure)
        self.states.append({name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()})
        return done


def normed(device: torch.device) -> nn.Module:
    """A model with statistics and a counter beside its weights."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(device)


@pytest.mark.parametrize(("epochs", "average_epochs"), [(1, 1), (3, 1), (3, 2), (2, 2), (2, 5)])
def test_the_weights_kept_are_the_mean_over_the_steps_of_the_last_epochs(
    hardware: Hardware, epochs: int, average_epochs: int
) -> None:
    model = normed(hardware.device)
    optimizer = Noting(model)
    train, test = Rows(FEATURES, LABELS, 4, hardware.device), Rows(FEATURES, LABELS, 4, hardware.device, None)
    fit(model, optimizer, train, test, Schedule(epochs, average_epochs), hardware)
    last = optimizer.states[-average_epochs * len(train) :]
    assert len(optimizer.states) == epochs * len(train)
    for name, kept in model.state_dict().items():
        steps = torch.stack([state[name] for state in last])
        if kept.is_floating_point():
            torch.testing.assert_close(kept, steps.mean(0))
        else:
            assert torch.equal(kept, last[-1][name])
    assert not torch.equal(model.state_dict()["2.weight"], last[-1]["2.weight"])


def test_training_itself_goes_on_from_the_last_step(hardware: Hardware) -> None:
    states = []
    for average_epochs in (2, 0):
        model = normed(hardware.device)
        optimizer = Noting(model)
        train, test = Rows(FEATURES, LABELS, 4, hardware.device), Rows(FEATURES, LABELS, 4, hardware.device, None)
        fit(model, optimizer, train, test, Schedule(3, average_epochs), hardware)
        states.append(optimizer.states)
        if not average_epochs:
            assert all(torch.equal(kept, states[-1][-1][name]) for name, kept in model.state_dict().items())
    for one, other in zip(*states, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_frozen_keeps_every_bit_in_the_mean(hardware: Hardware) -> None:
    model = normed(hardware.device)
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    train, test = Rows(FEATURES, LABELS, 4, hardware.device), Rows(FEATURES, LABELS, 4, hardware.device, None)
    optimizer = torch.optim.SGD(model[2].parameters(), 0.5)
    fit(model, optimizer, train, test, Schedule(2, 1), hardware)
    assert torch.equal(model[0].weight, before)


# The epoch kept by a held-out part


class Scripted(Rows):
    """Nine examples, so many of which are right in each pass for a model that answers its inputs."""

    def __init__(self, right: list[int], device: torch.device) -> None:
        super().__init__(torch.eye(2).repeat(5, 1)[:9], torch.arange(9) % 2, 4, device, None)
        self.right = right

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        right = self.right[len(self.asked)]
        for batch in super().epoch(number, start):
            yield batch._replace(labels=torch.where(batch.rows < right, batch.labels, 1 - batch.labels))


def validated(
    hardware: Hardware, right: list[int], patience: int | None, average_epochs: int = 0
) -> tuple[float, list[dict[str, Tensor]], Rows, Trainer]:
    """Train Echo through the passes of the script; return its scale, and those after every step."""
    model = Echo().to(hardware.device)
    optimizer = Noting(model)
    optimizer.param_groups[0]["lr"] = 0.01
    train = Rows(torch.eye(2).repeat(5, 1), torch.arange(10) % 2, 4, hardware.device)
    trainer = Trainer(model, optimizer, Schedule(len(right), average_epochs, 0.2, patience), hardware)
    trainer.fit(train, Scripted(right, hardware.device))
    return float(model.scale.detach()), optimizer.states, train, trainer


@pytest.mark.parametrize(
    ("right", "patience", "kept", "ran"),
    [
        ([4, 9, 6, 6, 6], None, 2, 5),
        ([4, 9, 6, 6, 6], 1, 2, 3),
        ([4, 9, 6, 6, 6], 2, 2, 4),
        ([4, 6, 5, 9, 6, 5, 6], 2, 4, 6),  # patience counts from the best one
        ([9, 4, 4], 9, 1, 3),
        ([4, 6, 9], 1, 3, 3),
        ([6, 5, 9], 1, 1, 2),
    ],
)
def test_the_weights_of_the_best_epoch_are_kept(
    hardware: Hardware, right: list[int], patience: int | None, kept: int, ran: int
) -> None:
    scale, states, train, trainer = validated(hardware, right, patience)
    assert train.asked == list(range(ran))
    ends = [float(state["scale"]) for state in states[2::3]]  # three batches an epoch
    assert len(set(ends)) == len(ends) == ran
    assert scale == ends[kept - 1]
    assert trainer.trained_on().kept_epoch == kept
    rows = trainer.history.rows
    assert len(rows) == ran
    assert rows[kept - 1]["validation_accuracy"] == right[kept - 1] / 9
    assert all("test_loss" not in row for row in rows)


@pytest.mark.parametrize(("kept", "steps"), [(1, slice(0, 3)), (2, slice(3, 6)), (3, slice(3, 9)), (4, slice(9, 12))])
def test_the_mean_is_kept_as_it_was_scored(hardware: Hardware, kept: int, steps: slice) -> None:
    right = [9 if number == kept else 4 for number in (1, 2, 3)] if kept < 4 else [4, 5, 6, 7]
    average_epochs = 2 if kept < 4 else 1
    scale, states, *_ = validated(hardware, right, None, average_epochs)
    assert scale == pytest.approx(sum(float(state["scale"]) for state in states[steps]) / len(states[steps]))


def test_of_equal_accuracies_the_least_loss_is_best_and_of_equal_losses_the_first_epoch() -> None:
    def best(*rows: tuple[float, float]) -> int:
        found = [{"validation_accuracy": accuracy, "validation_loss": loss} for accuracy, loss in rows]
        return History(found).best_epoch()

    assert best((0.5, 0.1)) == 1
    assert best((0.5, 0.1), (0.8, 0.9), (0.8, 0.7), (0.8, 0.7), (0.7, 0.2)) == 3


def test_the_lines_of_a_validated_training(hardware: Hardware, capsys: pytest.CaptureFixture[str]) -> None:
    *_, trainer = validated(hardware, [4, 9, 6], 1)
    _, *epochs, kept = capsys.readouterr().out.splitlines()
    form = r"epoch \d, loss \d\.\d{4}, train acc \d\.\d{3}, validation acc (\d\.\d{3}), time \d+\.\d sec"
    found = [re.fullmatch(form, line) for line in epochs]
    assert [match and match[1] for match in found] == ["0.444", "1.000", "0.667"]
    assert kept == "kept epoch 2, validation acc 1.000"
    assert [row.keys() for row in trainer.history.seconds] == [{"train", "validation"}] * 3


# What is recorded and printed


@pytest.mark.parametrize("average_epochs", [0, 1, 2])
def test_the_history_of_a_training(hardware: Hardware, average_epochs: int) -> None:
    model, history = run(hardware, average_epochs=average_epochs)
    assert len(history.rows) == len(history.seconds) == 3
    assert all(row.keys() == {"train_loss", "train_accuracy", "test_loss", "test_accuracy"} for row in history.rows)
    assert all(row.keys() == {"train", "test"} and min(row.values()) > 0 for row in history.seconds)
    # The last row is that of the weights that training ends with
    test, last = Rows(FEATURES[:7], LABELS[:7], 3, hardware.device, None), history.rows[-1]
    assert score(*predict(model, test, hardware, "test")) == (last["test_loss"], last["test_accuracy"])


def test_whoever_listens_hears_of_each_epoch_as_it_ends(hardware: Hardware) -> None:
    model, heard = linear(hardware.device), []
    train = Rows(FEATURES, LABELS, 4, hardware.device)
    trainer = Trainer(model, still(model), Schedule(3), hardware)
    trainer.fit(train, train, lambda history: heard.append((len(history.rows), train.asked[-1])))
    assert heard == [(1, 0), (2, 0), (3, 0)]  # the last pass was the one over the test split


def test_without_a_split_to_score_there_are_training_figures_alone(hardware: Hardware) -> None:
    model = linear(hardware.device)
    history = Trainer(model, still(model), Schedule(2), hardware).fit(Rows(FEATURES, LABELS, 4, hardware.device))
    assert [row.keys() for row in history.rows] == [{"train_loss", "train_accuracy"}] * 2


def test_curves_have_a_row_an_epoch_and_empty_cells_for_the_split_that_is_not_scored(tmp_path: Path) -> None:
    row = {"train_loss": 0.5, "train_accuracy": 0.75, "test_loss": 1 / 3, "test_accuracy": 0.5}
    write_curves(tmp_path / "curves.csv", History([row, row]))
    header, *rows = (tmp_path / "curves.csv").read_text(encoding="utf-8").splitlines()
    splits = ("train", "validation", "test")
    names = ["epoch", *(f"{split}_{figure}" for split in splits for figure in ("loss", "accuracy"))]
    assert header == ",".join(f'"{name}"' for name in names)
    assert rows == ["1,0.5,0.75,,,0.3333333333333333,0.5", "2,0.5,0.75,,,0.3333333333333333,0.5"]


def test_the_printed_lines_have_the_textbooks_form(hardware: Hardware, capsys: pytest.CaptureFixture[str]) -> None:
    _, history = run(hardware, epochs=2)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"training on {hardware}"
    assert first.startswith(f"training on {hardware.device.type}")
    assert len(lines) == 2
    for number, (line, row) in enumerate(zip(lines, history.rows, strict=True), 1):
        form = r"epoch (\d+), loss (\d\.\d{4}), train acc (\d\.\d{3}), test acc (\d\.\d{3}), time \d+\.\d sec"
        found = re.fullmatch(form, line)
        assert found, line
        assert int(found[1]) == number
        assert found[2] == f"{row['train_loss']:.4f}"
        assert found[3] == f"{row['train_accuracy']:.3f}"
        assert found[4] == f"{row['test_accuracy']:.3f}"


def test_one_seed_gives_the_same_weights_and_figures_bit_for_bit(hardware: Hardware) -> None:
    (one, figures), (two, again) = (run(hardware, seed=1) for _ in range(2))
    other, _ = run(hardware, seed=2)
    assert figures.rows == again.rows
    for (name, tensor), same in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        assert tensor.equal(same), name
    assert not one.weight.equal(other.weight)


# Options of the schedule


def watched(hardware: Hardware, schedule: Schedule, batches: int = 3) -> tuple[Trainer, list[float]]:
    """A trainer after `schedule`, and the learning rate of each step."""
    model, rates = linear(hardware.device), []
    optimizer = torch.optim.SGD(model.parameters(), 0.4)
    optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
    trainer = Trainer(model, optimizer, schedule, hardware)
    train = Rows(FEATURES, LABELS, -(-len(LABELS) // batches), hardware.device)
    trainer.fit(train, Rows(FEATURES, LABELS, 4, hardware.device, None))
    return trainer, rates


def test_a_constant_rate_stays_as_it_is(hardware: Hardware) -> None:
    assert watched(hardware, Schedule(2))[1] == [0.4] * 6


@pytest.mark.parametrize(("epochs", "batches"), [(7, 3), (1, 1), (1, 2)])
def test_one_cycle_goes_up_to_the_rate_and_down_to_nothing(hardware: Hardware, epochs: int, batches: int) -> None:
    rates = watched(hardware, Schedule(epochs, schedule="one_cycle"), batches)[1]
    assert len(rates) == epochs * batches
    assert max(rates) <= 0.4
    if epochs > 1:
        peak = rates.index(max(rates))
        assert rates[peak] > 0.39
        assert 0.2 < peak / len(rates) < 0.4
        assert rates[: peak + 1] == sorted(rates[: peak + 1])
        assert rates[peak:] == sorted(rates[peak:], reverse=True)
        assert rates[-1] < 0.4e-3


def test_the_gradient_is_clipped_to_the_norm(hardware: Hardware) -> None:
    norms = {}
    for clip_norm in (None, 0.1):
        model, found = linear(hardware.device), []
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        gradients = list(model.parameters())

        def note(*_: Any, gradients: Any = gradients, found: Any = found) -> None:
            found.append(float(torch.cat([parameter.grad.flatten() for parameter in gradients]).norm()))

        optimizer.register_step_pre_hook(note)
        train_rows = Rows(FEATURES, LABELS, 4, hardware.device)
        Trainer(model, optimizer, Schedule(1, clip_norm=clip_norm), hardware).train_epoch(train_rows)
        norms[clip_norm] = found
    assert min(norms[None]) > 0.2
    assert norms[0.1] == pytest.approx([0.1] * 3, rel=1e-3)


def test_smoothed_labels_are_in_the_loss_of_training_alone(hardware: Hardware) -> None:
    model = linear(hardware.device)
    trainer = Trainer(model, still(model), Schedule(1, label_smoothing=0.2), hardware)
    rows = Rows(FEATURES, LABELS, 4, hardware.device)
    trainer.fit(rows, Rows(FEATURES, LABELS, 4, hardware.device, None))
    with torch.no_grad():
        logits, labels = model(FEATURES.to(hardware.device)), LABELS.to(hardware.device)
    (row,) = trainer.history.rows
    assert row["train_loss"] == pytest.approx(float(cross_entropy(logits, labels, label_smoothing=0.2)), rel=1e-5)
    assert row["test_loss"] == pytest.approx(float(cross_entropy(logits, labels)), rel=1e-5)


def test_the_temperature_is_the_best_on_what_was_scored(hardware: Hardware) -> None:
    labels = LABELS.clone()
    labels[:2] = 1 - labels[:2]  # no model of three features gets these right
    scored = Rows(FEATURES, labels, 4, hardware.device, None)
    model = linear(hardware.device)
    trainer = Trainer(
        model, torch.optim.SGD(model.parameters(), 0.4), Schedule(9, validation_fraction=0.5, calibrate=True), hardware
    )
    trainer.fit(Rows(FEATURES, LABELS, 4, hardware.device), scored)
    losses = {
        factor: score(*predict(trainer.model, scored, hardware, "", trainer.temperature * factor))[0]
        for factor in (0.9, 1.0, 1.1)
    }
    assert min(losses, key=losses.__getitem__) == 1.0
    assert trainer.temperature > 1.1  # it is sure of what it gets wrong


def test_where_every_prediction_is_right_the_temperature_is_1(hardware: Hardware) -> None:
    trainer, _ = watched(hardware, Schedule(9, validation_fraction=0.5, calibrate=True))
    assert trainer.history.rows[-1]["validation_accuracy"] == 1
    assert trainer.temperature == 1


def test_without_calibration_the_temperature_is_1(hardware: Hardware) -> None:
    assert watched(hardware, Schedule(2, validation_fraction=0.5))[0].temperature == 1
