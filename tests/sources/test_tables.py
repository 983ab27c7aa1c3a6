import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core.files import InputError
from stages.sources.records import MAX_LETTERS
from stages.sources.tables import Columns, read_labelled_texts
from stages.text.reading.table import SCHEMA, review_table

COLUMNS = Columns("text", "label", None)
SPLIT = Columns("text", "label", "split")
ROWS = [
    {"text": text, "label": label, "split": split}
    for split in ("train", "test")
    for text, label in [
        ('She said "great", twice', "1"),
        ("太好看了。我很喜欢", "1"),
        ("null", "-1"),
        ("0.50", "-1"),
        ("tab\there", "0.50"),
        ("  a film\r\nof two lines", "0.50"),
    ]
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if ".jsonl" in path.suffixes:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        delimiter = "\t" if ".tsv" in path.suffixes else ","
        quoted = [['"' + value.replace('"', '""') + '"' for value in row.values()] for row in rows]
        text = "".join(delimiter.join(fields) + "\n" for fields in [list(rows[0]), *quoted])
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def read(path: Path, columns: Columns = COLUMNS, fraction: float = 0.25, seed: int = 0) -> dict[str, pa.Table]:
    splits = read_labelled_texts(path, columns, fraction, seed)
    return {split: review_table(split, rows) for split, rows in splits.items()}


def refused(path: Path, columns: Columns = COLUMNS) -> str:
    """The message, less the file's name in front of it."""
    with pytest.raises(InputError) as caught:
        read(path, columns)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path)).lstrip(":, ")


def many(counts: dict[str, int]) -> list[dict[str, str]]:
    return [{"text": f"review {i} of {label}", "label": label} for label, n in counts.items() for i in range(n)]


def pairs(table: pa.Table) -> set[tuple[str, str]]:
    return set(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))


# Formats


@pytest.mark.parametrize(
    "name",
    ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz", "a.tsv.gz", "a.jsonl.gz", "A.b.CSV"],
)
def test_each_format_gives_the_same_reviews(tmp_path: Path, name: str) -> None:
    splits = read(write(tmp_path / name, ROWS), SPLIT)
    for split, table in splits.items():
        assert table.schema == SCHEMA
        expected = [row for row in ROWS if row["split"] == split]
        assert table["label"].to_pylist() == [row["label"] for row in expected]
        assert table["text"].to_pylist() == [row["text"].replace("\r\n", " ") for row in expected]
        assert table["rating"].null_count == len(table)


def test_an_id_tells_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('split,text,label\ntrain,"one\ntwo",a\n\ntrain,three,b\ntest,x,a\ntest,y,b\n')
    splits = read(tmp_path / "a.csv", SPLIT)
    assert splits["train"]["id"].to_pylist() == ["train/000002", "train/000005"]
    assert splits["test"]["id"].to_pylist() == ["test/000006", "test/000007"]


def test_numbers_are_classes_as_they_are_written(tmp_path: Path) -> None:
    labels = ("1", "1.50", "true", '"1"')
    rows = [f'{{"text": "x{i}", "label": {label}}}' for i in range(4) for label in labels]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    assert set(read(tmp_path / "a.jsonl")["train"]["label"].to_pylist()) == {"1", "1.50", "true"}
    table = pa.table({"text": ["a", "b", "c", "d"] * 2, "label": pa.array([1, 2, 1, 2] * 2, pa.int8())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert set(read(tmp_path / "a.parquet")["test"]["label"].to_pylist()) == {"1", "2"}


def test_a_mark_at_the_files_beginning_and_windows_line_ends_are_no_part_of_it(tmp_path: Path) -> None:
    text = "\ufefftext,label\r\n" + "".join(f"good {i},a\r\nbad {i},b\r\n" for i in range(3))
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert pairs(read(tmp_path / "a.csv")["train"]) <= {(f"{word} {i}", c) for i in range(3) for word, c in
                                                       (("good", "a"), ("bad", "b"))}  # fmt: skip


def test_other_columns_do_not_matter(tmp_path: Path) -> None:
    rows = [row | {"when": None, "stars": 1 + i} for i, row in enumerate(ROWS)]
    assert [len(table) for table in read(write(tmp_path / "a.parquet", rows), SPLIT).values()] == [6, 6]


# The test split


def test_the_test_split_has_the_share_of_each_class(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", many({"a": 100, "b": 41, "c": 3, "d": 2}))
    splits = read(path, fraction=0.2)
    assert Counter(splits["test"]["label"].to_pylist()) == {"a": 20, "b": 8, "c": 1, "d": 1}
    assert len(splits["train"]) + len(splits["test"]) == 146
    assert pairs(splits["train"]).isdisjoint(pairs(splits["test"]))
    splits = read(path, fraction=0.999)
    assert Counter(splits["train"]["label"].to_pylist()) == {"a": 1, "b": 1, "c": 1, "d": 1}


def test_the_test_split_hangs_on_the_seed_and_not_on_the_rows_order(tmp_path: Path) -> None:
    rows = many({"a": 60, "b": 60})
    first = read(write(tmp_path / "a.csv", rows))
    again = read(write(tmp_path / "a.csv", rows))
    assert all(first[split].equals(again[split]) for split in first)
    other = read(tmp_path / "a.csv", seed=1)
    assert pairs(other["test"]) != pairs(first["test"])
    random.Random(0).shuffle(rows)
    shuffled = read(write(tmp_path / "b.csv", rows))
    assert {split: pairs(table) for split, table in shuffled.items()} == {split: pairs(first[split]) for split in first}


# What is refused

HEADED = "text,label\n"
LONG = "x" * (MAX_LETTERS + 1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "empty; expected a header with the columns' names, and one review per row"),
        ("a.csv", "\n\n", "empty; expected a header"),
        ("a.csv", HEADED, "no review in it"),
        ("a.jsonl", "\n", "no review in it"),
        ("a.csv", "review,label\nx,a\n", "no column 'text' (own.text in params.yaml); it has 'review', 'label'"),
        ("a.csv", "text,label,text\nx,a,y\n", "two columns 'text' (own.text in params.yaml)"),
        ("a.csv", HEADED + "x,a\ny,b,c\n", "line 3: 3 fields, expected 2 as in the header"),
        ("a.csv", HEADED + 'x,a\n"y,b\nz,a\n', "line 3: a quote opens a field here, and none ends it; a field with"),
        ("a.csv", HEADED + '"x" y,a\n', "line 2: ',' expected after '\"'; a field with a quote"),
        ("a.csv", HEADED + '"x\n\ny",a\n ,b\nz,a\n,b\n', "nothing in column 'text' in line 5, 7; fill it in or delete"),
        ("a.csv", HEADED + "".join(f"x{i},\n" for i in range(9)), "'label' in line 2, 3, 4, 5, 6 and 4 more; fill it"),
        ("a.jsonl", '{"text": null, "label": "a"}\n', "nothing in column 'text' in line 1; fill it in or delete"),
        ("a.csv", HEADED + "x,a\ny,a\n", "only one class in column 'label': 'a'; expected two"),
        ("a.csv", HEADED + "x,a\ny,a\nz,b\n", "class 'b': a single example; expected one for each split"),
        ("a.csv", HEADED + "x,a\ny,b\nz,c\n", "class 'a' and 2 more: a single example"),
        ("a.csv", HEADED + LONG + ",a\n", "line 2: field larger than field limit"),
        ("a.jsonl", f'{{"text": "{LONG}", "label": 1}}', "line 1: 16,777,217 letters in column 'text'"),
        ("a.jsonl", '{"text": "x", "label": 1}\n{"text": "x"', "line 2: not JSON (Expecting ',' delimiter"),
        ("a.jsonl", "[" * 100_000, "line 1: not JSON (maximum recursion depth"),
        ("a.jsonl", '["x", "a"]\n', "line 1: '[\"x\", \"a\"]' found, expected one JSON object per line"),
        ("a.jsonl", '{"text": "x", "label": 1}\n{"text": "x"}', "line 2: no column 'label' (own.label in params.yaml)"),
        ("a.jsonl", '{"text": "x", "label": [1]}', "line 1: \"['1']\" in column 'label'; expected a text or a number"),
        ("a.jsonl", '{"text": "x \\ud800", "label": 1}', "line 1: column 'text' is not UTF-8 at letter 3"),
        ("a.txt", "x", "own.reviews ends in none of .csv, .tsv, .jsonl, .parquet"),
        ("a.parquet.gz", "x", "own.reviews ends in none of"),
        ("a", "x", "own.reviews ends in none of"),
        ("a.csv.gz", "no gzip", "not packed by gzip; let its name end without .gz"),
        ("a.parquet", "no Parquet", "cannot be read: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert refused(tmp_path / name).startswith(message) or message in refused(tmp_path / name)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.csv.gz"])
def test_bytes_that_are_not_utf8_are_named_by_their_line(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, many({"a": 3, "b": 3}))
    data = (tmp_path / name).read_bytes()
    data = gzip.decompress(data) if name.endswith(".gz") else data
    data = data.replace(b"review 1 of b", b"caf\xe9 1 of b")
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    line = 5 if "jsonl" in name else 6
    assert refused(tmp_path / name).startswith(f"line {line}: column 'text' is not UTF-8 at letter 4; save the file")


def test_a_gzip_that_breaks_off_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv.gz", many({"a": 999, "b": 999}))
    path.write_bytes(path.read_bytes()[:-20])
    assert refused(path).startswith("cannot be read: ")


def test_what_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "a.csv")
    (tmp_path / "b.jsonl").mkdir()
    assert "Is a directory" in refused(tmp_path / "b.jsonl")


def test_a_split_that_is_none_is_refused(tmp_path: Path) -> None:
    rows = [*ROWS, {"text": "x", "label": "1", "split": "eval"}]
    assert refused(write(tmp_path / "a.parquet", rows), SPLIT) == (
        "row 13: 'eval' in column 'split'; expected train, test or validation; own.split: null draws a test split"
    )
    assert refused(write(tmp_path / "a.csv", [*ROWS, ROWS[0] | {"split": ""}]), SPLIT).startswith("nothing in column")


def test_splits_of_other_classes_are_refused(tmp_path: Path) -> None:
    rows = [row for row in ROWS if (row["split"], row["label"]) != ("test", "-1")]
    assert refused(write(tmp_path / "a.csv", rows), SPLIT) == "classes in train that are not in test: '-1'"
    rows = [row for row in ROWS if (row["split"], row["label"]) != ("train", "1")]
    assert refused(write(tmp_path / "a.csv", rows), SPLIT) == "classes in test that are not in train: '1'"
    rows = [row | {"split": "train"} for row in ROWS]
    assert refused(write(tmp_path / "a.csv", rows), SPLIT) == "no row of the test split; own.split: null draws one"
