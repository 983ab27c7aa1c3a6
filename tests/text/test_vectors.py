import random
import re
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from stages.core.files import InputError, some, write_table
from stages.text.vectors.glove import read_vectors
from stages.text.vectors.table import match, read_vector_table, vector_table, vectors_of

ROWS = b"the 0.5 -1.25\nmovie 2 3e-2\n"
TABLE = [{"word": "the", "vector": [0.5, -1.25]}, {"word": "movie", "vector": [2.0, float(np.float32(0.03))]}]


@pytest.fixture
def text(tmp_path):
    def write(data):
        path = tmp_path / "vectors.txt"
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def pack(tmp_path):
    def write(members):
        path = tmp_path / "glove.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path

    return write


@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        ROWS.rstrip(b"\n"),
        ROWS.replace(b"\n", b"\r\n"),
        b"2 2\n" + ROWS,
        b"400000 2\r\n" + ROWS.replace(b"\n", b"\r\n"),
    ],
    ids=["plain", "no last newline", "CRLF", "header", "CRLF and header"],
)
def test_a_text_file_becomes_words_and_vectors(text, data):
    table = read_vectors(text(data), 2)
    assert table.schema == pa.schema([("word", pa.string()), ("vector", pa.list_(pa.float32(), 2))])
    assert table.to_pylist() == TABLE


@pytest.mark.parametrize("packed", [False, True])
def test_arrows_threads_read_arrows_memory(text, pack, monkeypatch, packed):
    # Of Python's memory they may let go only with Python's lock: late in the process's end that aborts it
    rows = random_rows(20_000)
    path = pack({"x.txt": rows}) if packed else text(rows)
    allocated = []
    read = csv.read_csv

    def watched(source, *options):
        allocated.append(pa.total_allocated_bytes())
        return read(source, *options)

    monkeypatch.setattr(csv, "read_csv", watched)
    before = pa.total_allocated_bytes()
    read_vectors(path, 2)
    assert allocated[0] - before >= len(rows)


@pytest.mark.parametrize(
    "members",
    [
        {"glove.6B.2d.txt": ROWS},
        {"anything.txt": ROWS},
        {"glove.6B.3d.txt": b"the 1 2 3\n", "glove.6B.2d.txt": ROWS, "glove.6B.12e.txt": b""},
        {"glove/": b"", "glove/vectors.2d.txt": ROWS, "__MACOSX/glove/._vectors.2d.txt": b"\0", "LICENSE": b"PDDL"},
    ],
)
def test_the_fitting_member_of_a_zip_is_read(pack, members):
    assert read_vectors(pack(members), 2).to_pylist() == TABLE


@pytest.mark.parametrize(
    "names", [["glove.6B.50d.txt", "glove.6B.100d.txt"], ["README", "glove.bin"], ["a/x.2d.txt", "b/x.2d.txt"]]
)
def test_a_zip_without_one_fitting_member_is_refused_with_what_it_holds(pack, names):
    with pytest.raises(InputError, match=rf"glove\.zip: .*2d\.txt.* it holds {re.escape(some(sorted(names)))}"):
        read_vectors(pack(dict.fromkeys(names, b"")), 2)


def test_an_empty_zip_is_refused(pack):
    with pytest.raises(InputError, match="it holds nothing"):
        read_vectors(pack({}), 2)


def random_rows(count):
    rng = random.Random(0)
    return "".join(f"w{i} {rng.random():.6f} {rng.random():.6f}\n" for i in range(count)).encode()


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.75])
def test_a_damaged_zip_is_refused(pack, share):
    path = pack({"glove.2d.txt": random_rows(2000)})
    data = bytearray(path.read_bytes())
    start = int(share * len(data))
    data[start : start + 8] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"glove\.zip: .*get it again"):
        read_vectors(path, 2)


def test_a_truncated_zip_and_a_missing_file_are_refused(pack, tmp_path):
    path = pack({"glove.2d.txt": random_rows(2000)})
    path.write_bytes(path.read_bytes()[:-500])
    for damaged in (path, tmp_path / "missing.zip"):
        with pytest.raises(InputError, match=damaged.name):
            read_vectors(damaged, 2)


@pytest.mark.parametrize(
    "word",
    [
        *"\"'#,;\\",
        *('""', '"a', "null", "NULL", "nan", "NaN", "NA", "N/A", "inf", "true", "1", "-1.5", "1e5", "007", "@", "--"),
        *("é", "日本", "\u00a0", "\u2028", "\x85", "\ufeffx", "a\tb", "<unk>", "e\u0301"),
    ],
)
def test_any_word_is_a_word(text, word):
    table = read_vectors(text(f"the 0 0\n{word} 1 2\n{word}{word} 3 4\n".encode()), 2)
    assert table["word"].to_pylist() == ["the", word, word * 2]
    assert table["vector"].to_pylist() == [[0, 0], [1, 2], [3, 4]]


@pytest.mark.parametrize("word", ['"', "1", "2", "null", "#"])
def test_any_word_can_be_the_first(text, word):
    assert read_vectors(text(f"{word} 1 2\nthe 3 4\n".encode()), 2)["word"].to_pylist() == [word, "the"]


def test_a_first_row_of_a_single_number_is_no_header(text):
    assert read_vectors(text(b"5 3\n6 4\n"), 1).to_pylist() == [
        {"word": "5", "vector": [3.0]},
        {"word": "6", "vector": [4.0]},
    ]


def test_of_a_word_that_is_there_twice_the_first_counts(text, capsys):
    table = read_vectors(text(b"b 1 2\na 3 4\nb 5 6\nc 7 8\na 9 9\nb 0 0\n"), 2)
    assert table.to_pylist() == [
        {"word": "b", "vector": [1, 2]},
        {"word": "a", "vector": [3, 4]},
        {"word": "c", "vector": [7, 8]},
    ]
    assert "'b'" in capsys.readouterr().out


def test_numbers_are_pythons_floats_as_float32(text):
    rng = random.Random(0)
    forms = ["{:.6f}", "{:.5g}", "{:e}", "{:.3E}", "{!r}", "{:.0f}"]
    numbers = [rng.choice(forms).format(rng.gauss(0, 10.0 ** rng.randrange(-12, 12))) for _ in range(6000)]
    # None too small for a normal float: Arrow's threads may have started while a training made such numbers zero
    numbers += ["0", "-0", "0.0", "-0.0", ".5", "5.", "1e-400", "3.4028234e38", "1.17549435e-38", "00.10"]
    numbers += ["0"] * (-len(numbers) % 8)
    rows = [numbers[i : i + 8] for i in range(0, len(numbers), 8)]
    data = "".join(f"w{i} {' '.join(row)}\n" for i, row in enumerate(rows))
    found = vectors_of(read_vectors(text(data.encode()), 8))
    expected = np.array([[float(number) for number in row] for row in rows]).astype(np.float32)
    assert np.array_equal(found.view(np.int32), expected.view(np.int32))


def test_a_file_longer_than_a_block_is_read_whole_and_in_order(text, monkeypatch):
    monkeypatch.setattr("stages.text.vectors.glove.BLOCK", 100)
    table = read_vectors(text(random_rows(500)), 2)
    assert table["word"].to_pylist() == [f"w{i}" for i in range(500)]
    lines = random_rows(500).decode().split("\n")[:-1]
    expected = np.array([line.split(" ")[1:] for line in lines], float).astype(np.float32)
    assert np.array_equal(vectors_of(table), expected)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"short 1", r"'short'\): 1 numbers, expected 2"),
        (b"long 1 2 3", r"'long'\): 3 numbers, expected 2"),
        (b"", r"''\): 0 numbers, expected 2"),
        (b"in 7 1 2", r"'in'\): 3 numbers, expected 2"),
        (b"a 1 b", r"'a'\): 'b' is not a finite number"),
        (b"a 1 ", r"'a'\): 1 numbers, expected 2"),
        (b"a 1,5 2", r"'a'\): '1,5' is not a finite number"),
        (b"a 1 nan", r"'a'\): 'nan' is not a finite number"),
        (b"a -inf 2", r"'a'\): '-inf' is not a finite number"),
        (b"a 1 null", r"'a'\): 'null' is not a finite number"),
        (b"a 1 1e39", r"'a'\): '1e39' is not a finite number"),
        (b"a 1 1e400", r"'a'\): '1e400' is not a finite number"),
        (b"a 1 1_0", r"'a'\): '1_0' is not a finite number"),
        (b"a 1 \xff", r"'a'\): '\ufffd' is not a finite number"),
        (b"caf\xe9 1 2", r"'caf\ufffd'\): the word is not UTF-8"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"the 1 2\n", b"3 2\nthe 1 2\n", b"the 1 2\r\n\xc3\xa9 1 2\r\n"])
def test_a_bad_row_is_refused_with_its_line(text, before, line, message):
    newline = b"\r\n" if b"\r" in before else b"\n"
    number = before.count(b"\n") + 1
    with pytest.raises(InputError, match=rf"vectors\.txt, line {number} \({message}"):
        read_vectors(text(before + line + newline + b"last 1 2" + newline), 2)


def test_a_bad_row_of_a_zip_is_refused_with_its_member(pack):
    with pytest.raises(InputError, match=r"x\.txt in .*glove\.zip, line 2 \('b'\): 1 numbers"):
        read_vectors(pack({"x.txt": b"a 1 2\nb 1\n"}), 2)


@pytest.mark.parametrize(("header", "dim"), [(b"", 3), (b"2 2\n", 3)])
def test_vectors_of_another_length_are_refused(text, header, dim):
    line = header.count(b"\n") + 1
    with pytest.raises(InputError, match=rf"line {line} \('the'\): 2 numbers, expected {dim} \(embed_glove\.dim\)"):
        read_vectors(text(header + ROWS), dim)


@pytest.mark.parametrize("data", [b"", b"\n", b" \n\n", b"0 2\n"])
def test_a_file_without_a_row_is_refused(text, data):
    with pytest.raises(InputError, match=r"vectors\.txt.*([Ee]mpty|line 1 .*0 numbers)"):
        read_vectors(text(data), 2)


def test_words_are_matched_with_zeros_for_the_missing(text):
    table = read_vectors(text(b"c 5 6\n<pad> 7 8\na 1 2\nunused 9 9\n"), 2)
    vectors, found = match(["<unk>", "<pad>", "a", "A", "c", "", "a "], [table], 2)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[0, 0], [0, 0], [1, 2], [0, 0], [5, 6], [0, 0], [0, 0]]
    assert found.tolist() == [False, False, True, False, True, False, False]


def test_no_word_and_every_word_can_be_matched():
    table = vector_table(pa.array(["a", "b"]), np.array([[1, 2], [3, 4]], np.float32))
    assert match(["x", "y"], [table], 2)[0].tolist() == [[0, 0], [0, 0]]
    assert match(["b", "a"], [table], 2)[0].tolist() == [[3, 4], [1, 2]]


def test_a_word_of_several_tables_has_the_first_ones_vector():
    tables = [
        vector_table(pa.array(words), np.array(rows, np.float32))
        for words, rows in ((["a", "b"], [[1, 2], [3, 4]]), (["c", "a"], [[5, 6], [7, 8]]))
    ]
    vectors, found = match(["c", "a", "d"], tables, 2)
    assert vectors.tolist() == [[5, 6], [1, 2], [0, 0]]
    assert found.tolist() == [True, True, False]


def write_as_fetch_glove_does(path, table):
    write_table(path, table, use_dictionary=False, use_byte_stream_split=["vector.list.element"])


def test_what_is_written_is_read(tmp_path, text):
    table = read_vectors(text(random_rows(300)), 2)
    for name in ("a", "b"):
        write_as_fetch_glove_does(tmp_path / name, table)
    (found,) = read_vector_table(tmp_path / "a", 2)
    assert found.schema == table.schema
    assert found["word"].to_pylist() == table["word"].to_pylist()
    assert np.array_equal(vectors_of(found).view(np.int32), vectors_of(table).view(np.int32))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_table_of_another_dim_is_refused(tmp_path, text):
    write_as_fetch_glove_does(tmp_path / "glove.parquet", read_vectors(text(ROWS), 2))
    with pytest.raises(InputError, match=r"glove\.parquet: its vectors have 2 numbers, embed_glove\.dim is 50"):
        list(read_vector_table(tmp_path / "glove.parquet", 50))


def test_a_table_without_vectors_is_refused(tmp_path):
    write_table(tmp_path / "vocab.parquet", pa.table({"word": ["a"], "count": [1]}))
    with pytest.raises(InputError, match=r"vocab\.parquet"):
        list(read_vector_table(tmp_path / "vocab.parquet", 2))
