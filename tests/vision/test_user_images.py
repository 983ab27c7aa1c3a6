"""Pictures of one's own, in a folder or a zip, with splits or without."""

import io
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from stages.core.files import InputError
from stages.vision.batches.images import SCHEMA, write_images
from stages.vision.reading.class_folders import read_hotdog_archive, read_user_images

CLASSES = ("naïve café 日本", "a, b; 'c'", '<b>"x"<i>.v1')
Container = dict[str, bytes]  # "wood/0.png" -> its bytes


def png(colour: int = 0, form: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (12, 8), (colour, 90, 200)).convert(mode).save(buffer, form)
    return buffer.getvalue()


SPLIT = {f"{split}/{name}/{i}.png": png(i) for split in ("train", "test") for name in CLASSES for i in range(2)}
WHOLE = {f"{name}/{i}.png": png(i) for name in CLASSES for i in range(5)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


def unpack(folder: Path, files: Container) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            (folder / name).mkdir(parents=True)
        else:
            (folder / name).write_bytes(data)
    return folder


def pack(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def own(source: Path, fraction: float = 0.2, seed: int = 0) -> dict[str, pa.Table]:
    return read_user_images(source, fraction, seed)


def refused(message: str) -> "pytest.RaisesExc[InputError]":
    return pytest.raises(InputError, match=message)


# What is read


@pytest.mark.parametrize("files", [SPLIT, WHOLE], ids=["split", "whole"])
@pytest.mark.parametrize("root", ["", "a/", "a/b c/", "test set/"])
def test_a_folder_and_its_zip_are_the_same_bytes(folder: Path, tmp_path: Path, files: Container, root: str) -> None:
    unpack(folder, {f"{root}{name}": data for name, data in files.items()})
    written = []
    for number, source in enumerate((folder, pack(folder))):
        for split, table in own(source).items():
            path = tmp_path / f"{number}/{split}.parquet"
            write_images(path, table)
            written.append(path.read_bytes())
    assert written[:2] == written[2:]


def test_splits_are_read_as_from_the_archives_of_the_other_data_sets(folder: Path) -> None:
    unpack(folder, SPLIT)
    assert own(folder) == read_hotdog_archive(pack(folder))


def test_without_splits_a_share_of_each_class_is_the_test_split(folder: Path) -> None:
    splits = own(unpack(folder, WHOLE), 0.4)
    rows = {split: table.to_pylist() for split, table in splits.items()}
    assert list(rows) == ["train", "test"]
    for split, table in splits.items():
        assert table.schema == SCHEMA
        assert table.schema.metadata == {b"classes": json.dumps(sorted(CLASSES)).encode()}
        ids = [row["id"] for row in rows[split]]
        assert ids == sorted(ids)
        assert [row["id"].split("/")[0] for row in rows[split]] == [row["label"] for row in rows[split]]
        assert all(row["image"] == WHOLE[row["id"]] for row in rows[split])
        assert {row["label"] for row in rows[split]} == set(CLASSES)
    assert (len(rows["train"]), len(rows["test"])) == (9, 6)
    assert {row["id"] for split in rows.values() for row in split} == set(WHOLE)
    assert own(folder, 0.4, seed=1)["test"]["id"] != splits["test"]["id"]


@pytest.mark.parametrize("files", [SPLIT, WHOLE], ids=["split", "whole"])
def test_litter_and_loose_files_are_passed_over(folder: Path, files: Container) -> None:
    expected = own(unpack(folder, {f"mine/{name}": data for name, data in files.items()}))
    place = next(iter(files)).rpartition("/")[0]
    litter = (".DS_Store", f"mine/{place}/.DS_Store", f"mine/{place}/Thumbs.db", ".git/hooks/a.jpg", "mine/labels.csv",
              f"__MACOSX/mine/{place}/._0.png", "README.md", f"mine/.cache/{place}/0.png")  # fmt: skip
    unpack(folder, dict.fromkeys(litter, b"none"))
    assert own(folder) == own(pack(folder)) == expected


def test_suffixes_in_capitals_and_images_that_need_care(folder: Path) -> None:
    cmyk, turned = png(form="JPEG", mode="CMYK"), io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (8, 4)).save(turned, "JPEG", exif=exif)
    unpack(folder, {"a/0.JPG": cmyk, "a/1.Jpeg": turned.getvalue(), "b/0.PNG": png(), "b/1.png": png(1)})
    rows = {row["id"]: row for table in own(folder).values() for row in table.to_pylist()}
    images = {name: Image.open(io.BytesIO(row["image"])) for name, row in rows.items()}
    assert {image.mode for image in images.values()} == {"RGB"}
    assert images["a/1.Jpeg"].size == (4, 8)


def test_a_class_may_be_called_as_a_split_is(folder: Path) -> None:
    splits = own(unpack(folder, {f"{name}/{i}.png": png(i) for name in ("train", "plane") for i in range(3)}))
    assert set(splits["test"]["label"].to_pylist()) == {"train", "plane"}


def test_a_link_to_a_file_is_that_file(folder: Path, tmp_path: Path) -> None:
    expected = own(unpack(folder, WHOLE))
    first = folder / next(iter(WHOLE))
    first.rename(tmp_path / "elsewhere.png")
    first.symlink_to(tmp_path / "elsewhere.png")
    assert own(folder) == expected


# What is refused


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no picture in a class's folder; expected …/{train,test}/<class>/<picture> or …/<class>/<picture>"),
        ({"0.png": png(), "1.png": png()}, "no picture in a class's folder; expected"),
        ({"a/0.png": png(), "a/1.png": png()}, "only one class: 'a'; expected"),
        ({"a/0.png": png(), "a/1.png": png(), "b/0.png": png()}, "class 'b': a single example; expected"),
        (WHOLE | {"empty/": b""}, "no picture in 'empty'; expected"),
        (WHOLE | {"empty/.DS_Store": b""}, "no picture in 'empty'; expected"),
        ({f"{year}/{name}/0.png": png() for year in "ab" for name in "xy"}, "are 'a', 'b' the classes, or 'x', 'y' in"),
        (SPLIT | {"more/train/a/9.png": png()}, "more than one data set: in '.', 'more'; expected"),
        ({n: d for n, d in SPLIT.items() if n.startswith("train")}, "no picture in test; expected"),
        (SPLIT | {"train/more/0.png": png()}, "classes in train that are not in test: 'more'; expected"),
        (SPLIT | {"test/more/": b""}, "classes in test that are not in train: 'more'; expected"),
    ],
)
def test_another_layout_is_refused(folder: Path, zipped: bool, files: Container, message: str) -> None:
    folder.mkdir()
    source = pack(unpack(folder, files)) if zipped else unpack(folder, files)
    with refused(f"^{re.escape(str(source))}: {re.escape(message)}"):
        own(source)


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("files", [SPLIT, WHOLE], ids=["split", "whole"])
@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("notes.txt", b"notes", "not a picture,"),
        ("empty.jpg", b"", "not a picture,"),
        ("cut.png", png()[:-30], "a damaged picture"),
    ],
)
def test_a_file_that_is_no_whole_image_is_refused_by_its_name(
    folder: Path, zipped: bool, files: Container, name: str, data: bytes, message: str
) -> None:
    place = next(iter(files)).rpartition("/")[0]
    unpack(folder, files | {f"{place}/{name}": data})
    source, where = (pack(folder), f"{folder}.zip: {place}/{name}") if zipped else (folder, f"{folder}/{place}/{name}")
    with refused(f"^{re.escape(where)}: {message}"):
        own(source)


def test_a_link_to_a_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    unpack(folder, WHOLE)
    for target in (unpack(tmp_path / "elsewhere", {"0.png": png()}), folder):  # outside, and in a circle
        (folder / "linked").symlink_to(target)
        with refused(f"^{folder}/linked: a link to a folder, whose edits DVC does not see"):
            own(folder)
        (folder / "linked").unlink()


@pytest.mark.parametrize("target", ["nowhere.png", "loop.png"])
def test_a_link_that_leads_nowhere_is_refused(folder: Path, target: str) -> None:
    place = unpack(folder, WHOLE) / CLASSES[0]
    (place / "loop.png").symlink_to(place / target)
    with refused(f"^{re.escape(str(place))}/loop.png: not a regular file"):
        own(folder)


def test_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(unpack(folder, WHOLE) / CLASSES[0] / "pipe.png")
    with refused(r"pipe\.png: not a regular file"):
        own(folder)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_a_name_that_is_no_text_is_refused(folder: Path) -> None:
    unpack(folder, WHOLE)
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).mkdir()
    except OSError:
        pytest.skip("this file system takes no such name")
    with refused(r"\\udcff': a name that is not UTF-8"):
        own(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_refused(folder: Path) -> None:
    locked = unpack(folder, WHOLE) / CLASSES[0]
    locked.chmod(0)
    try:
        with refused(f"^{re.escape(str(locked))}: Permission denied"):
            own(folder)
    finally:
        locked.chmod(0o700)


def test_what_is_neither_a_folder_nor_a_zip_is_refused(folder: Path) -> None:
    with refused(f"^{folder}: no such folder or zip"):
        own(folder)
    folder.write_bytes(png())
    with refused(f"^{folder}: not a whole zip archive"):
        own(folder)


def test_a_zip_of_links_shows_no_file_outside(folder: Path, tmp_path: Path) -> None:
    # A link in a zip is a member whose bytes are the path
    path = pack(unpack(folder, WHOLE))
    with zipfile.ZipFile(path, "a") as zipped:
        link = zipfile.ZipInfo(f"{CLASSES[0]}/9.png")
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, str(folder / next(iter(WHOLE))))
    with refused(r"9\.png: not a picture,"):
        own(path)
