from pathlib import Path

import pytest

from stages.core.files import InputError
from stages.core.split import draw_test

SOURCE = Path("/data/chairs")


def draw(counts: dict[str, int], fraction: float = 0.2, seed: int = 0) -> dict[str, set[str]]:
    """The ids that are drawn, by class."""
    ids = [f"{label}/{i}" for label, count in counts.items() for i in range(count)]
    labels = [name.split("/")[0] for name in ids]
    drawn = draw_test(ids, labels, fraction, seed, SOURCE)
    return {label: {i for i, is_test in zip(ids, drawn, strict=True) if is_test and i.startswith(label)}
            for label in counts}  # fmt: skip


@pytest.mark.parametrize(
    ("count", "fraction", "expected"), [(10, 0.2, 2), (100, 0.33, 33), (2, 0.01, 1), (2, 0.99, 1), (7, 0.5, 4)]
)
def test_each_class_gives_its_share_and_keeps_an_example(count: int, fraction: float, expected: int) -> None:
    drawn = draw({"a": count, "b": 1000}, fraction)
    assert (len(drawn["a"]), len(drawn["b"])) == (expected, round(1000 * fraction))


def test_the_seed_decides_and_nothing_else() -> None:
    assert draw({"a": 50, "b": 50}) == draw({"a": 50, "b": 50})
    assert draw({"a": 50, "b": 50}) == draw({"b": 50, "a": 50})
    assert draw({"a": 50, "b": 50}, seed=1) != draw({"a": 50, "b": 50})


def test_the_draw_is_the_same_on_every_machine() -> None:
    assert draw({"a": 10, "b": 10}) == {"a": {"a/2", "a/7"}, "b": {"b/2", "b/6"}}


def test_it_is_not_the_first_that_are_drawn() -> None:
    places = [int(name.split("/")[1]) for name in draw({"a": 1000})["a"]]
    assert 400 < sum(places) / len(places) < 600


def test_a_new_example_moves_few_from_half_to_half() -> None:
    before, after = draw({"a": 100})["a"], draw({"a": 101})["a"]
    assert len(before ^ after) <= 2


def test_a_class_of_one_example_is_refused() -> None:
    with pytest.raises(InputError, match="^/data/chairs: a single example of class 'b'; expected two or more"):
        draw({"a": 5, "b": 1})
