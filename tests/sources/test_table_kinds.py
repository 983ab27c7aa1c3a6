"""Tables as people's programs write them: read where there is one reading, else refused with what to do."""

import contextlib
import gzip
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.files import InputError
from stages.sources.records import FOUND_OUT, Form, read_records
from stages.sources.tables import Columns, Row, read_labelled_texts

COLUMNS = Columns("text", "label", None)
GOOD, BAD = [f"lovely soup {i}" for i in range(10)], [f"dull soup {i}" for i in range(10)]
PAIRS = sorted([(text, "good") for text in GOOD] + [(text, "bad") for text in BAD])


def table(delimiter: str = ",", header: str = "text,label", rows: list[tuple[str, str]] = PAIRS) -> str:
    return "".join(f"{delimiter.join(row)}\n" for row in [header.split(","), *rows])


def read(path: Path, form: Form = FOUND_OUT, columns: Columns = COLUMNS) -> list[Row]:
    splits = read_labelled_texts(path, columns, 0.2, 0, form)
    return sorted((row for rows in splits.values() for row in rows), key=lambda row: row.number)


def pairs(path: Path, form: Form = FOUND_OUT) -> list[tuple[str, str]]:
    return sorted((row.text, row.label) for row in read(path, form))


def refused(path: Path, form: Form = FOUND_OUT, columns: Columns = COLUMNS) -> str:
    with pytest.raises(InputError) as caught:
        read(path, form, columns)
    return str(caught.value)


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


# Quotes


def test_a_lone_quote_in_a_tsv_is_a_letter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*PAIRS[:5], ('"Great start', "good"), *PAIRS[5:15], ('the end"', "bad"), *PAIRS[15:]]
    path = written(tmp_path / "a.tsv", table("\t", rows=rows))
    assert pairs(path) == sorted(rows)
    assert "begin with a quote, the first in line 7; quotes are read as letters" in capsys.readouterr().err


def test_a_quoted_word_in_a_tsv_keeps_its_quotes(tmp_path: Path) -> None:
    rows = [*PAIRS, ('"Superb"', "good"), ('5" plate', "bad"), ('"a" and "b"', "bad")]
    assert pairs(written(tmp_path / "a.tsv", table("\t", rows=rows))) == sorted(rows)


@pytest.mark.parametrize(
    "rows",
    [
        [(f'"{text}"', f'"{label}"') for text, label in PAIRS],  # all fields
        [(f'"{text}"', label) for text, label in PAIRS],  # all of a column
        [*PAIRS, ('"she said ""wow"" twice"', "good")],  # as pandas: what needs it
        [*PAIRS, ('"two\nlines"', "good"), ('"a\ttab"', "good")],
    ],
)
def test_a_tsv_that_quotes_as_programs_do_is_read_so(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    def plain(field: str) -> str:
        return field[1:-1].replace('""', '"') if field.startswith('"') else field

    assert pairs(written(tmp_path / "a.tsv", table("\t", rows=rows))) == sorted(
        (plain(text), plain(label)) for text, label in rows
    )


@pytest.mark.parametrize("between", [0, 1, 8])
@pytest.mark.parametrize("order", ["text,label", "label,text", "id,text,label"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_rows_that_a_lone_quote_would_swallow_are_never_lost(
    tmp_path: Path, between: int, order: str, suffix: str
) -> None:
    rows = [
        *PAIRS[:10],
        ('"Great start', "good"),
        *PAIRS[10 : 10 + between],
        ('the end"', "bad"),
        *PAIRS[10 + between :],
    ]
    names = order.split(",")
    fields = [{"id": str(i), "text": text, "label": label} for i, (text, label) in enumerate(rows)]
    lines = [tuple(row[name] for name in names) for row in fields]
    path = written(tmp_path / f"a{suffix}", table("," if suffix == ".csv" else "\t", order, lines))
    if suffix == ".tsv":
        assert pairs(path) == sorted(rows)
    else:
        assert f"line 12: a quote opens a field that ends in line {13 + between} and holds" in refused(path)


@pytest.mark.parametrize("order", ["text,label", "label,text", "id,text,label"])
def test_a_text_of_several_lines_is_one_text(tmp_path: Path, order: str) -> None:
    long = 'Great, but slow.\n\nThe waiter, a "good" one, said:\nbad, bad luck'
    rows = [*PAIRS, (long, "good")]
    fields = [
        {"id": str(i), "text": '"' + text.replace('"', '""') + '"', "label": label}
        for i, (text, label) in enumerate(rows)
    ]
    lines = [tuple(row[name] for name in order.split(",")) for row in fields]
    assert pairs(written(tmp_path / "a.csv", table(",", order, lines))) == sorted(rows)


# Delimiters and encodings


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_the_delimiter_is_found_out(tmp_path: Path, name: str, delimiter: str) -> None:
    assert pairs(written(tmp_path / name, table(delimiter))) == PAIRS
    quoted = [(f'"{text}{delimiter} {text}"', label) for text, label in PAIRS]
    assert len(pairs(written(tmp_path / name, table(delimiter, rows=quoted)))) == len(PAIRS)


def test_a_line_that_names_the_delimiter_is_no_header(tmp_path: Path) -> None:
    rows = read(written(tmp_path / "a.csv", "sep=;\r\n" + table(";")))
    assert [row.number for row in rows] == list(range(3, 23))


def test_a_delimiter_that_the_user_names_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", table("^"))
    assert "no column 'text'" in refused(path)
    assert pairs(path, Form(delimiter="^")) == PAIRS
    assert pairs(written(tmp_path / "b.csv", table("\t")), Form(delimiter="tab")) == PAIRS


def test_blanks_around_the_columns_names_are_no_part_of_them(tmp_path: Path) -> None:
    text = "text, label\n" + "".join(f'"{text}, really", {label}\n' for text, label in PAIRS)
    assert pairs(written(tmp_path / "a.csv", text)) == [(f"{text}, really", label) for text, label in PAIRS]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    rows = [*PAIRS, ("schön \u201cfein\u201d 好", "good")]
    assert pairs(written(tmp_path / name, table("\t", rows=rows), encoding)) == sorted(rows)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-8"])
def test_a_byte_order_mark_is_no_part_of_the_header_where_the_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    text = "\ufeff" + table(rows=[(f'"{text}"', label) for text, label in PAIRS]).replace("text,", '"text",')
    assert pairs(written(tmp_path / "a.csv", text, encoding), Form(encoding=encoding)) == PAIRS


@pytest.mark.parametrize("end", ["\r", "\r\n", "\r\r\n"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_lines_end_in_any_way(tmp_path: Path, name: str, end: str) -> None:
    rows = [*PAIRS, ('"Superb"', "good"), ('5" plate', "bad")] if name == "a.tsv" else PAIRS
    text = table("\t" if name == "a.tsv" else ",", rows=rows)
    assert pairs(written(tmp_path / name, text.replace("\n", end))) == sorted(rows)


def test_jsonl_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    lines = "\n".join(f'{{"text": "schön {text}", "label": "{label}"}}' for text, label in PAIRS)
    assert len(pairs(written(tmp_path / "a.jsonl", lines, "utf-16"))) == len(PAIRS)


@pytest.mark.parametrize("encoding", ["cp1252", "cp1251", "shift_jis", "latin-1", "gb18030"])
def test_another_encoding_is_refused_with_the_remedy_and_read_once_it_is_named(tmp_path: Path, encoding: str) -> None:
    word = {"cp1251": "суп", "shift_jis": "スープ", "gb18030": "汤"}.get(encoding, "café")
    rows = [*PAIRS, (f"the {word}", "good")]
    path = written(tmp_path / "a.csv", table(rows=rows), encoding)
    message = refused(path)
    assert "line 22: column 'text' is not UTF-8 at letter" in message
    assert "own.encoding=cp1252" in message
    assert pairs(path, Form(encoding=encoding)) == sorted(rows)


def test_utf16_without_a_mark_is_named(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        path = written(tmp_path / "a.csv", table(), encoding)
        assert f"own.encoding={encoding}" in refused(path)
        assert pairs(path, Form(encoding=encoding)) == PAIRS


def test_an_encoding_that_is_none_or_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", table(rows=[*PAIRS, ("\u0441\u0443\u043f", "good")]), "cp1251")
    assert "own.encoding: 'klingon' found" in refused(path, Form(encoding="klingon"))
    assert "own.encoding: 'base64' found" in refused(path, Form(encoding="base64"))
    assert "name its encoding: own.encoding" in refused(path, Form(encoding="ascii"))


# What is no such table


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"PK\x03\x04" + bytes(30), "a zip, as Excel's .xlsx is; in Excel: Save as, CSV UTF-8"),
        ("a.xlsx", b"PK\x03\x04" + bytes(30), "ends in none of .csv, .tsv, .jsonl, .parquet, of which the first"),
        ("a.csv", b"\xd0\xcf\x11\xe0" + bytes(30), "an Excel workbook (.xls)"),
        ("a.csv", gzip.compress(table().encode()), "packed by gzip; let its name end in .gz"),
        ("a.csv.gz", gzip.compress(gzip.compress(table().encode())), "packed by gzip"),
        ("a.jsonl", b"BZh91AY", "packed by bzip2; unpack it"),
        ("a.tsv", b"PAR1" + bytes(30), "a Parquet file; let its name end in .parquet"),
        ("a.parquet", b"PK\x03\x04" + bytes(30), "a zip"),
        ("a.csv", b"\n<!DOCTYPE html><p>Log in", "a web page"),
        ("a.csv", b"text,label\nx\0y,a\nz,b\n", "NUL bytes in it"),
        ("a.jsonl", b'{"text": "a\\u0000b", "label": "c"}\n', "line 1: a NUL in column 'text'"),
        ("a.csv", table(header="Text,label").encode(), "no column 'text' (own.text in params.yaml); it has 'Text', "
         "'label'; did you mean 'Text'?"),
        ("a.csv", "".join(table().splitlines(True)[1:]).encode(), "if they are a row, write a line"),
        ("a.jsonl", b'[\n{"text": "x", "label": "a"}\n]', "line 1: not JSON"),
        ("a.jsonl", b'{"text": "x", "label": "a", "text": "y"}', "line 1: not JSON (two keys 'text' in an object)"),
        ("a.csv", table(header="t\u00e9xt,label").encode("latin-1"), "header: column 't\\udce9xt' is not UTF-8 at "
         "letter 2; save the file as UTF-8, or name its encoding, such as own.encoding=cp1252"),
        ("a.csv", b"<table><tr><td>text</td></tr></table>", "a web page"),
        ("a.csv", b"<?xml version='1.0'?><Workbook/>", "XML; export the table as CSV"),
        ("a.csv", b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of git-lfs, not the file itself"),
        ("a.csv.gz", table().encode(), "not packed by gzip; let its name end without .gz"),
        ("a.csv.zip", b"PK\x03\x04", "may be .gz; unpack it"),
        ("a.ndjson", b"{}", "may be .gz; let its name end in .jsonl"),
        ("a.csv", table(rows=[*PAIRS, ('"open', "good")]).encode(), "line 22: a quote opens a field here, and none"),
    ],
)  # fmt: skip
def test_what_the_file_is_and_what_to_do(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert message in refused(tmp_path / name)


def test_rows_of_empty_fields_are_passed_over_with_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.csv", table(";") + ";\n;\n")
    assert pairs(path) == PAIRS
    assert "passed over 2 rows of blanks alone, in line 22, 23" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.tsv", "\t")])
def test_a_line_of_blanks_is_no_row(
    tmp_path: Path, name: str, delimiter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*PAIRS, ('"Superb"', "good"), ('5" plate', "bad")] if name == "a.tsv" else PAIRS
    assert pairs(written(tmp_path / name, table(delimiter, rows=rows) + "   \n")) == sorted(rows)
    assert "passed over 1 rows of blanks alone" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_column_that_seems_to_tell_the_split_is_not_passed_over_without_a_word(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": text, "label": label, "Split": split} for text, label in PAIRS for split in ("Train ", "TEST")]
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif name == "a.jsonl":
        written(path, "\n".join(map(json.dumps, rows)))
    else:
        written(path, table(header="text,label,Split", rows=[tuple(row.values()) for row in rows]))
    read(path)
    said = "note: {}: own.split is null: a test split is drawn, and the column 'Split' is not used\n"
    assert capsys.readouterr().err.count(said.format(path)) == 1
    splits = read_labelled_texts(path, Columns("text", "label", "Split"), 0.2, 0)
    assert {split: len(found) for split, found in splits.items()} == {"train": 20, "test": 20}
    assert "not used" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_kind_of_string_in_a_parquet_file_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    texts, labels = (pa.array([row[i] for row in PAIRS]) for i in (0, 1))
    column = texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts.cast(kind)
    pq.write_table(pa.table({"text": column, "label": labels}), tmp_path / "a.parquet")
    assert pairs(tmp_path / "a.parquet") == PAIRS


def test_bytes_in_a_parquet_file_are_read_in_the_encoding_that_is_named(tmp_path: Path) -> None:
    texts = [f"caf\u00e9 {text}" for text, _ in PAIRS]
    columns = {"text": [text.encode("cp1252") for text in texts], "label": [label for _, label in PAIRS]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert "row 1: column 'text' is not UTF-8 at letter 4" in refused(tmp_path / "a.parquet")
    assert sorted(row.text for row in read(tmp_path / "a.parquet", Form(encoding="cp1252"))) == sorted(texts)
    assert "row 1: column 'text' is not utf-32: " in refused(tmp_path / "a.parquet", Form(encoding="utf-32"))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.text('ab" ,', max_size=6).filter(str.strip), st.sampled_from("xyz")), min_size=8, max_size=30
    ),
    st.sampled_from(["text,label", "label,text", "text,label,more"]),
)
def test_no_row_is_ever_lost_to_quotes(rows: list[tuple[str, str]], header: str) -> None:
    names = header.split(",")
    rows = [("clean", label) for label in "xyz"] + rows
    for delimiter, name in ((",", "a.csv"), ("\t", "a.tsv"), (";", "b.csv")):
        lines = [[{"text": text, "label": label, "more": "1"}[column] for column in names] for text, label in rows]
        if any(delimiter in text for text, _ in rows):
            continue
        with tempfile.TemporaryDirectory() as folder:
            text = "".join(f"{delimiter.join(line)}\n" for line in [names, *lines])
            path = written(Path(folder) / name, text)
            wanted = {"text": "own.text", "label": "own.label"}
            try:
                found = [record["text"] for _, record in read_records(path, wanted, FOUND_OUT, "label")]
            except InputError:
                assert delimiter != "\t", "a tab-separated file can always be read"
                continue
            assert len(found) == len(rows)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz"]), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, name: str, headed: bool) -> None:
    head = {"a.jsonl": b'{"text": "x", "label": "y"}\n', "a.parquet": b"PAR1"}.get(name, b"text,label\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes((head if headed else b"") + data)
        with contextlib.suppress(InputError):
            read(path)
