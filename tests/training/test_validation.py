from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from stages.core.files import InputError
from stages.training.validation import hold_out, train_and_scored

NAMES = ["few", "many"]
LABELS = (torch.arange(200) % 10 != 3).long()  # 20 few, 180 many


@dataclass(frozen=True)
class Some:
    labels: Tensor
    classes: list[str]

    def select(self, rows: Tensor) -> "Some":
        return Some(self.labels[rows], self.classes)


def unread() -> Some:
    raise AssertionError("the test split was read")


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.95])
def test_every_row_is_on_one_side_and_every_class_has_its_share(fraction: float) -> None:
    rows, held_out = hold_out(LABELS, NAMES, fraction, 0)
    assert rows.dtype == held_out.dtype == torch.int64
    assert torch.cat([rows, held_out]).sort().values.tolist() == list(range(200))
    for side in (rows, held_out):
        assert side.tolist() == sorted(side.tolist())
    assert LABELS[held_out].bincount().tolist() == [round(20 * fraction), round(180 * fraction)]


def test_the_seed_decides_and_nothing_else() -> None:
    torch.manual_seed(1)
    first = hold_out(LABELS, NAMES, 0.2, 7)[1]
    torch.manual_seed(2)
    assert hold_out(LABELS, NAMES, 0.2, 7)[1].equal(first)
    assert not hold_out(LABELS, NAMES, 0.2, 8)[1].equal(first)
    assert hold_out(LABELS, NAMES, 0.2, 2**32 - 1)[1].shape == first.shape


@pytest.mark.parametrize("fraction", [1e-9, 0.005, 0.01, 0.99, 0.9999])
def test_a_fraction_that_leaves_a_class_out_is_refused(fraction: float) -> None:
    message = f"^validation_fraction: {fraction:g} leaves a class .* the training split has 20 of few, 180 of many$"
    with pytest.raises(InputError, match=message):
        hold_out(LABELS, NAMES, fraction, 0)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 1], [0] * 9])
def test_a_class_that_cannot_be_on_both_sides_is_refused(labels: list[int]) -> None:
    with pytest.raises(InputError, match=rf"the training split has \d of few, {sum(labels)} of many$"):
        hold_out(torch.tensor(labels), NAMES, 0.5, 0)


def test_with_a_fraction_the_test_half_is_not_read() -> None:
    train, scored = train_and_scored(Some(LABELS, NAMES), unread, 0.2, 0)
    assert (len(train.labels), len(scored.labels)) == (160, 40)


def test_without_one_the_whole_training_half_and_the_test_half_are_taken() -> None:
    split, test = Some(LABELS, NAMES), Some(LABELS[:5], NAMES)
    read: Callable[[], Some] = lambda: test  # noqa: E731
    train, scored = train_and_scored(split, read, 0.0, 0)
    assert train is split
    assert scored is test


@pytest.mark.parametrize("copies", [1, 2, 8, 20])
def test_equal_examples_come_to_one_side(copies: int) -> None:
    same = torch.arange(400) // copies
    labels = same % 2
    for seed in range(20):
        contents = [str(value).encode() for value in same.tolist()]
        rows, held_out = hold_out(labels, NAMES, 0.2, seed, contents)
        assert torch.cat([rows, held_out]).sort().values.tolist() == list(range(400))
        assert set(same[rows].tolist()).isdisjoint(same[held_out].tolist())
        assert labels[rows].unique().tolist() == labels[held_out].unique().tolist() == [0, 1]
        if copies == 1:
            assert held_out.equal(hold_out(labels, NAMES, 0.2, seed)[1])


def test_what_the_user_holds_out_is_held_out_whatever_the_fraction() -> None:
    given = torch.tensor([7, 3, 150])
    for fraction in (0.0, 0.5):
        rows, held_out = hold_out(LABELS, NAMES, fraction, 0, given=given)
        assert held_out.tolist() == [3, 7, 150]
        assert rows.tolist() == [row for row in range(200) if row not in (3, 7, 150)]
        train, scored = train_and_scored(Some(LABELS, NAMES), unread, fraction, 0, given=given)
        assert (len(train.labels), len(scored.labels)) == (197, 3)
