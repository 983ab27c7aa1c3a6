import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pyarrow import csv
from torch import Tensor
from torchvision import models

from stages import show_augmentation
from stages.core.files import InputError, read_table
from stages.core.tensors import read_tensors, write_tensors
from stages.evaluation.comparison import gain
from stages.evaluation.metrics import HEADLINE
from stages.inference.config import ImageConfig
from stages.inference.device import Hardware
from stages.inference.predict import predict, score
from stages.training.history import COLUMNS
from stages.training.validation import hold_out
from stages.vision.batches.image_batches import eval_batches
from stages.vision.batches.images import Images, image_table, read_images, write_images
from stages.vision.networks import Classifier, build, load_image_model
from tests.vision.tiny import ARCH, IMAGENET, SHAPES, Folder, drawn, params, write_split


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, each=6)


def curves(out: Path) -> list[dict[str, float | None]]:
    return csv.read_csv(out / "curves.csv").to_pylist()


def classify(classifier: Classifier, config: ImageConfig, images: Images) -> tuple[Tensor, Tensor]:
    hardware = Hardware(torch.device("cpu"), "fp32", 1)
    return predict(classifier, eval_batches(images, config, hardware), hardware, "test")


@pytest.mark.parametrize("name", ["finetune", "scratch"])
def test_these_files_are_written(trained_images: Folder, name: str) -> None:
    out = trained_images.path / name
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == {
        "model.safetensors", "config.json", "curves.csv",
    }  # fmt: skip
    assert all(list(row) == ["epoch", *COLUMNS] for row in curves(out))


def test_the_config_says_all_that_using_the_model_needs(trained_images: Folder) -> None:
    config = json.loads((trained_images.path / "finetune/config.json").read_text())
    assert config == {
        "model": "finetune", "classes": ["disc", "square"], "dataset": "full", "temperature": 1.0,
        "arch": ARCH, "image_size": 32, "average_flips": False, "normalisation": IMAGENET,
        "trained_on": {"device": "cpu", "precision": "fp32", "threads": 1, "kept_epoch": None},
    }  # fmt: skip
    scratch = json.loads((trained_images.path / "scratch/config.json").read_text())
    assert scratch["normalisation"] == {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.25, 0.25]}


def test_the_weights_load_into_torchvisions_network(trained_images: Folder) -> None:
    weights, _ = read_tensors(trained_images.path / "finetune/model.safetensors")
    models.get_model(ARCH, num_classes=2).load_state_dict(weights)


def test_it_learns(trained_images: Folder) -> None:
    losses = [row["train_loss"] for row in curves(trained_images.path / "finetune")]
    assert len(losses) == 6
    assert losses[-1] < 0.8 * losses[0]


def test_a_textbook_line_is_printed_an_epoch(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.scratch(epochs=1)
    device, epoch = capsys.readouterr().out.splitlines()
    assert device == "training on cpu (1 threads, fp32)"
    assert epoch.startswith("epoch 1, loss ")
    assert " train acc " in epoch


def test_the_same_params_give_the_same_bytes(folder: Folder) -> None:
    first, again, other = folder.finetune("a"), folder.finetune("b"), folder.finetune("c", seed=1)
    same, different = ((path / "model.safetensors").read_bytes() for path in (again, other))
    assert (first / "model.safetensors").read_bytes() == same
    assert different != same


def test_the_source_and_its_normalisation_make_a_difference(folder: Folder) -> None:
    first = folder.finetune("a")
    torch.manual_seed(2)
    write_tensors(folder.source, build(ARCH, 12).state_dict(), {"arch": ARCH, "outputs": 12, **IMAGENET})
    second = folder.finetune("b")
    assert (first / "curves.csv").read_text() != (second / "curves.csv").read_text()


def test_frozen_features_stay_the_sources(folder: Folder) -> None:
    out = folder.finetune(freeze="features")
    source, trained = (read_tensors(path)[0] for path in (folder.source, out / "model.safetensors"))
    moved = {name for name in source if not torch.equal(source[name], trained[name])}
    assert moved == {"fc.weight", "fc.bias"}


def test_all_layers_move_unless_frozen(folder: Folder) -> None:
    out = folder.finetune()
    source, trained = (read_tensors(path)[0] for path in (folder.source, out / "model.safetensors"))
    assert [name for name in source if torch.equal(source[name], trained[name])] == []


def test_five_classes(tmp_path: Path) -> None:
    folder = Folder(tmp_path, classes=5, each=4)
    folder.finetune(epochs=1)
    folder.scratch(epochs=1)
    out = folder.compare()
    figures = json.loads((out / "figures.json").read_text())["models"]
    assert list(figures["finetune"]["recall_by_class"]) == sorted(SHAPES)
    columns = read_table(out / "predictions.parquet").column_names
    assert columns == ["id", "label", *(f"{m}_{c}" for m in ("finetune", "scratch") for c in sorted(SHAPES))]


def test_splits_of_different_classes_are_refused(folder: Folder) -> None:
    write_split(folder.test, "test", ["bar", "disc"], 2)
    with pytest.raises(InputError, match=r"test\.parquet: classes \['bar', 'disc'\], but .*train\.parquet has"):
        folder.scratch()
    assert not (folder.path / "scratch").exists()


def test_an_image_size_that_a_network_cannot_take_is_refused(folder: Folder) -> None:
    with pytest.raises(InputError, match=r"pictures\.image_size: vit_b_16 takes no pictures of 32 by 32 pixels"):
        folder.scratch(arch="vit_b_16")


# A part held out


@pytest.mark.parametrize("name", ["finetune", "scratch"])
def test_with_a_held_out_part_the_test_split_stays_unread(folder: Folder, name: str) -> None:
    folder.test.write_bytes(b"no pictures")
    with pytest.raises(InputError, match=r"test\.parquet"):
        getattr(folder, name)()
    out = getattr(folder, name)(validation_fraction=0.5, patience=1)
    for row in curves(out):
        assert row["test_loss"] is row["test_accuracy"] is None
        assert row["validation_accuracy"] * 6 == pytest.approx(round(row["validation_accuracy"] * 6))
    assert folder.returned["examples"] == 6  # of 12


def test_what_needs_a_validation_part_is_refused_without_one_and_trains_with_the_users(folder: Folder) -> None:
    with pytest.raises(InputError, match=r"^patience and calibrate: there is no validation split; .* a folder valid "):
        folder.scratch(patience=1, calibrate=True)
    classes = read_images(folder.train).classes
    write_split(folder.images / "valid.parquet", "valid", classes, each=3, first=500, shown=classes[::-1])
    _, config = load_image_model(folder.scratch(patience=1, calibrate=True))
    assert config.temperature != 1
    assert config.trained_on.kept_epoch in (1, 2)


def test_held_out_images_are_seen_as_in_testing(folder: Folder) -> None:
    out = folder.finetune(validation_fraction=0.5)
    classifier, config = load_image_model(out)
    images = read_images(folder.train)
    held_out = images.select(hold_out(images.labels, images.classes, 0.5, 0)[1])
    logits, labels = classify(classifier, config, held_out)
    kept = curves(out)[config.trained_on.kept_epoch - 1]
    assert score(logits, labels) == pytest.approx((kept["validation_loss"], kept["validation_accuracy"]), rel=1e-4)


def test_selected_images_are_those_of_the_rows(folder: Folder) -> None:
    images = read_images(folder.train)
    some = images.select(torch.tensor([7, 2, 11]))
    assert some.ids == [images.ids[row] for row in (7, 2, 11)]
    assert some.labels.tolist() == images.labels[[7, 2, 11]].tolist()
    assert [some.decode(i).tobytes() for i in range(3)] == [images.decode(row).tobytes() for row in (7, 2, 11)]


# Comparison


def test_compare_writes_these_files(trained_images: Folder) -> None:
    assert sorted(path.name for path in (trained_images.path / "comparison").iterdir()) == [
        "confusion_finetune.csv", "confusion_scratch.csv", "figures.json", "mistakes.png", "predictions.parquet",
        "reliability_finetune.csv", "reliability_scratch.csv",
    ]  # fmt: skip
    assert sorted(path.name for path in (trained_images.path / "metrics").iterdir()) == [
        "finetune.json", "scratch.json",
    ]  # fmt: skip


def test_the_figures_are_those_of_the_predictions(trained_images: Folder) -> None:
    written = json.loads((trained_images.path / "comparison/figures.json").read_text())
    figures = written["models"]
    rows = read_table(trained_images.path / "comparison/predictions.parquet").to_pylist()
    assert [row["id"] for row in rows] == read_images(trained_images.test).ids
    right = {}
    for name in ("finetune", "scratch"):
        sure = [(row[f"{name}_disc"] > 0.5) == (row["label"] == "disc") for row in rows]
        right[name] = torch.tensor(sure).numpy()
        assert figures[name]["accuracy"] == sum(sure) / len(sure)
        for label in ("disc", "square"):
            own = [correct for correct, row in zip(sure, rows, strict=True) if row["label"] == label]
            assert figures[name]["recall_by_class"][label] == sum(own) / len(own)
        confusion = (trained_images.path / f"comparison/confusion_{name}.csv").read_text().splitlines()[1:]
        pairs = [tuple(line.replace('"', "").split(",")) for line in confusion]
        assert [actual == predicted for actual, predicted in pairs] == sure
        headline = json.loads((trained_images.path / f"metrics/{name}.json").read_text())
        assert list(headline) == list(HEADLINE)
        assert headline.items() <= figures[name].items()
    gained = gain(right["finetune"], right["scratch"])
    assert written["pairs"] == [{"model": "finetune", "baseline": "scratch", **gained}]


def test_accuracy_after_training_is_compares(trained_images: Folder) -> None:
    figures = json.loads((trained_images.path / "comparison/figures.json").read_text())["models"]
    for name in ("finetune", "scratch"):
        after = curves(trained_images.path / name)[-1]
        assert figures[name]["accuracy"] == after["test_accuracy"]
        assert figures[name]["loss"] == pytest.approx(after["test_loss"], abs=1e-5)


def test_a_model_of_other_classes_is_refused(trained_images: Folder, tmp_path: Path) -> None:
    folder = Folder(tmp_path, classes=3, each=1)
    for name in ("finetune", "scratch"):
        (tmp_path / name).symlink_to(trained_images.path / name)
    with pytest.raises(InputError, match=r"finetune: a model of \['disc', 'square'\], but .* holds \['cross'"):
        folder.compare()


def test_a_config_that_does_not_fit_the_weights_is_refused(trained_images: Folder, tmp_path: Path) -> None:
    config = json.loads((trained_images.path / "scratch/config.json").read_text())
    (tmp_path / "model.safetensors").symlink_to(trained_images.path / "scratch/model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config | {"arch": "resnet18"}))
    with pytest.raises(InputError, match="do not fit each other"):
        load_image_model(tmp_path)


def test_a_prediction_does_not_depend_on_batch_companions(trained_images: Folder) -> None:
    classifier, config = load_image_model(trained_images.path / "finetune")
    images = read_images(trained_images.test)
    together, _ = classify(classifier, config, images)
    one = Images(images.ids[3:4], images.labels[3:4], images.classes, images.encoded[3:4])
    torch.testing.assert_close(classify(classifier, config, one)[0], together[3:4], atol=1e-4, rtol=1e-4)


# Augmentation


def test_the_sheet_shows_what_training_sees(
    trained_images: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Any] = []
    monkeypatch.setattr(show_augmentation, "load_params", params)
    monkeypatch.setattr(show_augmentation, "write_sheet", lambda _, given: rows.extend(given))
    show_augmentation.main(trained_images.images, tmp_path / "augmentation.png")
    images = read_images(trained_images.train)
    assert len(rows) == 8
    assert {row.heading.split("/")[1] for row in rows} == {"disc", "square"}
    for row in rows:
        assert len(row.images) == len(row.captions) == 7
        assert row.images[0].tobytes() == images.decode(images.ids.index(row.heading)).tobytes()
        assert {image.size for image in row.images[1:]} == {(32, 32)}
        assert len({image.tobytes() for image in row.images}) >= 6


def test_the_users_own_validation_part_is_scored_and_the_test_split_unread(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    write_split(folder.images / "valid.parquet", "valid", ["disc", "square"], 5, first=500)
    folder.test.write_bytes(b"unread")
    out = folder.scratch()
    assert "validation_accuracy" in (out / "curves.csv").read_text()
    assert folder.returned["examples"] == 40


def test_equal_pictures_are_never_parted_where_a_part_is_held_out(tmp_path: Path) -> None:
    names = [(f"train/{label}/{i}-{copy}.png", label, drawn(label, i)) for label in ("disc", "square") for i in range(8)
             for copy in range(3)]  # fmt: skip
    ids, labels, encoded = map(list, zip(*names, strict=True))
    table = image_table(ids, labels, pa.chunked_array([pa.array(encoded, pa.large_binary())]), ["disc", "square"])
    write_images(tmp_path / "train.parquet", table)
    images = read_images(tmp_path / "train.parquet")
    for seed in range(5):
        rows, held_out = hold_out(images.labels, images.classes, 0.25, seed, images.contents())
        sides = [{images.ids[row].split("-")[0] for row in side.tolist()} for side in (rows, held_out)]
        assert sides[0] & sides[1] == set()
