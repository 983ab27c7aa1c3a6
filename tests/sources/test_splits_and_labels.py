"""What users' tables say of splits and classes: taken as meant, with warnings."""

import json
from pathlib import Path

import pytest

from stages.core.files import InputError
from stages.sources.labels import odd_classes
from stages.sources.repeats import repeated, same_text
from stages.sources.tables import Columns, Row, read_labelled_texts

COLUMNS = Columns("text", "label", None)
SPLIT = Columns("text", "label", "split")


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def labelled(labels: list[object]) -> list[dict[str, object]]:
    return [{"text": f"soup {place} of {label!r}", "label": label} for label in labels for place in range(3)]


def read(path: Path, columns: Columns = COLUMNS, seed: int = 0) -> dict[str, list[Row]]:
    return read_labelled_texts(path, columns, 0.2, seed)


# Equal texts


@pytest.mark.parametrize("seed", range(10))
def test_texts_that_differ_by_case_and_blanks_are_in_one_split(tmp_path: Path, seed: int) -> None:
    forms = ["{} is good", "{} IS  good", " {}\nis Good "]
    texts = [forms[i % 3].format(f"place {i // 3}") for i in range(120)]
    rows: list[dict[str, object]] = [{"text": text, "label": "ab"[i // 3 % 2]} for i, text in enumerate(texts)]
    splits = read(write(tmp_path / "a.jsonl", rows), seed=seed)
    assert repeated(*([row.text for row in splits[split]] for split in ("train", "test"))) == []
    assert len(splits["test"]) == 24


def test_texts_of_both_splits_are_counted() -> None:
    assert repeated(["a b", "c"], ["A\n B ", "d", "ab", "c"]) == [0, 3]
    assert same_text("Ä  \u00a0x") == same_text("ä X") != same_text("äx")


def test_a_text_under_two_labels_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(write(tmp_path / "a.jsonl", [*labelled(["a", "b"]), {"text": "Soup 0 OF 'a'", "label": "b"}]))
    assert "2 rows have a text that stands under two labels, such as \"soup 0 of 'a'\" in 1" in capsys.readouterr().err


# Classes


@pytest.mark.parametrize(
    "names",
    [
        ("good", "Good"), ("good", "go\u200bod"), ("good", '"good"'), ("so so", "so  so"), ("so so", "so\u00a0so"),
        ("1", "1.0"), ("1", "true"), ("0", "False"), ("caf\u00e9", "cafe\u0301"), ("good", "\u201cgood\u201d"),
        ("1", "01"),
    ],
)  # fmt: skip
def test_classes_that_hardly_differ_are_shown(names: tuple[str, str]) -> None:
    counts = {names[0]: 1200, names[1]: 3, "bad": 5}
    shown = ", ".join(f"{name!r} ({counts[name]:,})" for name in sorted(names))
    assert odd_classes(counts) == [f"classes that may be one: {shown}"]


@pytest.mark.parametrize("name", ["nan", "NaN", "null", "None", "N/A", "<NA>", "-", '"null"'])
def test_classes_that_are_called_nothing_are_shown(name: str) -> None:
    assert odd_classes({name: 4, "good": 5}) == [f"classes that may stand for a missing label: {name!r} (4)"]


def test_classes_in_order_raise_no_doubt() -> None:
    assert (
        odd_classes(dict.fromkeys(["1", "2", "10", "-1", "0.5", "good", "not good", "nano", "好", "no", "C", "C++"], 3))
        == []
    )


def test_the_doubts_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*labelled([True, 1, False, 0, "nan"]), *({"text": f"x{i}", "label": " nan "} for i in range(3))]
    read(write(tmp_path / "a.jsonl", rows))
    printed = capsys.readouterr().err
    assert "warning: " in printed
    for part in (
        "classes that may be one: '1' (3), 'true' (3); rename", "classes that may be one: '0' (3), 'false' (3)",
        "may stand for a missing label: 'nan' (6)", "without the blanks around them: ' nan ' (3), 'nan' (3)",
    ):  # fmt: skip
        assert part in printed
    read(write(tmp_path / "b.jsonl", labelled(["good", "bad"])))
    assert capsys.readouterr().err == ""


# Validation rows


def of_splits(*names: str) -> list[dict[str, object]]:
    return [
        {"text": f"{name} {label} {i}", "label": label, "split": name}
        for name in names
        for label in "ab"
        for i in range(3)
    ]


@pytest.mark.parametrize("name", ["validation", "Valid", "val", "dev"])
def test_validation_rows_belong_to_the_training_split(tmp_path: Path, name: str) -> None:
    splits = read(write(tmp_path / "a.jsonl", of_splits("training", name, "test")), SPLIT)
    assert [row.split for row in splits["train"]] == ["train"] * 6 + ["validation"] * 6
    assert [row.split for row in splits["test"]] == ["test"] * 6


def test_a_class_of_validation_rows_alone_is_refused(tmp_path: Path) -> None:
    rows = [*of_splits("train", "test"), {"text": "x", "label": "c", "split": "val"}]
    with pytest.raises(InputError, match="classes in validation that are not in train: 'c'"):
        read(write(tmp_path / "a.jsonl", rows), SPLIT)
    with pytest.raises(InputError, match="classes in test that are not in train: 'a', 'b'"):
        read(write(tmp_path / "b.jsonl", of_splits("val", "test")), SPLIT)
    with pytest.raises(InputError, match="no row of the test split"):
        read(write(tmp_path / "b.jsonl", of_splits("train", "val")), SPLIT)
