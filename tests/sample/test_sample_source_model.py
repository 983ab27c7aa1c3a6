from pathlib import Path

import pytest
import torch
from torchvision import models

from stages.core.files import InputError
from stages.sample import source_model
from stages.sample.source_model import CLASSES, CROP, DrawnBatches, draw_objects, write_source_model

ARCH = "shufflenet_v2_x0_5"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_model, "IMAGES", 6)


def test_there_are_a_dozen_classes_and_no_hot_dog() -> None:
    assert len(CLASSES) >= 12
    assert "hotdog" not in {paint.__name__ for paint in CLASSES}


def test_what_is_drawn_is_the_same_twice_and_of_every_class() -> None:
    images, labels = draw_objects()
    again, _ = draw_objects()
    assert images.dtype == torch.uint8
    assert torch.equal(images, again)
    assert labels.bincount().tolist() == [6] * len(CLASSES)
    assert len({image.numpy().tobytes() for image in images}) == len(images)


def test_batches_are_normalised_crops_of_all_images(device: torch.device) -> None:
    images, labels = draw_objects()
    batches = DrawnBatches(images.to(device), labels.to(device))
    given = list(batches.epoch(0))
    assert len(given) == len(batches)
    assert sorted(torch.cat([batch.rows for batch in given]).tolist()) == list(range(batches.examples))
    assert {batch.inputs[0].shape[1:] for batch in given} == {(3, CROP, CROP)}
    assert abs(float(torch.cat([batch.inputs[0] for batch in given]).mean())) < 1


def test_training_writes_a_state_dict_of_the_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_source_model(tmp_path / "source.pth", ARCH)
    torch.set_flush_denormal(False)
    state = torch.load(tmp_path / "source.pth", weights_only=True)
    models.get_model(ARCH, num_classes=len(CLASSES)).load_state_dict(state)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert len(lines) == len(source_model.RATES)
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in lines]
    assert losses[-1] < losses[0]


def test_an_architecture_that_takes_no_such_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pictures\.arch: vit_b_16 takes no pictures of 64 by 64 pixels"):
        write_source_model(tmp_path / "source.pth", "vit_b_16")
    torch.set_flush_denormal(False)
    assert list(tmp_path.iterdir()) == []
