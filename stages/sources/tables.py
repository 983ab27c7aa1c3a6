"""Labelled texts from the user's CSV, TSV, JSONL or Parquet file, in a train and a test split."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stages.core.cache import log
from stages.core.files import InputError, some
from stages.sources.labels import merged_labels, odd_classes
from stages.sources.records import FOUND_OUT, PARQUET, Form, as_text, read_records
from stages.sources.repeats import same_text
from stages.sources.user_data import SPLITS, draw_test_split


class Columns(NamedTuple):
    """The names of the columns in the file. The fields are the keys under `own` in params.yaml."""

    text: str
    label: str
    split: str | None  # None: no column says which split a row belongs to


SPLIT_NAMES = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
}  # fmt: skip


class Row(NamedTuple):
    number: int  # from 1: of the line where the row starts; in Parquet, of the row
    text: str
    label: str  # as written, stripped
    split: str | None  # "train" | "test" | "validation", which is a part of the training split; None: no split column


def read_labelled_texts(
    file: Path, columns: Columns, fraction: float, seed: int, form: Form = FOUND_OUT
) -> dict[str, list[Row]]:
    """Read the rows of a CSV, TSV, JSONL or Parquet file; return them by split.

    Without a split column, `fraction` of each class is drawn for the test split, and equal texts stay together. Logs a
    warning about everything that looks like a mistake in the file.

    Raises InputError, with the line if it is known, if the file has another format, if a column or a value is missing,
    if there are fewer than two classes, or if the splits have different classes.
    """
    rows = list(_rows(file, columns, form))
    _check_classes(file, columns, rows)
    if columns.split is None:
        contents = (row.text.encode() for row in rows)
        same = (same_text(row.text) for row in rows)
        drawn = draw_test_split(file, [row.label for row in rows], contents, fraction, seed, same)
        splits = {split: [row for i, row in enumerate(rows) if (i in drawn) == (split == "test")] for split in SPLITS}
    else:
        splits = {split: [row for row in rows if (row.split == "test") == (split == "test")] for split in SPLITS}
        _check_splits(file, splits)
    return splits


def _rows(file: Path, columns: Columns, form: Form) -> Iterator[Row]:
    unit = "row" if file.suffix.lower() == PARQUET else "line"
    wanted = {name: f"own.{key} in params.yaml" for key, name in columns._asdict().items() if name}
    gaps: dict[str, list[int]] = {name: [] for name in wanted}
    labels: Counter[str] = Counter()  # as written
    for number, record in read_records(file, wanted, form, columns.label):
        place = f"{file}, {unit} {number}"
        values = {name: as_text(place, name, record[name], form) for name in gaps}
        for name, value in values.items():
            if not value.strip():
                gaps[name].append(number)
        split = values[columns.split].strip().lower() if columns.split else None
        if split and split not in SPLIT_NAMES:
            raise InputError(
                f"{place}: {split[:40]!r} in column {columns.split!r}; expected train, test or validation; "
                "own.split: null draws a test split"
            )
        split = SPLIT_NAMES[split] if split else None
        labels[values[columns.label]] += 1
        yield Row(number, values[columns.text], values[columns.label].strip(), split)
    for name, numbers in gaps.items():
        if numbers:
            raise InputError(
                f"{file}: nothing in column {name!r} in {unit} {some(numbers)}; fill it in or delete the {unit}"
            )
    if merged := merged_labels(labels):
        log(f"warning: {file}: {merged}")


def _check_classes(file: Path, columns: Columns, rows: list[Row]) -> None:
    if not rows:
        raise InputError(f"{file}: no review in it")
    classes = Counter(row.label for row in rows)
    if len(classes) < 2:
        raise InputError(f"{file}: only one class in column {columns.label!r}: {rows[0].label!r}; expected two")
    for odd in odd_classes(classes):
        log(f"warning: {file}: {odd}; rename them in the file if this is not meant")
    labels: dict[bytes, set[str]] = {}
    for row in rows:
        labels.setdefault(same_text(row.text), set()).add(row.label)
    if torn := [row for row in rows if len(labels[same_text(row.text)]) > 1]:
        shown = f"such as {torn[0].text[:40]!r} in {torn[0].number}"
        log(f"warning: {file}: {len(torn):,} rows have a text that stands under two labels, {shown}")


def _check_splits(file: Path, splits: dict[str, list[Row]]) -> None:
    if not splits["test"]:
        raise InputError(f"{file}: no row of the test split; own.split: null draws one")
    classes = {split: {row.label for row in rows} for split, rows in splits.items()}
    classes["train"] = {row.label for row in splits["train"] if row.split == "train"}
    for split, other in (SPLITS, SPLITS[::-1]):
        if more := classes[split] - classes[other]:
            raise InputError(f"{file}: classes in {split} that are not in {other}: {some(sorted(more))}")
    if more := {row.label for row in splits["train"]} - classes["train"]:
        raise InputError(f"{file}: classes in validation that are not in train: {some(sorted(more))}")
