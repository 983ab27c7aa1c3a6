"""What predict is given: tables as own data are read, files, folders, and what only looks like one."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.apps.inputs import IMAGES, REVIEWS, sort_inputs
from tests.apps.test_predict import Answer, Ask, ask  # noqa: F401, the fixture

TEXTS = ["bad and dull", 'a "great" film', "great, and moving", "two\nlines", "bad; dull\tstory"]


def errors(answer: Answer) -> str:
    return "".join(line for line in answer.error.splitlines(keepends=True) if not line.startswith("note: trained on"))


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def csv_of(delimiter: str, texts: list[str] = TEXTS, column: str = "text") -> str:
    rows = [f"{i}{delimiter}{quoted(text)}" for i, text in enumerate(texts)]
    return "\n".join([f"id{delimiter}{column}", *rows]) + "\n"


def jsonl_of(texts: list[str]) -> str:
    return "\n".join(json.dumps({"text": text, "id": i}) for i, text in enumerate(texts))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", csv_of(",").encode()),
        ("a.csv", csv_of(";").encode("utf-8-sig")),
        ("a.CSV", csv_of("\t").encode("utf-16")),
        ("a.tsv", csv_of("\t").encode()),
        ("a.csv.gz", gzip.compress(csv_of(",").encode())),
        ("a.jsonl", jsonl_of(TEXTS).encode()),
        ("a.jsonl.gz", gzip.compress(jsonl_of(TEXTS).encode())),
    ],
)
def test_a_table_is_classified_row_by_row(ask: Ask, tmp_path: Path, name: str, data: bytes) -> None:  # noqa: F811
    (tmp_path / name).write_bytes(data)
    answer = ask("--json", name)
    assert answer.code == 0, answer.error
    found = [json.loads(line) for line in answer.lines]
    alone = [json.loads(line) for line in ask("--json", *TEXTS).lines]
    assert [row["text"] for row in found] == TEXTS
    assert {row["file"] for row in found} == {name}
    assert [row["models"] for row in found] == [row["models"] for row in alone]
    assert found[-1]["line"] == (5 if "jsonl" in name else 7)


def test_the_column_encoding_and_delimiter_can_be_named(ask: Ask, tmp_path: Path) -> None:  # noqa: F811
    texts = ["bad caf\u00e9", "great"]
    (tmp_path / "a.csv").write_bytes(csv_of("^", texts, "comment").encode("cp1252"))
    options = ("--column", "comment", "--delimiter", "^", "--encoding", "cp1252", "a.csv")
    assert ask(*options).lines == ask(*texts).lines
    assert "no column 'text' (--column); it has 'id^comment'" in ask("--encoding", "cp1252", "a.csv").error
    (tmp_path / "b.csv").write_bytes("text\n\u00e4\n\u00f6\n\u00fc\nbad\n".encode("cp1252"))
    said = errors(ask("b.csv")).splitlines()
    assert (len(said), said[1]) == (2, "error: b.csv: 2 more rows are not UTF-8")
    answer = ask("--column", "comment", "--delimiter", "^", "a.csv")
    assert (answer.code, len(answer.lines)) == (1, 1)  # the other row is read
    assert "a.csv, line 2: column 'comment' is not UTF-8" in errors(answer)
    assert "--encoding=cp1252" in errors(answer)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_what_is_wrong_in_a_table_is_named_and_the_rest_classified(
    ask: Ask,  # noqa: F811
    tmp_path: Path,
    suffix: str,
) -> None:
    name = f"a{suffix}"
    rows = {".csv": "id,text\n1,bad\n2,\n3,great,x\n", ".jsonl": '{"text": "bad"}\n{"text": null}\n{"tex": "x"}\n'}
    (tmp_path / name).write_text(rows[suffix])
    answer = ask(name, "dull")
    assert (answer.code, answer.lines) == (1, ask("bad", "dull").lines)
    first, second, third = errors(answer).splitlines()
    line = 3 if suffix == ".csv" else 2
    assert first == f"error: {name}, line {line} is empty; expected a review"
    assert second.startswith(f"error: {name}, line {line + 1}: ")
    assert third == f"the rest of {name} was not read"


def test_rows_that_a_lone_quote_would_swallow_are_refused(ask: Ask, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "a.csv").write_text('text,label\nbad,0\n"Great,1\ndull,0\nbad,0\nthe end",1\n')
    answer = ask("a.csv")
    assert answer.code == 1
    assert "a.csv, line 3: a quote opens a field that ends in line 6" in errors(answer)
    (tmp_path / "a.tsv").write_text('text\tlabel\nbad\t0\n"Great\t1\ndull\t0\nthe end"\t1\n')
    assert ask("a.tsv").lines == ask("bad", '"Great', "dull", 'the end"').lines
    (tmp_path / "b.tsv").write_text('text\nbad\n"Great\ndull\nthe end"\n')  # of a single column
    assert ask("b.tsv").lines == ask("a.tsv").lines


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
)  # fmt: skip
def test_every_kind_of_string_in_a_parquet_file_is_classified(
    ask: Ask,  # noqa: F811
    tmp_path: Path,
    kind: pa.DataType,
) -> None:
    column = pa.array(TEXTS).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(TEXTS).cast(kind)
    pq.write_table(pa.table({"comment": column}), tmp_path / "a.parquet")
    assert ask("--column", "comment", "a.parquet").lines == ask(*TEXTS).lines


@pytest.mark.parametrize(
    "argument",
    ["notes.docx", "some/reviews", "a\\b", "data/reviews", "./x", "../x y",
     "~/reviews", "/tmp/none here", "https://host/reviews", "C:\\x",
     "reviews.xlsx", "LICENSE", "film.MP4"],
)  # fmt: skip
def test_a_path_is_never_a_review(ask: Ask, tmp_path: Path, argument: str) -> None:  # noqa: F811
    (tmp_path / "data").mkdir()
    (tmp_path / "LICENSE").touch()
    answer = ask(argument, "bad")
    assert (answer.code, answer.lines) == (1, ask("bad").lines)
    assert errors(answer).startswith(f"error: {argument}: ")
    assert errors(answer).endswith("pass it on standard input\n")
    assert ask(argument).code == 1


@pytest.mark.parametrize(
    "text",
    ["10/10", "8.5/10", "12/11/2024", "8.5", "great...", "U.S.A", "Dr.Strange",
     "a film. bad.", "wow", "w/ friends", "?!", "~ fine",
     "bad " * 2000, "the end.\n/ good"],
)  # fmt: skip
def test_a_text_is_a_review(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sort_inputs([text], None) == (REVIEWS, [text], list(REVIEWS.models), [])


def test_what_a_folder_holds_besides_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["a.csv", "b.jsonl.gz", "c.txt.gz", "dog.psd", "notes.md", "x.png", "Thumbs.db", ".hidden", "d.gz"]
    for name in (*names, ".net/e.csv", ".net/e.png", "._a.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = sort_inputs(["."], "birnn")
    assert found.found == ["a.csv", "b.jsonl.gz", "c.txt.gz"]
    (problem,) = found.refused
    assert str(problem).startswith(".: passed over 3 files: 'd.gz', 'dog.psd', 'notes.md'; expected .txt, .csv, ")
    said = capsys.readouterr().err
    assert "note: .: passed over 1 files of the other kind: 'x.png'" in said
    assert "note: .: passed over 1 files under names that begin with a dot: '.net/e.csv'" in said
    assert sort_inputs(["."], "scratch")[:2] == (IMAGES, ["x.png"])


@pytest.mark.parametrize(("name", "data"), [("a.txt", ""), ("a.csv", "text,label\n"), ("a.jsonl", "\n")])
def test_a_file_without_a_review_is_told(ask: Ask, tmp_path: Path, name: str, data: str) -> None:  # noqa: F811
    (tmp_path / name).write_text(data)
    answer = ask(name, "bad")
    assert (answer.code, answer.lines) == (0, ask("bad").lines)
    assert errors(answer) == f"note: {name}: no review in it\n"


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n"])
def test_a_delimiter_that_is_none_is_refused(ask: Ask, tmp_path: Path, delimiter: str) -> None:  # noqa: F811
    (tmp_path / "a.csv").write_text("text;label\nbad;0\n")
    answer = ask("--delimiter", delimiter, "a.csv")
    assert answer.code == 1
    assert errors(answer) == f"error: --delimiter: {delimiter!r} found, expected one letter, or tab\n"


def test_bytes_of_a_parquet_file_that_are_no_text_are_refused(ask: Ask, tmp_path: Path) -> None:  # noqa: F811
    pq.write_table(pa.table({"text": [b"bad \xff"]}), tmp_path / "a.parquet")
    answer = ask("a.parquet")
    assert answer.code == 1
    assert "a.parquet: its column text is not UTF-8 in row group 1; write it as strings" in errors(answer)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", "bad\n".encode("utf-16"), "a.txt: text in UTF-16; save it as UTF-8"),
        ("a.txt", b"PK\x03\x04", "a.txt: a zip, as Excel's .xlsx is; expected text, one review per line"),
        ("a.txt", b"bad\rgreat\rdull\r", "a.txt: its lines end in carriage returns alone; save it with line feeds"),
        ("a.txt", "bad".encode("utf-16-le"), "a.txt, line 1: a NUL in it; expected text in UTF-8: it may be UTF-16"),
        ("a.txt.gz", b"no gzip", "a.txt.gz: not packed by gzip; let its name end without .gz"),
        ("a.csv", b"PK\x03\x04", "a.csv: a zip, as Excel's .xlsx is; in Excel: Save as, CSV UTF-8"),
        (
            "a.csv",
            b"great film,1\nbad,0\n",
            "a.csv: no column 'text' (--column); it has 'great film', '1'; name one of",
        ),
    ],
)
def test_a_file_of_another_kind_is_one_error(
    ask: Ask,  # noqa: F811
    tmp_path: Path,
    name: str,
    data: bytes,
    message: str,
) -> None:
    (tmp_path / name).write_bytes(data)
    answer = ask(name)
    assert (answer.code, answer.lines) == (1, [])
    assert errors(answer).startswith(f"error: {message}")
    assert errors(answer).count("\n") == 1
