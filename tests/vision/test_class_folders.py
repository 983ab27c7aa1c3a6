import io
import re
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from stages.core.files import InputError, write_table
from stages.vision.batches.images import SCHEMA, read_images, write_images
from stages.vision.reading import class_folders, containers
from stages.vision.reading.class_folders import read_hotdog_archive


def jpeg(colour=(200, 30, 30), size=(12, 8), format="JPEG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format)
    return buffer.getvalue()


MINIMAL = {
    "hotdog/train/hotdog/0.jpg": jpeg((200, 30, 30)),
    "hotdog/train/not-hotdog/0.jpg": jpeg((30, 200, 30)),
    "hotdog/test/hotdog/7.jpg": jpeg((210, 30, 30)),
    "hotdog/test/not-hotdog/7.jpg": jpeg((30, 210, 30)),
}


def without(*places):
    return {name: data for name, data in MINIMAL.items() if not any(f"/{place}/" in name for place in places)}


@pytest.fixture
def pack(tmp_path):
    def write(members, method=zipfile.ZIP_STORED):
        """A zip of `members`: a dict, or pairs whose names may repeat; a name that ends in / is a folder's."""
        path = tmp_path / "pictures.zip"
        with zipfile.ZipFile(path, "w", method) as zipped, warnings.catch_warnings(action="ignore"):
            for name, data in members.items() if isinstance(members, dict) else members:
                zipped.writestr(name, data)
        return path

    return write


def refused(path, message):
    return pytest.raises(InputError, match=f"^{re.escape(str(path))}: {message}")


def labels(table):
    return dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))


# What is read


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_image_becomes_a_row_of_its_split(pack, method):
    splits = read_hotdog_archive(pack(MINIMAL, method))
    assert list(splits) == ["train", "test"]
    assert splits["train"].schema == splits["test"].schema == SCHEMA
    for split, number in (("train", 0), ("test", 7)):
        assert splits[split].to_pylist() == [
            {
                "id": f"{split}/{label}/{number}.jpg",
                "label": label,
                "image": MINIMAL[f"hotdog/{split}/{label}/{number}.jpg"],
            }
            for label in ("hotdog", "not-hotdog")
        ]
        assert splits[split].schema.metadata == {b"classes": b'["hotdog", "not-hotdog"]'}


def test_rows_are_sorted_by_id_whatever_the_archives_order(pack, monkeypatch):
    monkeypatch.setattr(class_folders, "_GROUP", 3)
    names = [f"{split}/{label}/{i}.png" for split in ("test", "train") for label in "ba" for i in range(11)]
    images = {name: jpeg((i, 7 * i % 256, 0), format="PNG") for i, name in enumerate(names)}
    for members in (images, dict(reversed(images.items()))):
        table = read_hotdog_archive(pack(members))["train"]
        assert table["id"].to_pylist() == sorted(name for name in names if name.startswith("train"))
        assert all(row["image"] == images[row["id"]] for row in table.to_pylist())


@pytest.mark.parametrize("root", ["", "a/", "a/b/", "./", "./a/", "pictures of food/", "test/", "data/train/"])
def test_the_root_may_be_at_any_depth(pack, root):
    moved = {name.replace("hotdog/", root, 1): data for name, data in MINIMAL.items()}
    assert read_hotdog_archive(pack(moved)) == read_hotdog_archive(pack(MINIMAL))


def test_all_else_in_the_archive_is_passed_over(pack):
    others = [
        "README.md",
        "hotdog/LICENSE",
        "hotdog/train/index.csv",
        "hotdog/valid/hotdog/0.jpg",
        "hotdog/train/hotdog/.DS_Store",
        "hotdog/train/hotdog/._0.jpg",
        "hotdog/test/hotdog/Thumbs.db",
        "hotdog/test/hotdog/desktop.ini",
        "hotdog/train/.ipynb_checkpoints/0-checkpoint.jpg",
        "__MACOSX/hotdog/train/hotdog/._0.jpg",
        "__MACOSX/hotdog/train/hotdog/0.jpg",
    ]
    folders = [f"hotdog/{folder}" for folder in ("", "train/", "test/", "train/hotdog/", "test/hotdog/", "valid/rest/")]
    members = dict.fromkeys(others, b"no picture") | dict.fromkeys(folders, b"") | MINIMAL
    assert read_hotdog_archive(pack(members)) == read_hotdog_archive(pack(MINIMAL))


def test_classes_are_the_folders_names_sorted(pack):
    names = ["zebra", "Ant", "hot dog", "naïve café 日本 🌭", "10", "9"]
    members = {f"{split}/{name}/a b é.png": jpeg() for split in ("train", "test") for name in names}
    table = read_hotdog_archive(pack(members))["test"]
    assert labels(table) == {f"test/{name}/a b é.png": name for name in sorted(names)}


@pytest.mark.parametrize("names", [("train", "test"), ("test", "other")])
def test_a_class_may_be_called_as_a_split_is(pack, names):
    members = {f"data/{split}/{name}/0.jpg": jpeg() for split in ("train", "test") for name in names}
    assert set(labels(read_hotdog_archive(pack(members))["test"]).values()) == set(names)


def test_the_same_bytes_may_come_twice(pack):
    members = MINIMAL | {"hotdog/train/hotdog/1.jpg": MINIMAL["hotdog/train/hotdog/0.jpg"]}
    first, second, _ = read_hotdog_archive(pack(members))["train"]["image"].to_pylist()
    assert first == second


def test_an_image_that_needs_care_gets_it(pack):
    grey = io.BytesIO()
    Image.new("L", (4, 4), 9).save(grey, "PNG")
    rows = read_hotdog_archive(pack(MINIMAL | {"hotdog/train/hotdog/1.png": grey.getvalue()}))["train"].to_pylist()
    image = Image.open(io.BytesIO(rows[1]["image"]))
    assert (rows[1]["id"], image.mode, image.getpixel((0, 0))) == ("train/hotdog/1.png", "RGB", (9, 9, 9))


def test_odd_metadata_are_no_warning(pack, recwarn):
    odd = io.BytesIO()
    Image.new("RGB", (4, 4)).save(odd, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05aa")
    assert len(read_hotdog_archive(pack(MINIMAL | {"hotdog/train/hotdog/1.jpg": odd.getvalue()}))["train"]) == 3
    assert len(recwarn) == 0


# What is refused: the layout


def test_no_splits_are_refused_with_what_was_found(pack):
    path = pack({"chairs/wood/0.jpg": jpeg(), "chairs/steel/0.jpg": jpeg()})
    expected = re.escape("expected …/{train,test}/<class>/<picture>, found 'chairs/steel', 'chairs/wood'")
    with refused(path, f"no picture in train; {expected}$"):
        read_hotdog_archive(path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_split_is_refused(pack, split):
    path = pack(without(split))
    with refused(path, f"no picture in {split}; expected"):
        read_hotdog_archive(path)


def test_an_empty_archive_is_refused(pack):
    path = pack({})
    with refused(path, "no picture in train; expected"):
        read_hotdog_archive(path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_that_one_split_lacks_is_refused(pack, split):
    other = {"train": "test", "test": "train"}[split]
    path = pack(without(f"{split}/not-hotdog"))
    with refused(path, f"classes in {other} that are not in {split}: 'not-hotdog';"):
        read_hotdog_archive(path)


@pytest.mark.parametrize("rest", ["", ".DS_Store", "Thumbs.db"])
@pytest.mark.parametrize("place", ["train/hotdog", "test/not-hotdog"])
def test_a_class_without_an_image_is_refused(pack, place, rest):
    path = pack(without(place) | {f"hotdog/{place}/{rest}": b""})
    with refused(path, f"no picture in '{place}';"):
        read_hotdog_archive(path)


def test_a_class_without_an_image_in_both_splits_is_refused(pack):
    path = pack(MINIMAL | {"hotdog/train/empty/": b"", "hotdog/test/empty/": b""})
    with refused(path, "no picture in 'test/empty', 'train/empty';"):
        read_hotdog_archive(path)


def test_a_single_class_is_refused(pack):
    path = pack(without("not-hotdog"))
    with refused(path, "only one class: 'hotdog';"):
        read_hotdog_archive(path)


def test_two_roots_are_refused(pack):
    path = pack(MINIMAL | {"more/train/hotdog/9.jpg": jpeg()})
    with refused(path, "more than one data set: in 'hotdog', 'more';"):
        read_hotdog_archive(path)


@pytest.mark.parametrize("second", ["hotdog/train/hotdog/0.jpg", "./hotdog/train/hotdog/0.jpg"])
def test_a_member_that_is_there_twice_is_refused(pack, second):
    path = pack([*MINIMAL.items(), (second, jpeg())])
    with refused(path, f"{re.escape(second)} is there twice"):
        read_hotdog_archive(path)


# What is refused: the members


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("notes.txt", b"notes", "not a picture,"),
        ("text.jpg", b"text", "not a picture,"),
        ("empty.jpg", b"", "not a picture,"),
        ("cut.jpg", jpeg(size=(64, 64))[:-40], r"a damaged picture \(.*truncated"),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_file_that_is_no_whole_image_is_refused_by_its_name(pack, split, name, data, message):
    path = pack(MINIMAL | {f"hotdog/{split}/hotdog/{name}": data})
    with refused(path, f"hotdog/{split}/hotdog/{re.escape(name)}: {message}"):
        read_hotdog_archive(path)


def test_a_decompression_bomb_is_refused_by_its_name(pack):
    bomb = bytearray(jpeg(format="PNG"))
    bomb[16:24] = struct.pack(">II", 50_000, 50_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    path = pack(MINIMAL | {"hotdog/train/hotdog/bomb.png": bytes(bomb)})
    with refused(path, r"hotdog/train/hotdog/bomb\.png: declares more than 50,000,000 pixels"):
        read_hotdog_archive(path)


def test_a_member_of_too_many_bytes_is_refused_unread(pack, monkeypatch):
    path = pack(MINIMAL | {"hotdog/train/hotdog/1.bmp": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(containers, "MAX_BYTES", 4_999_999)
    assert len(path.read_bytes()) < 20_000
    opened = []
    open_member = zipfile.ZipFile.open

    def spy(self, member):
        opened.append(member.filename)
        return open_member(self, member)

    monkeypatch.setattr(zipfile.ZipFile, "open", spy)
    with refused(path, r"hotdog/train/hotdog/1\.bmp: declares 5,000,000 bytes; .* at most 4,999,999"):
        read_hotdog_archive(path)
    assert "hotdog/train/hotdog/0.jpg" in opened
    assert "hotdog/train/hotdog/1.bmp" not in opened


def test_no_more_than_the_declared_bytes_is_unpacked(pack, monkeypatch):
    path = pack(MINIMAL | {"hotdog/train/hotdog/z.bmp": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    assert data.count(struct.pack("<I", 5_000_000)) == 2  # in the member's own header and in the directory
    path.write_bytes(data.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 1000)))
    limits = []
    read = zipfile.ZipExtFile._read1

    def spy(self, n):
        limits.append(n)
        return read(self, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", spy)
    with refused(path, r"hotdog/train/hotdog/z\.bmp: damaged \(Bad CRC-32"):
        read_hotdog_archive(path)
    assert max(limits) <= 1000


def test_an_encrypted_member_is_refused(pack):
    path = pack(MINIMAL)
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    path.write_bytes(data)
    with refused(path, r"hotdog/train/hotdog/0\.jpg: encrypted;"):
        read_hotdog_archive(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_compression_is_refused(pack, method):
    path = pack(MINIMAL, method)
    with refused(path, rf"4 of 4 files cannot be read .*\n.*\.jpg: packed by method {method}; expected stored or def"):
        read_hotdog_archive(path)


def test_a_member_with_a_changed_byte_is_refused(pack):
    path = pack(MINIMAL)
    image = MINIMAL["hotdog/test/hotdog/7.jpg"]
    data = path.read_bytes()
    assert data.count(image) == 1
    changed = image[:300] + bytes([image[300] ^ 1]) + image[301:]
    path.write_bytes(data.replace(image, changed))
    with refused(path, r"hotdog/test/hotdog/7\.jpg: damaged \(Bad CRC-32"):
        read_hotdog_archive(path)


# What is refused: the archive


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused(pack, share):
    path = pack(MINIMAL)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with refused(path, "not a whole zip archive"):
        read_hotdog_archive(path)


@pytest.mark.parametrize("data", [b"<html>404 Not Found</html>", jpeg(), b"PK\x03\x04"])
def test_what_is_no_zip_is_refused(tmp_path, data):
    path = tmp_path / "pictures.zip"
    path.write_bytes(data)
    with refused(path, "not a whole zip archive"):
        read_hotdog_archive(path)


def test_a_missing_archive_is_refused(tmp_path):
    with refused(tmp_path / "no.zip", "not a whole zip archive"):
        read_hotdog_archive(tmp_path / "no.zip")


def test_a_damaged_archive_gives_its_images_or_an_input_error(pack):
    path = pack(MINIMAL, zipfile.ZIP_DEFLATED)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    refusals = 0
    for _ in range(200):
        damaged = data.copy()
        damaged[rng.integers(0, len(data), 4)] = rng.integers(0, 256, 4)
        path.write_bytes(damaged.tobytes())
        try:
            read_hotdog_archive(path)
        except InputError:
            refusals += 1
    assert refusals > 0


# On disk


@pytest.fixture
def written(pack, tmp_path):
    path = tmp_path / "data" / "train.parquet"
    write_images(path, read_hotdog_archive(pack(MINIMAL))["train"])
    return path


def test_images_come_back_from_disk(written):
    images = read_images(written)
    assert images.ids == ["train/hotdog/0.jpg", "train/not-hotdog/0.jpg"]
    assert images.classes == ["hotdog", "not-hotdog"]
    assert images.labels.dtype == torch.int64
    assert images.labels.tolist() == [0, 1]
    assert len(images) == 2
    for row, name in enumerate(images.ids):
        assert images.encoded[row].as_py() == MINIMAL[f"hotdog/{name}"]
        image = images.decode(row)
        assert (image.mode, image.size) == ("RGB", (12, 8))
        expected = Image.open(io.BytesIO(MINIMAL[f"hotdog/{name}"]))
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def test_many_images_come_back_in_their_order(tmp_path):
    count = 2500  # of several row groups
    classes = ["a", "b", "never"]
    columns = [[f"train/{i:04}" for i in range(count)], ["ab"[i % 2] for i in range(count)]]
    table = pa.table(
        [*columns, [str(i).encode() for i in range(count)]],
        schema=SCHEMA.with_metadata({"classes": '["a", "b", "never"]'}),
    )
    write_images(tmp_path / "many.parquet", table)
    images = read_images(tmp_path / "many.parquet")
    assert (images.classes, images.ids) == (classes, columns[0])
    assert images.labels.tolist() == [i % 2 for i in range(count)]
    assert [int(images.encoded[i].as_py()) for i in range(count)] == list(range(count))


def test_the_same_archive_gives_the_same_bytes(pack, written):
    before = written.read_bytes()
    write_images(written, read_hotdog_archive(pack(dict(reversed(MINIMAL.items()))))["train"])
    assert written.read_bytes() == before


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no\.parquet: no such file"):
        read_images(tmp_path / "no.parquet")


def test_a_truncated_file_is_refused(written):
    written.write_bytes(written.read_bytes()[:-100])
    with pytest.raises(InputError, match=re.escape(f"{written}: ")):
        read_images(written)


CLASSES = {"classes": '["hotdog", "not-hotdog"]'}
ROW = {"id": ["train/hotdog/0.jpg"], "label": ["hotdog"], "picture": [b"bytes"]}


@pytest.mark.parametrize(
    ("columns", "metadata"),
    [
        (ROW, {}),
        (ROW, {"classes": "hotdog"}),
        (ROW, {"classes": '["not-hotdog"]'}),
        (ROW | {"label": [None]}, CLASSES),
        (ROW | {"picture": [[1.5]]}, CLASSES),
        ({"id": ["0_9"], "text": ["Good."], "label": ["hotdog"]}, CLASSES),
    ],
)
def test_another_table_is_refused(tmp_path: Path, columns, metadata):
    path = tmp_path / "other.parquet"
    write_table(path, pa.table(columns).replace_schema_metadata(metadata))
    with pytest.raises(InputError, match=re.escape(f"{path}: not images (") + r".*dvc repro fetch_hotdog"):
        read_images(path)
