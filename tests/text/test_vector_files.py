"""Files of word vectors as they are published: read, or named as what they are."""

import gzip
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from stages.core.files import InputError
from stages.text.vectors import glove
from stages.text.vectors.glove import read_vectors
from stages.text.vectors.table import vectors_of

ROWS = b"the 0.5 -1.25\nsoup 2 3e-2\nwaiter 1 1\n"
WORDS, VECTORS = ["the", "soup", "waiter"], np.array([[0.5, -1.25], [2, 0.03], [1, 1]], np.float32)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def refused(path: Path, dim: int = 2) -> str:
    with pytest.raises(InputError) as caught:
        read_vectors(path, dim)
    assert str(path) in str(caught.value)
    return str(caught.value)


def trailing(data: bytes) -> bytes:
    return data.replace(b"\n", b" \n")


@pytest.mark.parametrize(
    "data",
    [
        b"3 2\n" + trailing(ROWS),  # fastText
        b"3 2 \n" + trailing(ROWS),
        trailing(ROWS).replace(b"\n", b"\r\n"),
        ROWS.replace(b" ", b"\t"),
        b"3\t2\n" + ROWS.replace(b" ", b"\t"),
        b"the\t0.5 -1.25\nsoup\t2 3e-2\nwaiter\t1 1\n",
        b"the  0.5  -1.25\nsoup 2 3e-2\nwaiter 1 1",
        b" " + ROWS.replace(b"\n", b"\n ") + b"\n",
        ROWS + b"\n\r\n \n",
        b"\xef\xbb\xbf" + ROWS,
        b"\xef\xbb\xbf3 2\n" + ROWS,
    ],
)
@pytest.mark.parametrize("form", ["plain", "gzip", "zip"])
def test_each_way_of_writing_gives_the_same_vectors(tmp_path: Path, data: bytes, form: str) -> None:
    write = {
        "plain": lambda: written(tmp_path / "v.vec", data),
        "gzip": lambda: written(tmp_path / "v.vec.gz", gzip.compress(data)),
        "zip": lambda: zipped(tmp_path / "v.zip", {"crawl-2d.vec": data, "README.txt": b"Common Crawl\n"}),
    }
    table = read_vectors(write[form](), 2)
    assert table["word"].to_pylist() == WORDS
    assert np.array_equal(vectors_of(table), VECTORS)


def test_a_word_may_hold_blanks(tmp_path: Path) -> None:
    data = ROWS + b"at mail@example.org 1 2\n. . . 3 4\nroom 5 b 5 6\n\xc2\xa0 7 8\nlast 9 9\n"
    table = read_vectors(written(tmp_path / "v.txt", data), 2)
    words = [*WORDS, "at mail@example.org", ". . .", "room 5 b", "\u00a0", "last"]
    assert table["word"].to_pylist() == words
    assert vectors_of(table)[3:].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 9]]


@pytest.mark.parametrize("data", [ROWS, trailing(ROWS), ROWS + b"at mail@example.org 1 2\n", b"3 2\n" + trailing(ROWS)])
def test_numbers_are_never_taken_for_a_part_of_a_word(tmp_path: Path, data: bytes) -> None:
    line = 2 if data.startswith(b"3") else 1
    assert f"line {line} ('the'): 2 numbers, expected 1 (embed_glove.dim)" in refused(written(tmp_path / "v", data), 1)
    assert f"line {line} ('the'): 2 numbers, expected 3 (embed_glove.dim)" in refused(written(tmp_path / "v", data), 3)


@pytest.mark.parametrize(
    "members",
    [
        {"crawl-300d-2M.vec": b"", "crawl-2d-2M.vec": ROWS},
        {"vectors.VEC": ROWS, "LICENSE.txt": b"PDDL"},
        {"a/wiki.vec": ROWS, "a/wiki.bin": b"\0", "a/readme.txt": b"About", "__MACOSX/a/._wiki.vec": b"\0"},
        {"glove.12d.txt": b"", "glove.2d.txt": ROWS},
        {"a/.DS_Store": b"x", "a/wiki.vec": ROWS, "a/._wiki.vec": b"\0", ".b/wiki.vec": ROWS},
    ],
)
def test_the_vectors_in_a_zip_are_found(tmp_path: Path, members: dict[str, bytes]) -> None:
    assert read_vectors(zipped(tmp_path / "v.zip", members), 2)["word"].to_pylist() == WORDS


def test_a_zip_of_two_that_may_be_meant_is_refused(tmp_path: Path) -> None:
    message = refused(zipped(tmp_path / "v.zip", {"de.vec": ROWS, "en.vec": ROWS}))
    assert "not one *2d.txt or .vec (embed_glove.dim is 2); it holds 'de.vec', 'en.vec'; unpack the one" in message


def test_the_message_lists_a_few_of_many_names(tmp_path: Path) -> None:
    message = refused(zipped(tmp_path / "v.zip", {f"{i:03}.txt": ROWS for i in range(300)}))
    assert message.endswith("'004.txt' and 295 more; unpack the one that is meant, and name it")


@pytest.mark.parametrize("said", [2, 5])
def test_another_number_of_words_than_the_first_line_says_is_told(
    tmp_path: Path, said: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for count in (said, 3):
        read_vectors(written(tmp_path / "v.vec", b"%d 2\n" % count + ROWS), 2)
    warning = f"v.vec: its first line says {said} words, 3 are there; is the file whole?\n"
    assert capsys.readouterr().err == f"warning: {tmp_path}/{warning}"


def tar(compression: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{compression}") as archive:
        info = tarfile.TarInfo("v.txt")
        info.size = len(ROWS)
        archive.addfile(info, io.BytesIO(ROWS))
    return stream.getvalue()


def binary(words: list[str], vectors: np.ndarray) -> bytes:
    rows = (word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(words, vectors, strict=True))
    return b"%d %d\n" % vectors.shape + b"".join(rows)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (binary(WORDS, VECTORS), "word2vec's binary format; as text: gensim.models.KeyedVectors.load_word2vec_format("),
        (gzip.compress(binary(WORDS, VECTORS)), "word2vec's binary format"),
        (binary(WORDS, VECTORS + 0.123), "word2vec's binary format"),
        (b"\xba\x16\x4f\x2f" + bytes(40), "fastText's binary model; take the .vec"),
        (pickle.dumps(VECTORS), "a pickle, as gensim saves vectors"),
        (tar(""), "a tar archive; expected text"),
        (tar("gz"), "a tar archive; expected text"),
        (tar("bz2"), "packed by bzip2"),
        (b"PAR1" + bytes(30), "a Parquet file; expected text, plain or in a gzip or zip: a word and its 2 numbers per"),
        (ROWS.decode().encode("utf-16"), "text in UTF-16; save it as UTF-8"),
        (b"<!DOCTYPE html>\n", "a web page"),
        (bytes(300), "binary, no text"),
        (ROWS.decode().encode("utf-16-le"), "binary, no text, or UTF-16 without a byte order mark"),
        (
            ROWS.replace(b" ", b","),
            "line 1 ('the,0.5,-1.25'): 0 numbers, expected 2 (embed_glove.dim); its fields stand "
            "between ',', expected blanks or tabs",
        ),
        (ROWS + "caf\u00e9 1 2\n".encode("latin-1"), "the word is not UTF-8; save the file as UTF-8"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of git-lfs, not the file itself; expected text"),
    ],
)
def test_what_holds_no_vectors_as_text_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in refused(written(tmp_path / "v.bin", data))


def test_a_locked_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "v.zip", {"v.2d.txt": ROWS})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag of a password, in both places
    assert "password" in refused(written(path, bytes(data)))


def test_a_gzip_that_breaks_off_or_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = gzip.compress(b"".join(b"w%d %d 1\n" % (i, i * 7919 % 1000) for i in range(9999)))
    assert "get it again" in refused(written(tmp_path / "v.vec.gz", data[:-30]))
    monkeypatch.setattr(glove, "BLOCK", 1 << 10)
    assert "vectors never pack that small" in refused(written(tmp_path / "v.gz", gzip.compress(b"a 1 1\n" * 100_000)))
