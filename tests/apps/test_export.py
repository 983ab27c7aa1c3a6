"""`python -m stages.export`, and the examples of docs/onnx.md, which use its files without torch."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from stages import export
from stages.apps import onnx_reviews as portable
from stages.core.files import InputError
from stages.vision.batches.images import read_images
from tests.vision.tiny import Folder

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs/onnx.md").read_text(encoding="utf-8"), re.DOTALL)
# Any import of torch, or of the project's code, fails
GUARD = "import sys\nsys.modules.update(torch=None, torchvision=None, stages=None)\n"


def example(file: str) -> str:
    (code,) = [code for code in EXAMPLES if f'"{file}"' in code]
    return code


def without_torch(code: str, folder: Path, *arguments: str) -> tuple[list[str], list[list[float]]]:
    """What an example prints: the classes, and for each input the probabilities."""
    command = [sys.executable, "-c", GUARD + code, *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    classes, rows = done.stdout.split("]", 1)
    return re.findall(r"'([\w-]+)'", classes), [list(map(float, row.split())) for row in re.findall(r"\[(.*?)\]", rows)]


def asked(folder: Path, artifacts: Path, model: str, *arguments: str) -> list[list[float]]:
    """What predict says of the same."""
    command = [sys.executable, "-m", "stages.predict", "--json", "--device", "cpu", "--model", model]
    command += ["--artifacts", str(artifacts), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    shares = re.findall(r'"probabilities": \{(.*?)\}', done.stdout)
    return [[float(share) for share in re.findall(r": ([\d.e-]+)", row)] for row in shares]


def test_the_examples_are_of_few_lines() -> None:
    assert len(EXAMPLES) == 2
    assert all(len(code.replace("\n\n", "\n").splitlines()) <= 20 for code in EXAMPLES)


def test_the_example_classifies_reviews_as_predict_does(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    export.export("textcnn", Path("textcnn.onnx"), trained / "artifacts")
    torch.set_flush_denormal(False)
    assert re.fullmatch(
        r"textcnn\.onnx: [\d.]+ MB, differs from textcnn by at most [\de.-]+ on 6 examples\n", capsys.readouterr().out
    )
    texts = [
        "Great film",
        "bad",
        "a truly dull\nstory " + "with unheard words " * 20,
        "a  moving , film",
        "great\r\n\r\nbad\u2028dull\x85moving\n",
    ]
    classes, found = without_torch(example("textcnn.onnx"), tmp_path, *texts)
    assert classes == ["negative", "positive"]
    wanted = asked(tmp_path, trained / "artifacts", "textcnn", *texts)
    assert found == [pytest.approx(row, abs=1e-4) for row in wanted]
    assert max(map(max, found)) - min(map(max, found)) > 0.01  # the predictions differ from each other


def test_the_example_classifies_images_as_predict_does(
    trained_images: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    export.export("finetune", Path("finetune.onnx"), trained_images.path)  # checked on drawn pictures: no others here
    torch.set_flush_denormal(False)
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned
    image = read_images(trained_images.test).decode(0)
    image.resize((207, 301)).save("turned.jpg", exif=exif)
    image.save("small.png")
    image.resize((620, 900)).save("large.png")
    layer = image.convert("RGBA")
    layer.putalpha(Image.linear_gradient("L").resize(image.size))
    layer.save("transparent.png")
    images = ("turned.jpg", "small.png", "large.png", "transparent.png")
    for file, row in zip(images, asked(tmp_path, trained_images.path, "finetune", *images), strict=True):
        classes, found = without_torch(example("finetune.onnx"), tmp_path, file)
        assert classes == ["disc", "square"]
        assert found == [pytest.approx(row, abs=1e-4)]


@pytest.mark.parametrize("name", ["grey16.png", "strip.png"])
def test_the_example_refuses_what_it_would_show_otherwise_than_predict(name: str, tmp_path: Path) -> None:
    image = Image.new("I;16", (8, 8), 40_000) if name == "grey16.png" else Image.new("RGB", (17, 1))
    image.save(tmp_path / name)
    code = re.sub(r"model = .*\nabout = .*\n", "", example("finetune.onnx"))
    done = subprocess.run([sys.executable, "-c", code, name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("expected at most 8 bits of grey, and a long side of at most 16 times")


def test_the_test_splits_images_are_taken_where_they_are(
    trained_images: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = export.images_to_check()
    assert len(drawn) > 20
    assert drawn.decode(0).mode == "RGB"
    monkeypatch.setattr(export, "TEST_IMAGES", trained_images.test)
    assert export.images_to_check().ids == read_images(trained_images.test).ids


def test_a_translation_that_is_wrong_leaves_no_file(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = portable.DenseTextCNN.forward
    monkeypatch.setattr(portable.DenseTextCNN, "forward", lambda self, ids, lengths: plain(self, ids, lengths // 2))
    with pytest.raises(InputError, match="not written: onnxruntime's probabilities differ from torch's by 0"):
        export.export("textcnn", tmp_path / "out/textcnn.onnx", trained / "artifacts")
    torch.set_flush_denormal(False)
    assert list((tmp_path / "out").iterdir()) == []


def test_missing_artifacts_are_one_error(tmp_path: Path) -> None:
    for model in ("birnn", "scratch"):
        with pytest.raises(InputError, match="no such file\nmake it again with: dvc repro"):
            export.export(model, tmp_path / "a.onnx", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["linear", "ensemble"])
def test_a_model_of_n_grams_is_refused_with_the_remedy(trained: Path, tmp_path: Path, model: str) -> None:
    with pytest.raises(InputError, match=f"{model}: not exported.*export birnn or textcnn"):
        export.export(model, tmp_path / "a.onnx", trained / "artifacts")
    assert list(tmp_path.iterdir()) == []
