from pathlib import Path

import numpy as np
import pytest
import torch

from stages.apps.onnx import Case, write_onnx
from stages.apps.onnx_images import OnnxClassifier
from stages.inference.config import Normalisation
from stages.vision.networks import Classifier, build

MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]


@pytest.mark.parametrize("arch", ["resnet18", "squeezenet1_1"])
@torch.no_grad()
def test_images_of_any_number_are_classified_as_by_the_classifier(arch: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier = Classifier(arch, build(arch, 3)).eval()
    rng = np.random.default_rng(0)
    cases = []
    for count in (1, 3, 2):
        images = rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
        normalised = (images / 255 - MEAN) / STD
        logits = classifier(torch.tensor(normalised, dtype=torch.float32).permute(0, 3, 1, 2))
        cases.append(Case({"pictures": images}, logits.softmax(1)))
    inputs = {"pictures": torch.zeros(2, 64, 64, 3, dtype=torch.uint8)}
    network = OnnxClassifier(classifier, Normalisation(MEAN, STD))
    count, worst = write_onnx(tmp_path / "a.onnx", network, inputs, {"pictures": {0: "batch"}}, {}, cases)
    assert count == 6
    assert worst < 1e-5
