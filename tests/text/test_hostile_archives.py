"""Archives that were made to harm: read as far as they are reviews or vectors, else refused; nothing is unpacked."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.core.files import InputError
from stages.text.reading import imdb
from stages.text.reading.imdb import read_imdb_archive
from stages.text.vectors import glove
from stages.text.vectors.glove import read_vectors

PLACES = [f"aclImdb/{split}/{folder}/0_{rating}.txt" for split in ("train", "test") for folder, rating in
          (("pos", 9), ("neg", 2))]  # fmt: skip


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An archive's place, the only file in a folder that has to stay so."""
    inside = tmp_path / "outer" / "inner"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    yield inside / "archive"
    assert [path.name for path in tmp_path.rglob("*")] == ["outer", "inner", "archive"]


def write_tar(path: Path, *more: tuple[tarfile.TarInfo, bytes], encoding: str = "utf-8") -> Path:
    with tarfile.open(path, "w:gz", encoding=encoding, format=tarfile.GNU_FORMAT) as tar:
        for name in PLACES:
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"Good"))
        for info, data in more:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("name", ["../../evil.txt", "/etc/evil.txt", "aclImdb/../../evil", "/train/pos/5_5.txt"])
def test_names_that_lead_out_of_the_archive_lead_nowhere(alone: Path, name: str) -> None:
    splits = read_imdb_archive(write_tar(alone, (tarfile.TarInfo(name), b"evil")))
    assert [len(split) for split in splits.values()] == [2, 2]


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_devices_and_links_are_passed_over_or_refused_by_name(alone: Path, kind: bytes) -> None:
    device = tarfile.TarInfo("aclImdb/device")
    device.type, device.linkname = kind, "/etc/passwd"
    assert len(read_imdb_archive(write_tar(alone, (device, b"")))["train"]) == 2
    device.name = "aclImdb/train/pos/7_7.txt"
    with pytest.raises(InputError, match=r"aclImdb/train/pos/7_7\.txt: not a regular file"):
        read_imdb_archive(write_tar(alone, (device, b"")))


def test_a_review_of_a_thousand_times_a_reviews_size_is_refused_unread(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imdb, "MAX_REVIEW_BYTES", 1000)
    big = tarfile.TarInfo("aclImdb/train/pos/7_7.txt")
    assert len(read_imdb_archive(write_tar(alone, (big, b"x" * 1000)))["train"]) == 3
    with pytest.raises(InputError, match=r"/7_7\.txt: 1,001 bytes; expected a review of at most 1,000"):
        read_imdb_archive(write_tar(alone, (big, b"x" * 1001)))


def test_what_is_passed_over_may_be_of_any_size_and_costs_no_memory(alone: Path) -> None:
    bomb = tarfile.TarInfo("aclImdb/train/unsup/0_0.txt")
    read_imdb_archive(write_tar(alone, (bomb, bytes(1 << 26))))


def test_names_in_another_encoding_are_no_reviews_of_ours(alone: Path) -> None:
    odd = tarfile.TarInfo("aclImdb/café.txt")
    assert len(read_imdb_archive(write_tar(alone, (odd, b"x"), encoding="latin-1"))["train"]) == 2
    odd.name = "aclImdb/train/pos/café_9.txt"
    with pytest.raises(InputError, match="not a review's name"):
        read_imdb_archive(write_tar(alone, (odd, b"x"), encoding="latin-1"))


def test_a_member_that_claims_to_be_larger_than_the_archive_is_refused(alone: Path) -> None:
    info = tarfile.TarInfo(PLACES[0])
    info.size = 1 << 20
    alone.write_bytes(gzip.compress(info.tobuf() + b"short"))
    with pytest.raises(InputError, match=r"not a whole tar\.gz"):
        read_imdb_archive(alone)


def test_a_zip_of_vectors_that_unpacks_to_more_than_vectors_do_is_refused_unread(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(alone, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.2d.txt", b"a 1 1\n" * 1_000_000)
    with pytest.raises(InputError, match=r"bomb\.2d\.txt unpacks to 6,000,000 bytes"):
        read_vectors(alone, 2)
    monkeypatch.setattr(glove, "MAX_COMPRESSION", 10_000)
    assert len(read_vectors(alone, 2)) == 1


def test_a_zip_of_vectors_whose_names_lead_out_is_read_in_place(alone: Path) -> None:
    with zipfile.ZipFile(alone, "w") as archive:
        archive.writestr("../../evil.2d.txt", b"a 1 1\n")
    assert read_vectors(alone, 2)["word"].to_pylist() == ["a"]


@pytest.mark.parametrize("read", [read_imdb_archive, lambda path: read_vectors(path, 2)])
def test_a_folder_in_place_of_an_archive_is_refused(tmp_path: Path, read) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        read(tmp_path)
