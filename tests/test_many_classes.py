"""Three classes with odd names, and fourteen, through training, figures, report and answers, of texts and pictures."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from playwright.sync_api import sync_playwright
from pyarrow import csv

from stages import evaluate, show_augmentation, tensorize
from stages.core.answers import as_json, as_line
from stages.core.device import Hardware
from stages.core.files import read_json, write_table
from stages.core.tensors import write_tensors
from stages.page.costs import read_costs
from stages.page.pictures import picture_part
from stages.page.render import write_page
from stages.page.reviews import review_part
from stages.text.birnn import BiRNN
from stages.text.classify import ReviewModels
from stages.text.counts import count_words
from stages.text.lines import Review
from stages.text.reviews import SCHEMA
from stages.text.textcnn import TextCNN
from stages.text.tokens import tokenizer
from stages.text.train import train
from stages.text.vocabulary import build_vocabulary, read_vocabulary, write_vocabulary
from stages.vision.archive import read_own
from stages.vision.files import Picture, PictureModels
from stages.vision.pictures import read_pictures, write_pictures
from tests.conftest import Settings
from tests.test_report import FLAGS, Watched
from tests.vision.tiny import SHAPES, Folder, drawn, params

ODD = [
    "$5 to\n$10, [more]",
    '<b class="x">bold<script>alert(1)<i>',
    "a class whose name goes on for long. " * 3 + "v1.0",
]
MANY = [f"class {i:02}" for i in range(14)]
MODELS = {"evaluation": ("birnn", "textcnn"), "hotdog": ("finetune", "scratch")}
CPU = Hardware(torch.device("cpu"), "fp32", 1)


class Run:
    """A folder of what the stages made of a few examples of these classes."""

    def __init__(self, folder: Path, classes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.classes, self.folder, self.artifacts = sorted(classes), folder, folder / "artifacts"
        monkeypatch.chdir(folder)
        self._texts(monkeypatch)
        self._pictures(monkeypatch)
        torch.set_flush_denormal(False)
        self.page = folder / "report.html"
        write_page(self.page, self._content())

    def _texts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        halves = {half: self.folder / f"data/imdb/{half}.parquet" for half in ("train", "test")}
        for half, path in halves.items():
            every = [(i, n, name) for i in range(3) for n, name in enumerate(self.classes)]
            rows = [(f"{half}/{i} {n:02}", f"sign{n} word{i}", name, None) for i, n, name in every]
            write_table(path, pa.table(list(zip(*rows, strict=True)), schema=SCHEMA))
        words = tokenizer("whitespace")(pq.read_table(halves["train"])["text"].to_pylist())
        write_vocabulary(self.artifacts / "vocab.parquet", build_vocabulary([count_words(words)], 1, "whitespace")[0])
        ragged = [self.artifacts / f"reviews/{half}.safetensors" for half in halves]
        wishes = SimpleNamespace(
            tensorize=SimpleNamespace(max_len=9),
            engine=SimpleNamespace(backend="loky", workers=1, address=None),
        )
        monkeypatch.setattr(tensorize, "load_params", lambda: wishes)
        tensorize.main(*halves.values(), self.artifacts / "vocab.parquet", *ragged)
        size = len(read_vocabulary(self.artifacts / "vocab.parquet").words)
        write_tensors(self.artifacts / "glove.safetensors", {"vectors": torch.randn(size, 4)})
        paths = (*ragged, self.artifacts / "glove.safetensors")
        birnn = {"cell": "gru", "num_hiddens": 3, "num_layers": 1, "freeze_vectors": False}
        textcnn = {"kernel_sizes": [1], "num_channels": 3, "dropout": 0.0, "freeze_vectors": False}
        train(BiRNN, birnn, Settings(epochs=2), paths, self.artifacts / "birnn")
        train(TextCNN, textcnn, Settings(epochs=2), paths, self.artifacts / "textcnn")
        monkeypatch.setattr(evaluate, "load_params", lambda: SimpleNamespace(evaluate=Settings()))
        folders = [self.artifacts / name for name in MODELS["evaluation"]]
        evaluate.main(halves["test"], ragged[1], *folders, self.artifacts / "evaluation")

    def _pictures(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for number, name in enumerate(self.classes):
            place = self.folder / "own" / name
            place.mkdir(parents=True)
            for i in range(4):
                (place / f"{i}.png").write_bytes(drawn(list(SHAPES)[number % 5], i + number))
        stages = Folder(self.artifacts)
        for half, table in read_own(self.folder / "own", 0.5, 0).items():
            write_pictures(getattr(stages, half), table)
        stages.finetune(epochs=1)
        stages.scratch(epochs=1)
        stages.compare()
        monkeypatch.setattr(show_augmentation, "load_params", params)
        show_augmentation.main(stages.train, self.artifacts / "hotdog/augmentation.png")

    def _content(self) -> dict[str, Any]:
        evaluated, compared = ([self.artifacts / name for name in names] for names in MODELS.values())
        test, ragged = self.folder / "data/imdb/test.parquet", self.artifacts / "reviews/test.safetensors"
        return {
            "dataset": "own",
            "reviews": review_part(evaluated, self.artifacts / "evaluation", test, ragged, CPU),
            "pictures": picture_part(compared, self.artifacts / "hotdog", self.artifacts / "test.parquet", CPU),
            "coverage": {
                "words": 1, "words_covered": 1, "share_of_words": 1.0, "share_of_running_words": 1.0,
                "most_frequent_without_vector": {},
            },
            "costs": read_costs(self.folder / "not measured"),
            "params": {},
            "files": [],
        }  # fmt: skip


@pytest.fixture(scope="module", params=[ODD, MANY], ids=["odd", "many"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        made = Run(tmp_path_factory.mktemp("classes"), request.param, patch)
    return made


def every_model(run: Run) -> Iterator[tuple[str, dict[str, Any], pa.Table, Path]]:
    for part, names in MODELS.items():
        folder = run.artifacts / part
        table = pq.read_table(folder / "predictions.parquet")
        for name in names:
            yield name, read_json(folder / "metrics.json")[name], table, folder


def test_every_class_has_its_probability_and_they_sum_to_one(run: Run) -> None:
    for name, _, table, _ in every_model(run):
        columns = [f"{name}_{of}" for of in run.classes]
        assert [column for column in table.column_names if column.startswith(f"{name}_")] == columns
        np.testing.assert_allclose(sum(table[column].to_numpy() for column in columns), 1, atol=1e-5)


def test_the_figures_are_those_of_the_predictions(run: Run) -> None:
    for name, figures, table, folder in every_model(run):
        answers = np.stack([table[f"{name}_{of}"].to_numpy() for of in run.classes], 1).argmax(1)
        labels = np.array([run.classes.index(label) for label in table["label"].to_pylist()])
        recalls = [float((answers[labels == number] == number).mean()) for number in range(len(run.classes))]
        assert figures["accuracy"] == (answers == labels).mean()
        recall = figures["recall"]
        if isinstance(recall, dict):
            assert recall == pytest.approx(dict(zip(run.classes, recalls, strict=True)))
        else:
            assert recall == pytest.approx(np.mean(recalls))
        lines = csv.ParseOptions(newlines_in_values=True)
        predicted = csv.read_csv(folder / f"confusion_{name}.csv", parse_options=lines).to_pydict()
        assert predicted["actual"] == table["label"].to_pylist()
        assert predicted["predicted"] == [run.classes[answer] for answer in answers]


def test_the_area_below_the_mean_roc_curve_is_the_one_in_the_figures(run: Run) -> None:
    for name in MODELS["evaluation"]:
        points = read_json(run.artifacts / f"evaluation/roc_{name}.json")
        x, y = ([point[f"{key}_positive_rate"] for point in points] for key in ("false", "true"))
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        figures = read_json(run.artifacts / "evaluation/metrics.json")[name]
        assert np.trapezoid(y, x) == pytest.approx(figures["roc_auc"], abs=1e-3)


def test_answers_name_the_classes(run: Run) -> None:
    picture = Picture("a.png", read_pictures(run.artifacts / "test.parquet").encoded[0].as_py())
    for models, example in (
        (ReviewModels(run.artifacts, MODELS["evaluation"], CPU), Review("sign1 word2")),
        (PictureModels(run.artifacts, MODELS["hotdog"], CPU), picture),
    ):
        (answers,) = models.answer([example])
        said = json.loads(as_json(example, answers))["models"]
        for name, answer in said.items():
            assert list(answer["probabilities"]) == run.classes
            assert f"{name}: {' '.join(answer['class'].split())} (" in as_line(example, answers)
        assert "\n" not in as_line(example, answers)


def test_names_are_text_in_the_page_and_the_textbook_is_not_there(run: Run) -> None:
    page = run.page.read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert '<b class="x">' not in page
    assert "own data" in page
    assert "Textbook" not in page
    assert page.count('class="mix-ups"') == (4 if len(run.classes) > 12 else 0)
    assert page.count('class="confusion"') == (0 if len(run.classes) > 12 else 4)


@pytest.fixture(scope="module")
def watched(run: Run) -> Iterator[Watched]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium on this machine; apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield Watched(browser, run.page, 390)
        browser.close()


def test_the_page_fits_a_phone_and_names_every_class(run: Run, watched: Watched) -> None:
    page = watched.page
    assert watched.said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    text = page.locator(".results").inner_text()
    if len(run.classes) > 12:
        assert text.count("14 classes") == 2
    else:
        assert all(" ".join(name.split()) in text for name in run.classes)
        heads = page.locator(".confusion thead th").evaluate_all("all => all.map(head => head.title)")
        assert heads == 4 * run.classes
