import pytest

from stages.reporting.formats import LONGEST, as_yaml, brief, duration, either, figure, short, signed, size

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.8934, ".893"), (1.0, "1.000"), (0, ".000"), (-0.02, f"{MINUS}.020"), (-1e-9, ".000"), (27.5, "27.500")],
)
def test_three_places_and_no_zero_before_the_point(value: float, text: str) -> None:
    assert short(value) == text
    assert figure(value) == f'<data value="{value}">{text}</data>'


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.04, "2.0 s"), (59.96, "60.0 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")]
)
def test_seconds_become_minutes_and_hours(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_signs_and_params() -> None:
    assert (size(999), size(44_800_000)) == ("1.0 kB", "44.8 MB")
    assert (signed(1.234), signed(-0.5)) == ("+1.23", f"{MINUS}0.50")
    assert [as_yaml(value) for value in (None, True, 0.01, "lstm", [3, 4])] == [
        "null",
        "true",
        "0.01",
        "lstm",
        "[3, 4]",
    ]


def test_few_classes_are_named_and_many_counted() -> None:
    assert either(["a", "b", "c"]) == "a or b or c"
    assert either([str(i) for i in range(1000)]) == "1,000 classes"


def test_a_name_that_is_too_long_is_cut() -> None:
    assert brief("x" * LONGEST) == "x" * LONGEST
    assert brief("long " * 20) == "long long long long long long l…"
