import gzip
import io
import random
import re
import tarfile
import zlib

import pytest

from stages.core.files import InputError
from stages.text.reading.imdb import read_imdb_archive
from stages.text.reading.table import SCHEMA

MINIMAL = {
    "aclImdb/train/neg/0_2.txt": "Bad.",
    "aclImdb/train/pos/0_9.txt": "Good.",
    "aclImdb/test/neg/0_1.txt": "Worse.",
    "aclImdb/test/pos/0_10.txt": "Better.",
}


def member(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tar_bytes(texts, extra=()):
    """A tar of `texts` (name -> str or bytes), then of the `extra` (member, bytes) as they are."""
    buffer = io.BytesIO()
    files = [(member(name), text if isinstance(text, bytes) else text.encode()) for name, text in texts.items()]
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, data in [*files, *extra]:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path):
    def write(data):
        path = tmp_path / "aclImdb_v1.tar.gz"
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def pack(archive):
    return lambda texts, extra=(): archive(gzip.compress(tar_bytes(texts, extra)))


def test_a_review_becomes_a_row_of_its_split(pack):
    splits = read_imdb_archive(pack(MINIMAL))
    assert list(splits) == ["train", "test"]
    assert splits["train"].schema == splits["test"].schema == SCHEMA
    assert splits["train"].to_pylist() == [
        {"id": "train/neg/0_2", "text": "Bad.", "label": "negative", "rating": 2},
        {"id": "train/pos/0_9", "text": "Good.", "label": "positive", "rating": 9},
    ]
    assert splits["test"].to_pylist() == [
        {"id": "test/neg/0_1", "text": "Worse.", "label": "negative", "rating": 1},
        {"id": "test/pos/0_10", "text": "Better.", "label": "positive", "rating": 10},
    ]


def test_rows_are_sorted_by_id_whatever_the_archives_order(pack):
    names = ["pos/10_7", "neg/2_1", "pos/2_8", "neg/10_4", "pos/0_9", "neg/0_3"]
    more = {f"aclImdb/{split}/{name}.txt": name for split in ("test", "train") for name in names}
    for texts in (more, dict(reversed(more.items()))):
        train = read_imdb_archive(pack(texts))["train"]
        assert train["id"].to_pylist() == sorted(f"train/{name}" for name in names)
        assert [f"train/{text}" for text in train["text"].to_pylist()] == train["id"].to_pylist()


def test_all_else_in_the_archive_is_passed_over(pack):
    others = {
        "aclImdb/README": "read me",
        "aclImdb/imdb.vocab": "the\nand",
        "aclImdb/train/unsup/0_0.txt": "no label",
        "aclImdb/train/urls_pos.txt": "http://…",
        "aclImdb/train/labeledBow.feat": b"\xff\xfe",
        "aclImdb/dev/pos/0_9.txt": "another split",
        "aclImdb/train/pos/deeper/0_9.txt": "too deep",
    }
    folders = [(member(f"aclImdb/train/{name}", tarfile.DIRTYPE), b"") for name in ("", "pos/", "neg/")]
    plain = read_imdb_archive(pack(MINIMAL))
    assert read_imdb_archive(pack(others | MINIMAL, folders)) == plain


def test_names_may_begin_with_a_dot_and_another_top_folder(pack):
    moved = {"./" + name.replace("aclImdb", "reviews"): text for name, text in MINIMAL.items()}
    assert read_imdb_archive(pack(moved)) == read_imdb_archive(pack(MINIMAL))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "two\nlines\r\nand a \ttab ",
        "It&#39;s &amp; <br /><br />was “fine” — naïve café, 日本, 🌭",
        "\ufeffwith a byte order mark, a zero\0 and e\u0301",
        "long " * 50_000,
    ],
)
def test_text_is_kept_as_published(pack, text):
    train = read_imdb_archive(pack(MINIMAL | {"aclImdb/train/neg/0_2.txt": text}))["train"]
    assert train["text"][0].as_py() == text


def test_a_name_may_repeat_across_classes_and_splits(pack):
    texts = {f"aclImdb/{split}/{c}/3_5.txt": f"{split} {c}" for split in ("train", "test") for c in ("pos", "neg")}
    splits = read_imdb_archive(pack(texts))
    assert splits["train"]["id"].to_pylist() == ["train/neg/3_5", "train/pos/3_5"]
    assert splits["test"]["text"].to_pylist() == ["test neg", "test pos"]


@pytest.mark.parametrize(
    "name", ["abc.txt", "1_11.txt", "1_0.txt", "1_5", "1_5.txt.bak", "_5.txt", "1_-5.txt", "1.txt"]
)
def test_a_name_that_is_no_reviews_is_refused(pack, name):
    with pytest.raises(InputError, match=re.escape(f"aclImdb/train/pos/{name}: not a review's name")):
        read_imdb_archive(pack(MINIMAL | {f"aclImdb/train/pos/{name}": "text"}))


def test_bytes_that_are_not_utf8_are_refused(pack):
    with pytest.raises(InputError, match=r"aclImdb/test/neg/7_1\.txt: not UTF-8 at byte 3"):
        read_imdb_archive(pack(MINIMAL | {"aclImdb/test/neg/7_1.txt": b"caf\xe9"}))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_split_is_refused(pack, split):
    path = pack({name: text for name, text in MINIMAL.items() if f"/{split}/" not in name})
    with pytest.raises(
        InputError, match=rf"{re.escape(str(path))}: no review in {split}/neg; expected aclImdb/{split}"
    ):
        read_imdb_archive(path)


@pytest.mark.parametrize("place", ["train/neg", "train/pos", "test/neg", "test/pos"])
def test_an_empty_class_is_refused(pack, place):
    path = pack({name: text for name, text in MINIMAL.items() if f"/{place}/" not in name})
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: no review in {place};"):
        read_imdb_archive(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_named_like_a_review_is_refused(pack, kind):
    link = member("aclImdb/train/pos/8_8.txt", kind, "aclImdb/train/pos/0_9.txt")
    with pytest.raises(InputError, match=r"aclImdb/train/pos/8_8\.txt: not a regular file"):
        read_imdb_archive(pack(MINIMAL, [(link, b"")]))


@pytest.mark.parametrize("text", [b"Good.", b"Another."])
def test_a_review_that_is_there_twice_is_refused(pack, text):
    path = pack(MINIMAL, [(member("aclImdb/train/pos/0_9.txt"), text)])
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: train/pos/0_9 is there twice"):
        read_imdb_archive(path)


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.6, 0.9])
def test_a_truncated_archive_is_refused(archive, share):
    data = gzip.compress(tar_bytes({name: str(list(range(5000))) for name in MINIMAL}))
    path = archive(data[: int(share * len(data))])
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: not a whole tar\.gz"):
        read_imdb_archive(path)


@pytest.mark.parametrize("into_header", [0, 100])
def test_an_archive_truncated_between_two_reviews_is_refused(archive, into_header):
    whole = tar_bytes(MINIMAL)
    more = tar_bytes(MINIMAL | {"aclImdb/train/pos/1_9.txt": "Lost."})
    end = len(MINIMAL) * 1024  # a header and a block of text each
    assert more[:end] == whole[:end]
    stream = zlib.compressobj(wbits=31)
    path = archive(stream.compress(more[: end + into_header]) + stream.flush(zlib.Z_FULL_FLUSH))
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: not a whole tar\.gz"):
        read_imdb_archive(path)


def test_an_archive_with_a_changed_byte_is_refused(archive):
    data = gzip.compress(tar_bytes(MINIMAL), compresslevel=0)  # stored: the texts can be seen in it
    assert data.count(b"Good.") == 1
    path = archive(data.replace(b"Good.", b"Food."))
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: not a whole tar\.gz"):
        read_imdb_archive(path)


@pytest.mark.parametrize("seed", range(60))
def test_an_archive_with_a_flipped_bit_is_refused(archive, seed):
    bits = random.Random(seed)
    texts = {name: bits.randbytes(300).hex() for name in MINIMAL}  # deflate's tables and codes, a damage to each
    data = bytearray(gzip.compress(tar_bytes(texts)))
    data[bits.randrange(10, len(data))] ^= 1 << bits.randrange(8)
    path = archive(bytes(data))
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: not a whole tar\.gz"):
        read_imdb_archive(path)


def test_a_wrong_checksum_behind_the_tars_end_is_found(archive):
    data = bytearray(gzip.compress(tar_bytes(MINIMAL) + bytes(1 << 20)))  # padded, as tar does for large records
    read_imdb_archive(archive(bytes(data)))
    data[-8] ^= 1
    path = archive(bytes(data))
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: not a whole tar\.gz"):
        read_imdb_archive(path)


@pytest.mark.parametrize(
    "data", [b"<html>404 Not Found</html>", tar_bytes(MINIMAL), gzip.compress(b"no tar" * 500, mtime=0)]
)
def test_what_is_no_targz_is_refused(archive, data):
    path = archive(data)
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: not a whole tar\.gz"):
        read_imdb_archive(path)


def test_a_missing_archive_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"missing\.tar\.gz: "):
        read_imdb_archive(tmp_path / "missing.tar.gz")
