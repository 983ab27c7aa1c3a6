import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from stages.evaluation.titles import ENSEMBLE, TEXT_MODELS
from stages.predict import main
from stages.text.batches.review_batches import EVAL_BATCH
from stages.vision.batches.images import read_images
from tests.conftest import TEST
from tests.test_evaluate import run as evaluate
from tests.vision.tiny import Folder

ROOT = Path(__file__).parents[2]
MODELS = (*TEXT_MODELS, ENSEMBLE)
ANSWER = re.compile(r"(\w+): (negative|positive) \((\d\.\d{3})\)")


def parse(line: str) -> tuple[dict[str, tuple[str, float]], str]:
    """A line's class and probability by model, and its review."""
    *answers, text = line.split("\t")
    found = [ANSWER.fullmatch(answer) for answer in answers]
    return {one[1]: (one[2], float(one[3])) for one in found if one}, text


class Answer(NamedTuple):
    code: int
    lines: list[str]
    error: str


class Ask:
    """`python -m stages.predict` in this process, in a folder without params.yaml."""

    def __init__(self, artifacts: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.artifacts, self.patch, self.capture = artifacts, patch, capture

    def __call__(self, *arguments: str, stdin: str = "") -> Answer:
        command = ["predict.py", "--artifacts", str(self.artifacts), "--device", "cpu", *arguments]
        self.patch.setattr(sys, "argv", command)
        self.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        code: int | str | None = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        torch.set_flush_denormal(False)
        out, error = self.capture.readouterr()
        if isinstance(code, str):  # what Python prints when it exits so
            error, code = f"{error}{code}\n", 1
        return Answer(code or 0, out.splitlines(), error)


@pytest.fixture
def ask(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    return Ask(trained / "artifacts", monkeypatch, capsys)


def test_every_model_predicts_a_class_and_its_probability(ask: Ask) -> None:
    answer = ask("a great film")
    assert (answer.code, answer.error) == (0, "")
    (line,) = answer.lines
    found, text = parse(line)
    assert tuple(found) == MODELS
    assert all(0.5 <= share <= 1 for _, share in found.values())
    assert text == "a great film"


def test_the_command_runs_in_a_folder_with_nothing_but_the_artifacts(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "artifacts", tmp_path / "artifacts")
    done = subprocess.run(
        [sys.executable, "-m", "stages.predict", "--device", "cpu"],
        input="a great film\nbad\n", cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["artifacts"]


def test_predictions_are_those_of_evaluate(ask: Ask, trained: Path, tmp_path: Path) -> None:
    evaluate(trained, tmp_path / "evaluation")
    ask.capture.readouterr()
    rows = pq.read_table(tmp_path / "evaluation/predictions.parquet").to_pylist()
    answer = ask(*TEST)
    assert len(answer.lines) == len(rows) == len(TEST)
    for line, row in zip(answer.lines, rows, strict=True):
        found, _ = parse(line)
        for model in MODELS:
            label, share = found[model]
            positive = row[f"{model}_positive"]
            assert label == ("positive" if positive > 0.5 else "negative")
            assert share == pytest.approx(max(positive, 1 - positive), abs=0.0006)


def test_standard_input_is_a_review_a_line(ask: Ask) -> None:
    assert ask(stdin="bad and dull\r\na great film\n").lines == ask("bad and dull", "a great film").lines


def test_many_lines_are_classified_in_their_order_as_if_alone(ask: Ask) -> None:
    texts = [f"{'great ' * (i % 7 + 1)}{'bad ' * (i % 5)}film" for i in range(EVAL_BATCH + 9)]
    lines = ask(stdin="\n".join(texts)).lines
    assert [parse(line)[1] for line in lines] == [text[:60] for text in texts]
    for i in (0, 3, EVAL_BATCH + 8):
        assert ask(texts[i]).lines == [lines[i]]


def test_no_line_at_all_is_no_prediction(ask: Ask) -> None:
    assert ask(stdin="") == Answer(0, [], "")


@pytest.mark.parametrize("name", MODELS)
def test_one_model_by_name(ask: Ask, name: str) -> None:
    (line,) = ask("--model", name, "bad").lines
    assert re.fullmatch(rf"{name}: (negative|positive) \(\d\.\d{{3}}\)\tbad", line)
    assert line.split("\t")[0] in ask("bad").lines[0].split("\t")


def test_a_model_that_is_none_is_refused(ask: Ask) -> None:
    answer = ask("--model", "svm", "bad")
    assert answer.code == 2
    assert "birnn" in answer.error
    assert "textcnn" in answer.error


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_text_is_refused_and_all_else_classified(ask: Ask, text: str) -> None:
    answer = ask("bad", text, "great")
    assert answer == Answer(1, ask("bad", "great").lines, "error: review 2 is empty; expected a review\n")


def test_an_empty_line_is_refused_by_its_number(ask: Ask) -> None:
    answer = ask(stdin="bad\ngreat\n\nbad\n")
    assert answer.error == "error: standard input, line 3 is empty; expected a review\n"
    assert answer == Answer(1, ask("bad", "great", "bad").lines, answer.error)


def test_unknown_words_alone_bring_a_warning_and_a_prediction(ask: Ask) -> None:
    answer = ask("xyzzy plugh", "great xyzzy")
    assert answer.code == 0
    assert len(answer.lines) == 2
    assert answer.error == "warning: no word of 'xyzzy plugh' is in the vocabulary\n"


def test_a_long_text_is_classified_by_its_first_words(ask: Ask) -> None:
    text = "great film and moving " * 5  # 20 words, the most that the models were trained with
    cut, whole = ask(text.strip(), text + "bad " * 500).lines
    assert parse(cut)[0] == parse(whole)[0]


def test_a_prediction_is_one_line_whatever_the_text(ask: Ask) -> None:
    assert len(ask("a great\nfilm\tindeed").lines) == 1


def test_bytes_that_are_not_utf8_are_refused_by_their_line(trained: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.predict", "--device", "cpu", "--artifacts", trained / "artifacts"],
        input=b"bad\n\xff\xfe\n", cwd=ROOT, env=os.environ | {"PYTHONUTF8": "1"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"error: standard input, line 2: not UTF-8 at byte 0\n"
    assert done.stdout.splitlines()[0].endswith(b"\tbad")


@pytest.mark.parametrize("missing", ["", "vocab.parquet", "birnn/config.json", "textcnn/model.safetensors"])
def test_missing_artifacts_are_one_clear_error(ask: Ask, tmp_path: Path, missing: str) -> None:
    if missing:
        shutil.copytree(ask.artifacts, tmp_path / "artifacts")
        (tmp_path / "artifacts" / missing).unlink()
    ask.artifacts = Path("artifacts")
    answer = ask("bad")
    named = Path("artifacts") / (missing or "vocab.parquet")
    assert answer == Answer(1, [], f"error: {named}: no such file\nmake it again with: dvc repro\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [("vectors", [5, 6]), ("classes", ["one"]), ("model", "svm"), ("architecture", {"layers": 9})],
)
def test_a_config_of_another_model_is_refused(ask: Ask, tmp_path: Path, key: str, value: object) -> None:
    shutil.copytree(ask.artifacts, tmp_path / "artifacts")
    path = tmp_path / "artifacts/birnn/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    ask.artifacts = Path("artifacts")
    answer = ask("bad")
    assert answer.code == 1
    assert answer.error.startswith("error: artifacts/birnn: config.json and model.safetensors do not fit each other")


def test_a_device_that_is_not_there_is_refused(ask: Ask) -> None:
    answer = ask("--device", "cuda:99", "bad")
    assert answer.code == 1
    assert answer.error.startswith("error: device: cuda:99 is not on this machine, which has ")


# Files, folders and streams


def test_a_txt_file_is_a_review_a_line(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "reviews.TXT").write_bytes("\ufeffbad and dull\r\na great film".encode())
    assert ask("reviews.TXT", "moving").lines == ask("bad and dull", "a great film", "moving").lines


def test_a_folder_is_its_txt_files_in_order(ask: Ask, tmp_path: Path) -> None:
    for name, text in {"b.txt": "bad\n", "a/z.txt": "great\n", ".hidden.txt": "dull\n", "a.md": "dull\n"}.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_text(text)
    assert ask("folder").lines == ask("great", "bad").lines


def test_a_missing_file_is_refused_and_all_else_classified(ask: Ask) -> None:
    assert ask("none.txt", "bad") == Answer(1, ask("bad").lines, "error: none.txt: No such file or directory\n")


def test_an_empty_folder_is_refused(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    answer = ask("folder")
    assert (answer.code, answer.lines) == (1, [])
    assert answer.error.startswith("error: folder: nothing to read in it; expected files that end in .avif, ")


def test_a_review_too_long_for_a_files_name_is_a_review(ask: Ask) -> None:
    assert ask("great " * 1000).code == 0


def test_json_holds_source_class_and_all_probabilities(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("bad\n\nxyzzy \u2019\n", encoding="utf-8")
    answer = ask("--json", "a great\nfilm", "a.txt")
    unknown = "no word of 'xyzzy \u2019' is in the vocabulary"
    assert answer.error.splitlines() == ["error: a.txt, line 2 is empty; expected a review", f"warning: {unknown}"]
    first, second, third = map(json.loads, answer.lines)
    assert [{k: v for k, v in row.items() if k != "models"} for row in (first, second, third)] == [
        {"text": "a great\nfilm"},
        {"text": "bad", "file": "a.txt", "line": 1},
        {
            "text": "xyzzy \u2019",
            "file": "a.txt",
            "line": 3,
            "warning": "no word of 'xyzzy \u2019' is in the vocabulary",
        },
    ]
    for line, row in zip(ask("a great\nfilm", "bad").lines, (first, second), strict=True):
        found, _ = parse(line)
        for model, (label, share) in found.items():
            probabilities = row["models"][model]["probabilities"]
            assert list(probabilities) == ["negative", "positive"]
            assert sum(probabilities.values()) == pytest.approx(1, abs=2e-6)
            assert row["models"][model]["class"] == label
            assert probabilities[label] == pytest.approx(share, abs=6e-4)


def test_more_than_a_batch_ends_with_the_speed(ask: Ask) -> None:
    assert ask(stdin="bad\n" * EVAL_BATCH).error == ""
    error = ask(stdin="bad\n" * (EVAL_BATCH + 1)).error
    assert re.fullmatch(rf"{EVAL_BATCH + 1} reviews in \d+\.\d s, [\d,]+ a second\n", error)


def peak(trained: Path, stdin: Iterable[bytes]) -> int:
    """The most memory, in bytes, that a predict of its own took for these lines."""
    code = (
        "import resource, sys\n"
        "from stages.predict import main\n"
        "main()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, "--model", "textcnn", "--device", "cpu", "--artifacts", "artifacts"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=trained, env=environment, stdin=PIPE, stdout=DEVNULL, stderr=PIPE) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.writelines(stdin)
        process.stdin.close()
        return int(process.stderr.read().split()[-1]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel counts memory in another unit")
def test_a_stream_of_any_length_takes_the_same_memory(trained: Path) -> None:
    line = b"great film " * 400 + b"\n"  # 4.4 kB
    few, many = (peak(trained, repeat(line, count)) for count in (1000, 40_000))
    assert 39_000 * len(line) > 5 * (many - few)


def test_who_reads_no_further_gets_no_complaint(trained: Path) -> None:
    command = [sys.executable, "-m", "stages.predict", "--device", "cpu", "--artifacts", str(trained / "artifacts")]
    with subprocess.Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"bad\n" * 3 * EVAL_BATCH)
            process.stdin.close()
        assert process.stderr.read() == b""


# Pictures


@pytest.fixture
def ask_images(
    trained_images: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ask:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    return Ask(trained_images.path, monkeypatch, capsys)


def saved(path: Path, row: int, test: Path, **options: Any) -> str:
    read_images(test).decode(row).save(path, **options)
    return path.name


def test_images_are_classified_as_by_compare(ask_images: Ask, trained_images: Folder, tmp_path: Path) -> None:
    rows = pq.read_table(trained_images.path / "comparison/predictions.parquet").to_pylist()
    files = [saved(tmp_path / f"{row}.png", row, trained_images.test) for row in range(len(rows))]
    answer = ask_images(*files)
    assert (answer.code, answer.error) == (0, "")
    assert len(answer.lines) == len(rows)
    for line, file, row in zip(answer.lines, files, rows, strict=True):
        *by_model, name = line.split("\t")
        assert name == file
        for model, said in zip(("finetune", "scratch"), by_model, strict=True):
            disc = row[f"{model}_disc"]
            found = re.fullmatch(rf"{model}: (disc|square) \((\d\.\d{{3}})\)", said)
            assert found, said
            assert found[1] == ("disc" if disc > 0.5 else "square")
            assert float(found[2]) == pytest.approx(max(disc, 1 - disc), abs=0.002)


def test_an_image_that_lies_on_its_side_is_classified_as_upright(
    ask_images: Ask, trained_images: Folder, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned
    image = read_images(trained_images.test).decode(0)
    image.save(tmp_path / "upright.png")
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    upright, turned = (line.split("\t")[:2] for line in ask_images("upright.png", "turned.png").lines)
    assert upright == turned


def test_one_image_model_by_name(ask_images: Ask, trained_images: Folder, tmp_path: Path) -> None:
    file = saved(tmp_path / "one.JPG", 0, trained_images.test, format="JPEG")
    (line,) = ask_images("--model", "scratch", file).lines
    assert re.fullmatch(r"scratch: (disc|square) \(\d\.\d{3}\)\tone\.JPG", line)


def test_an_image_that_is_not_there_is_refused(ask_images: Ask) -> None:
    answer = ask_images("lunch.jpg")
    assert answer == Answer(1, [], "error: lunch.jpg: No such file or directory\n")


def test_what_is_no_image_is_refused(ask_images: Ask, tmp_path: Path) -> None:
    (tmp_path / "lunch.jpg").write_text("<html>404</html>")
    answer = ask_images("lunch.jpg")
    assert answer.code == 1
    assert answer.error.startswith("error: lunch.jpg: not a picture")


def test_reviews_and_images_do_not_mix(ask_images: Ask) -> None:
    answer = ask_images("a great film", "lunch.jpg")
    assert (answer.code, answer.lines) == (1, [])
    assert answer.error.startswith("error: reviews and pictures in one command, 'a great film' and 'lunch.jpg'; ")


def test_a_damaged_image_in_a_folder_is_named_and_all_else_classified(
    ask_images: Ask, trained_images: Folder, tmp_path: Path
) -> None:
    (tmp_path / "some/deeper").mkdir(parents=True)
    names = [f"some/{name}" for name in ("b.png", "deeper/a.webp", "c.png")]
    for row, name in enumerate(names):
        saved(tmp_path / name, row, trained_images.test)
    whole = ask_images("some")
    assert (whole.code, whole.error) == (0, "")
    assert [line.split("\t")[-1] for line in whole.lines] == sorted(names)
    (tmp_path / "some/bad.jpg").write_bytes((tmp_path / names[0]).read_bytes()[:100])
    answer = ask_images("some")
    assert (answer.code, answer.lines) == (1, whole.lines)
    assert answer.error.startswith("error: some/bad.jpg: ")
    assert answer.error.count("\n") == 1


def test_a_model_picks_its_kind_from_a_folder_of_both(ask_images: Ask, trained_images: Folder, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some/about.txt").write_text("what this is")
    saved(tmp_path / "some/a.png", 0, trained_images.test)
    assert ask_images("some").code == 1
    (line,) = ask_images("some", "--model", "scratch").lines
    assert line.endswith("\tsome/a.png")


def test_json_of_images(ask_images: Ask, trained_images: Folder, tmp_path: Path) -> None:
    file = saved(tmp_path / "one.png", 0, trained_images.test)
    (line,) = ask_images("--json", file).lines
    row = json.loads(line)
    assert row.keys() == {"file", "models"}
    assert row["file"] == file
    for model in ("finetune", "scratch"):
        answer = row["models"][model]
        assert answer["class"] == max(answer["probabilities"], key=answer["probabilities"].get)
        assert list(answer["probabilities"]) == ["disc", "square"]


@pytest.mark.slow
def test_a_file_name_that_is_no_text_is_classified(trained_images: Folder, tmp_path: Path) -> None:
    saved(tmp_path / "a.png", 0, trained_images.test)
    (tmp_path / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    done = subprocess.run(
        [sys.executable, "-m", "stages.predict", "--json", "--artifacts", trained_images.path, tmp_path],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.fsencode(json.loads(done.stdout)["file"]).endswith(b"/\xff.png")


@pytest.mark.parametrize(
    ("model", "given", "fit"), [("birnn", "a.png", "finetune, scratch"), ("scratch", "bad", ", ".join(MODELS))]
)
def test_a_model_of_the_other_task_is_refused(ask_images: Ask, model: str, given: str, fit: str) -> None:
    answer = ask_images("--model", model, given)
    assert answer.code == 1
    assert answer.error.startswith(f"error: --model {model} is not for ")
    assert answer.error.endswith(f"; {fit} are\n")


# What a user should know of the models


def test_models_of_the_sample_are_named_as_such_once(ask: Ask, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "artifacts", tmp_path / "artifacts")
    path = tmp_path / "artifacts/birnn/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": "sample"}))
    before = ask("bad", "great")
    ask.artifacts = Path("artifacts")
    note = "note: trained on the embedded sample; for real use: dvc exp run -S dataset=full\n"
    assert ask("bad", "great") == Answer(0, before.lines, note)
