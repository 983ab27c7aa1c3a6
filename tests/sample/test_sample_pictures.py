import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from stages.sample import images
from stages.sample.images import write_hotdog
from stages.vision.reading.class_folders import read_hotdog_archive

COUNTS = {"train": 30, "test": 15}  # per class


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "hotdog.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "IMAGES", COUNTS)
        write_hotdog(path)
    return path


def opened(archive: Path, split: str) -> dict[str, Image.Image]:
    with zipfile.ZipFile(archive) as members:
        names = [name for name in members.namelist() if f"/{split}/" in name]
        return {name: Image.open(io.BytesIO(members.read(name))) for name in names}


def test_the_layout_is_the_originals(archive: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        names = members.namelist()
        assert {member.compress_type for member in members.infolist()} == {zipfile.ZIP_STORED}
    expected = {
        f"hotdog/{split}/{label}/{number}.jpg"
        for split, count in COUNTS.items()
        for label in ("hotdog", "not-hotdog")
        for number in range(count)
    }
    assert set(names) == expected
    assert len(names) == len(expected)


def test_it_has_as_many_images_as_promised() -> None:
    assert images.IMAGES == {"train": 200, "test": 100}  # of each class


def test_it_is_read_as_any_archive_is(archive: Path) -> None:
    splits = read_hotdog_archive(archive)
    for split, count in COUNTS.items():
        assert splits[split]["label"].to_pylist().count("hotdog") == count
        assert splits[split]["label"].to_pylist().count("not-hotdog") == count


def test_the_same_bytes_twice(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "IMAGES", COUNTS)
    write_hotdog(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_images_are_rgb_jpegs_of_several_shapes(archive: Path) -> None:
    found = opened(archive, "train").values()
    assert {(image.format, image.mode) for image in found} == {("JPEG", "RGB")}
    assert {min(image.size) for image in found} == {128}
    assert any(image.width > image.height for image in found)
    assert any(image.width < image.height for image in found)


def test_no_image_is_there_twice(archive: Path) -> None:
    every = [*opened(archive, "train").values(), *opened(archive, "test").values()]
    assert len({hashlib.sha256(image.tobytes()).digest() for image in every}) == len(every)


def test_the_mean_colour_does_not_tell_the_classes_apart(archive: Path) -> None:
    def features(split: str) -> tuple[np.ndarray, list[bool]]:
        found = opened(archive, split)
        colours = [np.asarray(image).reshape(-1, 3).mean(0) for image in found.values()]
        return np.stack(colours), [name.split("/")[2] == "hotdog" for name in found]

    scaler = StandardScaler()
    x, y = features("train")
    model = LogisticRegression().fit(scaler.fit_transform(x), y)
    x, y = features("test")
    assert sum(y) == COUNTS["test"]
    assert model.score(scaler.transform(x), y) < 0.8
