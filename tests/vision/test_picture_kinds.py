"""Pictures and folders as people have them: odd formats, deep folders, hidden classes, copies, thin strips."""

import io
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from stages.apps.image_models import each_image
from stages.apps.inputs import sort_inputs
from stages.core.files import InputError
from stages.vision.batches.augmentation import MAX_RATIO, central_view
from stages.vision.batches.images import read_images, read_skipped, write_images
from stages.vision.reading import class_folders
from stages.vision.reading.class_folders import read_hotdog_archive, read_user_images
from stages.vision.reading.opening import plain, upright
from stages.vision.sheets import SheetRow, write_sheet

ROOT = Path(__file__).parents[2]
Container = dict[str, bytes]


def encode(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png(number: int = 0) -> bytes:
    return encode(Image.new("RGB", (12, 8), (number % 256, number // 256, 200)))


def of(*places: str, each: int = 3, first: int = 0) -> Container:
    """Pictures that all differ, so many in each place."""
    names = [f"{place}/{i}.png" for place in places for i in range(each)]
    return {name: png(first + number) for number, name in enumerate(names)}


def unpack(folder: Path, files: Container) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def ids(source: Path, fraction: float = 0.34, **options: bool) -> dict[str, list[str]]:
    return {split: table["id"].to_pylist() for split, table in read_user_images(source, fraction, 0, **options).items()}


def every(found: dict[str, list[str]]) -> list[str]:
    return sorted(chain.from_iterable(found.values()))


def refused(message: str) -> "pytest.RaisesExc[InputError]":
    return pytest.raises(InputError, match=message)


SPLIT = of("train/cat", "train/dog", "test/cat", "test/dog")


# Folders


def test_subfolders_of_a_class_belong_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = of("train/dog/session2", "train/dog/2024/june", each=2, first=500)
    found = ids(unpack(tmp_path / "a", SPLIT | deep))
    assert set(deep) <= set(found["train"])
    table = read_user_images(tmp_path / "a", 0.2, 0)["train"]
    labels = dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))
    assert {labels[name] for name in deep} == {"dog"}
    assert capsys.readouterr().err.splitlines()[-1] == "read 16 pictures in 2 classes, passed over 0 files"


def test_subfolders_without_splits_belong_to_their_class_and_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = of("cat", "dog/monday", "dog/tuesday")
    found = ids(unpack(tmp_path / "a", files))
    assert set(found["train"]) | set(found["test"]) == set(files)
    assert "the classes are 'cat', 'dog'; the folders below belong to them: 'dog/mon" in capsys.readouterr().err
    assert set(every(ids(unpack(tmp_path / "b", of("cat/images", "dog/images"))))) == set(
        of("cat/images", "dog/images")
    )


def test_pictures_without_a_suffix_are_pictures(tmp_path: Path) -> None:
    files = {name.removesuffix(".png"): data for name, data in of("cat", "dog").items()}
    assert every(ids(unpack(tmp_path / "a", files))) == sorted(files)


def test_archives_in_place_of_pictures_are_named(tmp_path: Path) -> None:
    with refused(r"no picture in a class's folder; .*, found 'a'; unpack 'a/test\.tar\.gz', 'a/train\.zip'$"):
        ids(unpack(tmp_path, {"a/train.zip": b"PK", "a/test.tar.gz": b"\x1f\x8b", "a/read.me": b""}))


def test_folders_that_may_be_two_data_sets_are_refused_with_both_readings(tmp_path: Path) -> None:
    with refused("are '2023', '2024' the classes, or 'cat', 'dog' in each of them"):
        ids(unpack(tmp_path / "a", of("2023/cat", "2023/dog", "2024/cat", "2024/dog")))


def test_a_folder_of_pictures_whose_name_begins_with_a_dot_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = of("java", "python", ".net") | {".git/x": b"1", "java/.ipynb_checkpoints/0.png": png()}
    found = ids(unpack(tmp_path / "a", files))
    assert not any(".net" in name for name in every(found))
    *_, warning, summary = capsys.readouterr().err.splitlines()
    assert warning == (
        "warning: 3 pictures in '.net' passed over, because its name begins with a dot; rename it if it is a class"
    )
    assert summary == (
        "read 6 pictures in 2 classes, passed over 5 files "
        "(5 in folders that are passed over: '.git', '.ipynb_checkpoints', '.net')"
    )


def test_a_reading_ends_with_what_was_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = ["README.md", "train/loose.png", "train/cat/Thumbs.db", "train/dog/Thumbs.db", "test/.DS_Store"]
    unpack(tmp_path / "a", SPLIT | dict.fromkeys(others, b"x"))
    ids(tmp_path / "a")
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("read 12 pictures in 2 classes, passed over 5 files (")
    for kind in ("2 Thumbs.db", "2 outside the classes' folders: 'README.md', 'train/loose.png'", "1 hidden: '.DS_St"):
        assert kind in said


@pytest.mark.parametrize("name", ["valid", "validation", "val", "Val", "dev"])
def test_a_valid_folder_beside_train_and_test_is_a_split(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ids(unpack(tmp_path / "a", SPLIT | of(f"{name}/cat", f"{name}/dog", first=700)))
    assert found["valid"] == [f"valid/{label}/{i}.png" for label in ("cat", "dog") for i in range(3)]
    assert "valid: 6 pictures are the validation part, by which the epoch is chosen" in capsys.readouterr().err


def test_a_valid_folder_of_other_classes_is_told_and_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ids(unpack(tmp_path / "a", SPLIT | of("val/images", first=700)))
    assert list(found) == ["train", "test"]
    said = capsys.readouterr().err
    assert "'val' is not used: its classes are not those of train; 3 files passed over" in said
    assert "passed over 3 files (3 not used: " in said


def test_a_valid_folder_without_test_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with refused("no picture in test; .*; there is 'valid': name it test to measure on it"):
        ids(unpack(tmp_path / "a", of("train/cat", "train/dog", "valid/cat", "valid/dog")))


def test_a_test_folder_without_classes_is_refused_with_the_reason(tmp_path: Path) -> None:
    with refused("no picture in test; .*; the pictures in test lie in no class's folder"):
        ids(unpack(tmp_path / "a", of("train/cat", "train/dog", "test")))


@pytest.mark.parametrize("names", [("Train", "Test"), ("TRAIN", "TEST"), ("training", "testing")])
def test_other_spellings_of_train_and_test_are_read(tmp_path: Path, names: tuple[str, str]) -> None:
    found = ids(unpack(tmp_path / "a", of(*(f"{split}/{label}" for split in names for label in ("cat", "dog")))))
    assert found["train"][0] == "train/cat/0.png"
    assert found["test"][0] == "test/cat/0.png"


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    with refused("two folders for train: 'train', 'training'; keep one"):
        ids(unpack(tmp_path / "a", SPLIT | of("training/cat", first=900)))


def test_classes_whose_names_look_alike_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids(unpack(tmp_path / "a", of("Cat", "cat", "dog")))
    assert "classes whose names look alike: 'Cat' and 'cat'; each is a class of its own" in capsys.readouterr().err
    composed, spelt = (f"{split}/caf{letter}" for split, letter in (("train", "\u00e9"), ("test", "e\u0301")))
    with refused(r"names that look alike: 'cafe\\u0301' and 'caf\\xe9'"):
        ids(unpack(tmp_path / "b", of(composed, spelt, "train/dog", "test/dog")))


# Copies


def recompressed(data: bytes) -> bytes:
    return encode(Image.open(io.BytesIO(data)), compress_level=0)


@pytest.mark.parametrize("seed", range(8))
def test_equal_pictures_are_never_parted_in_the_draw(tmp_path: Path, seed: int) -> None:
    files = {f"{label}/{i}-{copy}.png": png(i + 40 * number) for number, label in enumerate(("cat", "dog"))
             for i in range(10) for copy in range(2)}  # fmt: skip
    files |= {
        f"{label}/{i}-z.png": recompressed(files[f"{label}/{i}-0.png"]) for label in ("cat", "dog") for i in (1, 4)
    }
    files |= {"cat/both.png": png(900), "dog/both.png": png(900)}
    splits = read_user_images(unpack(tmp_path / "a", files), 0.3, seed)
    groups = [
        {name.split("-")[0].split("/both")[-1] for name in splits[s]["id"].to_pylist()} for s in ("train", "test")
    ]
    assert groups[0] & groups[1] == set()
    for split in splits.values():
        assert set(split["label"].to_pylist()) == {"cat", "dog"}
    assert 10 <= len(splits["test"]) <= 14


def test_a_class_of_one_picture_many_times_is_refused(tmp_path: Path) -> None:
    with refused("class 'cat': all its examples are equal; expected one for each split"):
        ids(unpack(tmp_path / "a", {f"cat/{i}.png": png() for i in range(5)} | of("dog", first=5)))


def test_test_pictures_that_are_in_train_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copies = {"test/cat/8.png": SPLIT["train/cat/0.png"], "test/dog/8.png": recompressed(SPLIT["train/dog/1.png"])}
    found = ids(unpack(tmp_path / "a", SPLIT | copies))
    assert len(found["test"]) == 8
    assert (
        "2 of 8 test pictures are in train too, pixel for pixel, which makes results look better than they are: "
        "'test/cat/8.png' and 'train/cat/0.png'; 'test/dog/8.png' and 'train/dog/1.png'"
    ) in capsys.readouterr().err


def test_a_picture_in_two_classes_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids(unpack(tmp_path / "a", of("cat", "dog") | {"cat/9.png": png(99), "dog/9.png": png(99)}))
    said = "pictures that are in another class too, pixel for pixel: 1: 'cat/9.png' and 'dog/9.png'"
    assert said in capsys.readouterr().err


# Bad files


def test_all_bad_files_are_in_one_message(tmp_path: Path) -> None:
    files = of("cat", "dog") | {f"cat/bad{i:02}.png": b"" for i in range(25)}
    with refused(r"25 of 31 files cannot be read as pictures\n") as caught:
        ids(unpack(tmp_path / "a", files))
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + class_folders.SHOWN + 2
    assert lines[-2:] == [
        "  and 5 more",
        "mend, move or delete them; or own.skip_bad: true leaves out what cannot be read",
    ]


@pytest.mark.parametrize("files", [of("cat", "dog") | {"cat/bad.png": b""}, SPLIT | {"test/dog/bad.png": b""}])
def test_the_message_of_a_single_bad_file_has_the_way_out_too(tmp_path: Path, files: Container) -> None:
    with refused(r"/bad\.png: not a picture, .*; or own\.skip_bad: true leaves out what cannot be read$"):
        ids(unpack(tmp_path / "a", files))


@pytest.mark.parametrize("count", [1, 2])
def test_bad_files_in_the_projects_own_archive_cannot_be_skipped(tmp_path: Path, count: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in (SPLIT | {f"train/cat/bad{i}.png": b"" for i in range(count)}).items():
            archive.writestr(name, data)
    with refused(r"train/cat/bad0\.png: not a picture") as caught:
        read_hotdog_archive(tmp_path / "a.zip")
    assert "own." not in str(caught.value)


def test_bad_files_are_skipped_and_listed_where_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = {"cat/bad.png": b"", "dog/cut.png": png()[:-30], "dog/notes.txt": b"notes"}
    found = ids(unpack(tmp_path / "a", of("cat", "dog") | bad), skip_bad=True)
    assert every(found) == sorted(of("cat", "dog"))
    *listed, summary = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in listed] == [["skipped", f"{tmp_path}/a/{name}"] for name in sorted(bad)]
    assert summary.endswith(
        "passed over 3 files (3 that cannot be read: 'cat/bad.png', 'dog/cut.png', 'dog/notes.txt')"
    )


def test_skipped_files_are_noted_for_the_report(tmp_path: Path) -> None:
    splits = read_user_images(unpack(tmp_path / "a", SPLIT | {"test/cat/bad.png": b""}), 0.2, 0, skip_bad=True)
    for split, table in splits.items():
        write_images(tmp_path / f"{split}.parquet", table)
    assert read_skipped(tmp_path / "test.parquet") == ["test/cat/bad.png"]
    assert read_skipped(tmp_path / "train.parquet") == []
    assert "test/cat/bad.png" not in read_images(tmp_path / "test.parquet").ids


def test_a_class_of_bad_files_alone_is_refused_even_so(tmp_path: Path) -> None:
    with refused("no picture that can be read in 'cow'"):
        ids(unpack(tmp_path / "a", of("cat", "dog") | {"cow/0.png": b""}), skip_bad=True)


# Archives


def test_a_zip_with_backslashes_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in SPLIT.items():
            archive.writestr("pets\\" + name.replace("/", "\\"), data)
    assert every(ids(tmp_path / "a.zip")) == sorted(SPLIT)


def test_backslashes_part_folders_beside_other_names_with_slashes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("docs/read.me", b"")
        for name, data in SPLIT.items():
            archive.writestr("pets\\" + name.replace("/", "\\"), data)
    assert every(ids(tmp_path / "a.zip")) == sorted(SPLIT)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (png(), "not a whole zip archive but a picture; name the folder that holds the folders of the classes"),
        (b"a,b\n", r"not a whole zip archive \(.*\); expected a folder of pictures, or a zip: get it again"),
        (b"PK\3\4" + bytes(9), r"not a whole zip archive \(.*\), though it begins as one; get it again"),
        (b"\x28\xb5\x2f\xfd" + bytes(9), "but a zstd archive; unpack it and name the folder"),
    ],
)
def test_a_file_that_is_no_zip_is_named(tmp_path: Path, data: bytes, what: str) -> None:
    (tmp_path / "a").write_bytes(data)
    with refused(f"^{tmp_path}/a: .*{what}"):
        ids(tmp_path / "a")


def test_a_backslash_is_a_letter_where_slashes_part_the_folders(tmp_path: Path) -> None:
    files = of("a\\b", "c")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert every(ids(tmp_path / "a.zip")) == sorted(files)


def test_names_in_utf8_without_its_flag_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in of("café", "dog").items():
            archive.writestr(name, data)
    data = bytearray(path.read_bytes())  # as macOS writes it
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            data[start + flags + 1] &= ~0x08
    path.write_bytes(data)
    assert zipfile.ZipFile(path).namelist()[0] != "café/0.png"
    assert set(every(ids(path))) == set(of("café", "dog"))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_is_named(tmp_path: Path, mode: str) -> None:
    with tarfile.open(tmp_path / "a.zip", mode) as archive:
        archive.add(unpack(tmp_path / "a", SPLIT), "a")
    with refused(r"but an? (tar|gzip|xz) archive; unpack it and name the folder, or pack that as a zip"):
        ids(tmp_path / "a.zip")


# Several frames


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "MPO", "AVIF"])
def test_other_frames_than_the_first_are_not_passed_over_without_a_word(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = (Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue"))
    moving = {f"dog/{i}.x": encode(first, form, save_all=True, append_images=others[i:]) for i in range(2)}
    still = {"cat/9.x": encode(Image.new("RGB", (16, 16), "white"), form)}
    splits = read_user_images(unpack(tmp_path / "a", of("cat", "dog") | moving | still), 0.2, 0)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "read 9 pictures (of 2 the first of several frames or pages) in 2 classes, passed over 0 files"
    for table in splits.values():
        for row in table.to_pylist():
            if row["id"] in moving:
                red, green, blue = Image.open(io.BytesIO(row["image"])).convert("RGB").getpixel((8, 8))
                assert red > 200 > 60 > max(green, blue)


# Strips


@pytest.mark.parametrize("size", [(65_000, 1), (1, 65_000), (65_001, 2), (300, 7)])
def test_the_view_of_a_strip_is_its_middle_and_takes_little(size: tuple[int, int], tmp_path: Path) -> None:
    grey = np.linspace(0, 255, max(size)).astype(np.uint8)
    image = Image.fromarray(np.tile(grey, (min(size), 1)))
    image = (image if size[0] > size[1] else image.transpose(Image.Transpose.ROTATE_90)).convert("RGB")
    sizes: list[tuple[int, int]] = []
    resize = Image.Image.resize
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "resize", lambda self, to, *a, **k: sizes.append(to) or resize(self, to, *a, **k))
        view = np.asarray(central_view(224)(image))
    assert view.shape == (224, 224, 3)
    assert abs(view.mean() - 127.5) < 3
    assert max(width * height for width, height in sizes) <= (MAX_RATIO + 1) * 256**2
    write_sheet(tmp_path / "sheet.png", [SheetRow("strip", [image], ["strip"])])


def test_other_views_are_as_they_were() -> None:
    rng = np.random.default_rng(0)
    for size in ((64, 64), (48, 768), (16, 30)):
        image = Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8))
        short = min(image.size)
        whole = image.resize([side * 256 // short for side in image.size], Image.Resampling.BILINEAR)
        left, top = (round((side - 224) / 2) for side in whole.size)
        np.testing.assert_array_equal(
            np.asarray(central_view(224)(image)), np.asarray(whole.crop((left, top, left + 224, top + 224)))
        )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel counts memory in another unit")
def test_a_strip_takes_predict_little_memory(tmp_path: Path) -> None:
    Image.new("RGB", (65_000, 1)).save(tmp_path / "strip.png")
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from stages.apps.image_models import ImageFile, as_images\n"
        "from stages.inference.config import Normalisation\nfrom stages.inference.device import prepare\n"
        "from stages.vision.batches.augmentation import central_view\n"
        "from stages.vision.batches.image_batches import ImageBatches\n"
        "from stages.vision.reading.opening import plain\n"
        "hardware, flat = prepare('cpu', 'fp32', 1), Normalisation([0.5] * 3, [0.5] * 3)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "images = as_images([ImageFile('a', plain(Path(sys.argv[1]), 'a'))])\n"
        "(batch,) = ImageBatches(images, central_view(224), flat, 4, hardware, seed=None).epoch(0)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "strip.png")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 200e6


# Sixteen bits


def tiff(samples: np.ndarray, tags: dict[int, object] | None = None) -> bytes:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in (tags or {}).items():
        directory.tagtype[tag] = 3
        directory[tag] = value
    return encode(Image.fromarray(samples), "TIFF", tiffinfo=directory)


RAMP12 = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8)


@pytest.mark.parametrize("data", [tiff(RAMP12), encode(Image.fromarray(RAMP12))], ids=["tiff", "png"])
def test_twelve_bits_in_sixteen_are_refused_with_what_to_do(data: bytes) -> None:
    with refused(r"it: 16 bits per channel, the highest value at most 4,095 .* data of 12 bits, .*; scale them"):
        plain(data, "it")


def test_twelve_bits_are_scaled_where_the_file_says_so() -> None:
    image = upright(tiff(RAMP12, {281: 4095}), "it")
    np.testing.assert_array_equal(np.asarray(image)[..., 0], RAMP12 >> 4)
    with refused("would turn dark"):  # the picture's own maximum is no range
        upright(tiff(RAMP12, {281: 4001}), "it")
    bright = RAMP12 * 16
    np.testing.assert_array_equal(np.asarray(upright(tiff(bright, {281: 4095}), "it"))[..., 0], bright >> 8)


def test_packed_twelve_bits_are_scaled() -> None:
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF1, 0x23])  # 0x000, 0x800, 0xFFF, 0x123
    entries = [(256, 4, 4), (257, 4, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 0), (277, 3, 1), (278, 4, 1),
               (279, 4, len(packed))]  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, start if tag == 273 else v) for tag, kind, v in entries)
    data = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + directory + bytes(4) + packed
    image = upright(data, "it")
    assert np.asarray(image)[0, :, 0].tolist() == [0x00, 0x80, 0xFF, 0x12]


def test_white_is_zero_is_turned_round() -> None:
    data = tiff(RAMP12 * 16)
    assert data.count(struct.pack("<HHII", 262, 3, 1, 1)) == 1
    turned = data.replace(struct.pack("<HHII", 262, 3, 1, 1), struct.pack("<HHII", 262, 3, 1, 0))
    np.testing.assert_array_equal(np.asarray(upright(turned, "it"))[..., 0], 255 - (RAMP12 >> 4))


def test_a_black_picture_of_sixteen_bits_is_black() -> None:
    assert not np.asarray(upright(encode(Image.fromarray(np.zeros((4, 4), np.uint16))), "it")).any()


def test_twelve_bits_in_sixteen_bit_colours_are_refused() -> None:
    from tests.vision.test_opening import png as by_hand

    data = by_hand(2, 1, 16, 2, b"\0" + struct.pack(">6H", 4095, 0, 300, 12, 4000, 1))
    with refused("16 bits per channel, the highest value at most 4,095"):
        plain(data, "it")


# Formats


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (
            b"\0\0\0\x18ftypheic" + bytes(40),
            "a HEIC picture, which is not read here; convert it to JPEG or PNG, or inst",
        ),
        (b"\0\0\0\x18ftypmif1" + bytes(40), "a HEIC picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "a JPEG 2000 picture, which is not read here; convert it"),
        (b"\xff\x0a" + bytes(40), "a JPEG XL picture, which is not read here; convert it"),
        (b"8BPS" + bytes(40), "a Photoshop file, which is not read here; convert it"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "an SVG drawing, which is not read here; convert it"),
        (bytes(128) + b"DICM", "a DICOM file, which is not read here; convert it"),
        (b"%PDF-1.7", "a PDF document, which is not read here; convert it"),
        (b"<!DOCTYPE html><html>404</html>", "not a picture, but a web page; expected one of JPEG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not a picture, but a pointer of git-lfs; .*: git lfs pull"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "not a picture, but a video"),
        (b"PK\3\4" + bytes(40), "not a picture, but a zip archive"),
        (
            b"\xff\xd8\xff\xc0\0\x11\x0c" + bytes(40),
            "not a picture that can be read: a JPEG of a rare kind, or damaged",
        ),
        (b"II*\0\x08\0\0\0\0\0" + bytes(40), "not a picture that can be read: a TIFF of a rare kind, or damaged"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_format_that_is_not_read_is_named_with_what_to_do(data: bytes, what: str) -> None:
    with refused(f"^it: {what}"):
        plain(data, "it")


def test_a_raw_files_preview_is_not_taken_for_the_picture() -> None:
    with refused("it: a camera's raw file, which begins with a preview; convert it"):
        plain(tiff(np.zeros((4, 4), np.uint8), {254: 1}), "it")


def test_heic_is_read_where_the_extra_is_installed() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    image = Image.new("RGB", (64, 48), (200, 30, 40))
    found = upright(encode(image, "HEIF", quality=95), "it")
    assert found.size == (64, 48)
    assert np.abs(np.asarray(found).astype(int) - (200, 30, 40)).max() < 12


def test_a_heic_in_a_folder_given_to_predict_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "a.png").write_bytes(png())
    first, second = each_image(sort_inputs([str(tmp_path)], None)[1])
    assert isinstance(first, InputError)
    assert str(first).startswith(f"{tmp_path}/IMG_1.HEIC: a ")
    assert not isinstance(second, InputError)
