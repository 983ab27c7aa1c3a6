import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

from stages import show_augmentation
from stages.core.device import Hardware
from stages.core.files import InputError, read_table
from stages.core.fit import score
from stages.core.metrics import gain
from stages.core.tensors import read_tensors, write_tensors
from stages.core.validation import hold_out
from stages.vision.classify import classify
from stages.vision.models import load
from stages.vision.networks import build
from stages.vision.pictures import read_pictures
from tests.vision.tiny import ARCH, IMAGENET, SHAPES, Folder, params, write_half


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, each=6)


@pytest.mark.parametrize("name", ["finetune", "scratch"])
def test_these_files_are_written(trained_pictures: Folder, name: str) -> None:
    out = trained_pictures.path / name
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == {
        *("model.safetensors", "config.json", "timing.json", "metrics.json"),
        *(
            f"plots/metrics/{half}/{figure}.tsv"
            for half in ("train", "validation", "test")
            for figure in ("loss", "accuracy")
        ),
    }


def test_the_config_says_all_that_using_the_model_needs(trained_pictures: Folder) -> None:
    config = json.loads((trained_pictures.path / "finetune/config.json").read_text())
    assert config == {
        "model": "finetune", "classes": ["disc", "square"], "arch": ARCH, "image_size": 32, "normalisation": IMAGENET,
        "trained_on": {"device": "cpu", "precision": "fp32", "threads": 1},
    }  # fmt: skip
    scratch = json.loads((trained_pictures.path / "scratch/config.json").read_text())
    assert scratch["normalisation"] == {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.25, 0.25]}


def test_the_weights_load_into_torchvisions_network(trained_pictures: Folder) -> None:
    weights, _ = read_tensors(trained_pictures.path / "finetune/model.safetensors")
    models.get_model(ARCH, num_classes=2).load_state_dict(weights)


def test_it_learns(trained_pictures: Folder) -> None:
    lines = (trained_pictures.path / "finetune/plots/metrics/train/loss.tsv").read_text().splitlines()[1:]
    losses = [float(line.split("\t")[1]) for line in lines]
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
    assert (first / "metrics.json").read_text() != (second / "metrics.json").read_text()


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
    metrics = json.loads((folder.compare() / "metrics.json").read_text())
    assert list(metrics["finetune"]["recall"]) == sorted(SHAPES)
    columns = read_table(tmp_path / "hotdog/predictions.parquet").column_names
    assert columns == ["id", "label", *(f"{m}_{c}" for m in ("finetune", "scratch") for c in sorted(SHAPES))]


def test_halves_of_different_classes_are_refused(folder: Folder) -> None:
    write_half(folder.test, "test", ["bar", "disc"], 2)
    with pytest.raises(InputError, match=r"test\.parquet: classes \['bar', 'disc'\], but .*train\.parquet has"):
        folder.scratch()
    assert not (folder.path / "scratch").exists()


def test_an_image_size_that_a_network_cannot_take_is_refused(folder: Folder) -> None:
    with pytest.raises(InputError, match=r"pictures\.image_size: vit_b_16 takes no pictures of 32 by 32 pixels"):
        folder.scratch(arch="vit_b_16")


# A part held out


@pytest.mark.parametrize("name", ["finetune", "scratch"])
def test_with_a_held_out_part_the_test_half_stays_unread(folder: Folder, name: str) -> None:
    folder.test.write_bytes(b"no pictures")
    with pytest.raises(InputError, match=r"test\.parquet"):
        getattr(folder, name)()
    out = getattr(folder, name)(validation_fraction=0.5, patience=1)
    metrics = json.loads((out / "metrics.json").read_text())
    assert "test" not in metrics
    assert metrics["validation"]["accuracy"] * 6 == pytest.approx(round(metrics["validation"]["accuracy"] * 6))
    assert json.loads((out / "timing.json").read_text())["examples"] == 6  # of 12


def test_held_out_pictures_are_seen_as_in_testing(folder: Folder) -> None:
    out = folder.finetune(validation_fraction=0.5)
    classifier, config = load(out)
    pictures = read_pictures(folder.train)
    held_out = pictures.select(hold_out(pictures.labels, pictures.classes, 0.5, 0)[1])
    logits, labels = classify(classifier, config, held_out, Hardware(torch.device("cpu"), "fp32", 1))
    metrics = json.loads((out / "metrics.json").read_text())
    assert score(logits, labels) == pytest.approx(
        (metrics["validation"]["loss"], metrics["validation"]["accuracy"]), rel=1e-4
    )


def test_selected_pictures_are_those_of_the_rows(folder: Folder) -> None:
    pictures = read_pictures(folder.train)
    some = pictures.select(torch.tensor([7, 2, 11]))
    assert some.ids == [pictures.ids[row] for row in (7, 2, 11)]
    assert some.labels.tolist() == pictures.labels[[7, 2, 11]].tolist()
    assert [some.decode(i).tobytes() for i in range(3)] == [pictures.decode(row).tobytes() for row in (7, 2, 11)]


# Comparison


def test_compare_writes_these_files(trained_pictures: Folder) -> None:
    assert sorted(path.name for path in (trained_pictures.path / "hotdog").iterdir()) == [
        "confusion_finetune.csv", "confusion_scratch.csv", "metrics.json", "mistakes.png", "predictions.parquet",
    ]  # fmt: skip


def test_the_figures_are_those_of_the_predictions(trained_pictures: Folder) -> None:
    metrics = json.loads((trained_pictures.path / "hotdog/metrics.json").read_text())
    rows = read_table(trained_pictures.path / "hotdog/predictions.parquet").to_pylist()
    assert [row["id"] for row in rows] == read_pictures(trained_pictures.test).ids
    right = {}
    for name in ("finetune", "scratch"):
        sure = [(row[f"{name}_disc"] > 0.5) == (row["label"] == "disc") for row in rows]
        right[name] = torch.tensor(sure).numpy()
        assert metrics[name]["accuracy"] == sum(sure) / len(sure)
        for label in ("disc", "square"):
            own = [correct for correct, row in zip(sure, rows, strict=True) if row["label"] == label]
            assert metrics[name]["recall"][label] == sum(own) / len(own)
        confusion = (trained_pictures.path / f"hotdog/confusion_{name}.csv").read_text().splitlines()[1:]
        pairs = [tuple(line.replace('"', "").split(",")) for line in confusion]
        assert [actual == predicted for actual, predicted in pairs] == sure
    assert metrics["gain"] == gain(right["finetune"], right["scratch"])


def test_accuracy_after_training_is_compares(trained_pictures: Folder) -> None:
    metrics = json.loads((trained_pictures.path / "hotdog/metrics.json").read_text())
    for name in ("finetune", "scratch"):
        after = json.loads((trained_pictures.path / name / "metrics.json").read_text())
        assert metrics[name]["accuracy"] == after["test"]["accuracy"]
        assert metrics[name]["loss"] == pytest.approx(after["test"]["loss"], abs=1e-5)


def test_a_model_of_other_classes_is_refused(trained_pictures: Folder, tmp_path: Path) -> None:
    folder = Folder(tmp_path, classes=3, each=1)
    for name in ("finetune", "scratch"):
        (tmp_path / name).symlink_to(trained_pictures.path / name)
    with pytest.raises(InputError, match=r"finetune: a model of \['disc', 'square'\], but .* holds \['cross'"):
        folder.compare()


def test_a_config_that_does_not_fit_the_weights_is_refused(trained_pictures: Folder, tmp_path: Path) -> None:
    config = json.loads((trained_pictures.path / "scratch/config.json").read_text())
    (tmp_path / "model.safetensors").symlink_to(trained_pictures.path / "scratch/model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config | {"arch": "resnet18"}))
    with pytest.raises(InputError, match="do not fit each other"):
        load(tmp_path)


def test_an_answer_does_not_depend_on_batch_companions(trained_pictures: Folder) -> None:
    from stages.vision.pictures import Pictures

    classifier, config = load(trained_pictures.path / "finetune")
    pictures = read_pictures(trained_pictures.test)
    hardware = Hardware(torch.device("cpu"), "fp32", 1)
    together, _ = classify(classifier, config, pictures, hardware)
    one = Pictures(pictures.ids[3:4], pictures.labels[3:4], pictures.classes, pictures.encoded[3:4])
    torch.testing.assert_close(classify(classifier, config, one, hardware)[0], together[3:4], atol=1e-4, rtol=1e-4)


# Augmentation


def test_the_sheet_shows_what_training_sees(
    trained_pictures: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Any] = []
    monkeypatch.setattr(show_augmentation, "load_params", params)
    monkeypatch.setattr(show_augmentation, "write_sheet", lambda _, given: rows.extend(given))
    show_augmentation.main(trained_pictures.train, tmp_path / "augmentation.png")
    pictures = read_pictures(trained_pictures.train)
    assert len(rows) == 8
    assert {row.heading.split("/")[1] for row in rows} == {"disc", "square"}
    for row in rows:
        assert len(row.pictures) == len(row.captions) == 7
        assert row.pictures[0].tobytes() == pictures.decode(pictures.ids.index(row.heading)).tobytes()
        assert {picture.size for picture in row.pictures[1:]} == {(32, 32)}
        assert len({picture.tobytes() for picture in row.pictures}) >= 6
