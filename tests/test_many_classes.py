"""Three classes with odd names, and fourteen, in training, figures, report and predictions, of texts and pictures."""

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
from stages.apps.image_models import ImageFile, ImageModels
from stages.apps.predictions import as_json, as_line
from stages.apps.review_lines import Review
from stages.apps.review_models import ReviewModels
from stages.core.files import read_json, write_json, write_table
from stages.core.tensors import write_tensors
from stages.evaluation.titles import IMAGE_MODELS, TEXT_MODELS, TITLES
from stages.inference.device import Hardware
from stages.reporting.costs import read_costs
from stages.reporting.images import image_part
from stages.reporting.render import write_page
from stages.reporting.reviews import review_part
from stages.text.linear_training import train_linear_model
from stages.text.models.birnn import BiRNN
from stages.text.models.textcnn import TextCNN
from stages.text.reading.table import SCHEMA
from stages.text.training import train_text_model
from stages.text.words.counts import count_words
from stages.text.words.tokens import tokenizer
from stages.text.words.vocabulary import build_vocabulary, read_vocabulary, write_vocabulary
from stages.vision.batches.images import read_images, write_images
from stages.vision.reading.class_folders import read_user_images
from tests.conftest import LinearSettings, Settings
from tests.test_report import FLAGS, Watched
from tests.vision.tiny import SHAPES, Folder, drawn, params

ODD = [
    "$5 to\n$10, [more]",
    '<b class="x">bold<script>alert(1)<i>',
    "a class whose name goes on for long. " * 3 + "v1.0",
]
MANY = [f"class {i:02}" for i in range(14)]
MODELS = {"evaluation": TEXT_MODELS, "comparison": IMAGE_MODELS}
CPU = Hardware(torch.device("cpu"), "fp32", 1)


class Run:
    """A folder of what the stages made of a few examples of these classes."""

    def __init__(self, folder: Path, classes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.classes, self.folder, self.artifacts = sorted(classes), folder, folder / "artifacts"
        monkeypatch.chdir(folder)
        self._texts(monkeypatch)
        self._images(monkeypatch)
        torch.set_flush_denormal(False)
        self.page = folder / "report.html"
        write_page(self.page, self._content())

    def _texts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        texts, reviews = self.folder / "data/imdb", self.artifacts / "reviews"
        for split in ("train", "test"):
            every = [(i, n, name) for i in range(3) for n, name in enumerate(self.classes)]
            rows = [(f"{split}/{i} {n:02}", f"sign{n} word{i}", name, None) for i, n, name in every]
            write_table(texts / f"{split}.parquet", pa.table(list(zip(*rows, strict=True)), schema=SCHEMA))
        words = tokenizer("whitespace")(pq.read_table(texts / "train.parquet")["text"].to_pylist())
        write_vocabulary(self.artifacts / "vocab.parquet", build_vocabulary([count_words(words)], 1, "whitespace")[0])
        settings = SimpleNamespace(
            tensorize=SimpleNamespace(max_len=9, keep="start"),
            engine=SimpleNamespace(backend="loky", workers=1, address=None),
        )
        monkeypatch.setattr(tensorize, "load_params", lambda: settings)
        tensorize.main(texts, self.artifacts / "vocab.parquet", reviews)
        size = len(read_vocabulary(self.artifacts / "vocab.parquet").words)
        write_tensors(self.artifacts / "glove.safetensors", {"vectors": torch.randn(size, 4)})
        birnn = {"cell": "gru", "num_hiddens": 3, "num_layers": 1, "freeze_vectors": False}
        textcnn = {"kernel_sizes": [1], "num_channels": 3, "dropout": 0.0, "freeze_vectors": False}
        for name, *model in (("birnn", BiRNN, birnn), ("textcnn", TextCNN, textcnn)):
            vectors = self.artifacts / "glove.safetensors"
            cost = train_text_model(*model, Settings(epochs=2), "own", reviews, vectors, self.artifacts / name)
            write_json(self.artifacts / f"costs/train_{name}.json", cost)
        train_linear_model(LinearSettings(), "own", reviews, self.artifacts / "linear")
        monkeypatch.setattr(evaluate, "load_params", lambda: SimpleNamespace(evaluate=Settings()))
        evaluate.main(texts, reviews, self.artifacts, self.artifacts / "evaluation", self.artifacts / "metrics")

    def _images(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for number, name in enumerate(self.classes):
            place = self.folder / "own" / name
            place.mkdir(parents=True)
            for i in range(4):
                (place / f"{i}.png").write_bytes(drawn(list(SHAPES)[number % 5], i + number))
        stages = Folder(self.artifacts)
        stages.images = self.folder / "data/hotdog"
        for split, table in read_user_images(self.folder / "own", 0.5, 0).items():
            write_images(stages.images / f"{split}.parquet", table)
        for name in IMAGE_MODELS:
            getattr(stages, name)(epochs=1)
            write_json(self.artifacts / f"costs/{name}.json", stages.returned)
        stages.compare()
        monkeypatch.setattr(show_augmentation, "load_params", params)
        show_augmentation.main(stages.images, self.artifacts / "augmentation.png")

    def _content(self) -> dict[str, Any]:
        return {
            "dataset": "own",
            "titles": TITLES,
            "reviews": review_part(self.folder / "data", self.artifacts, CPU),
            "pictures": image_part(self.folder / "data", self.artifacts, CPU),
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
            yield name, read_json(folder / "figures.json")["models"][name], table, folder


def test_every_class_has_its_probability_and_they_sum_to_one(run: Run) -> None:
    for name, _, table, _ in every_model(run):
        columns = [f"{name}_{of}" for of in run.classes]
        assert [column for column in table.column_names if column.startswith(f"{name}_")] == columns
        np.testing.assert_allclose(sum(table[column].to_numpy() for column in columns), 1, atol=1e-5)


def test_the_figures_are_those_of_the_predictions(run: Run) -> None:
    for name, figures, table, folder in every_model(run):
        predictions = np.stack([table[f"{name}_{of}"].to_numpy() for of in run.classes], 1).argmax(1)
        labels = np.array([run.classes.index(label) for label in table["label"].to_pylist()])
        recalls = [float((predictions[labels == number] == number).mean()) for number in range(len(run.classes))]
        assert figures["accuracy"] == (predictions == labels).mean()
        assert figures["recall_by_class"] == pytest.approx(dict(zip(run.classes, recalls, strict=True)))
        assert figures["recall"] == pytest.approx(np.mean(recalls))
        lines = csv.ParseOptions(newlines_in_values=True)
        predicted = csv.read_csv(folder / f"confusion_{name}.csv", parse_options=lines).to_pydict()
        assert predicted["actual"] == table["label"].to_pylist()
        assert predicted["predicted"] == [run.classes[prediction] for prediction in predictions]


def test_the_area_below_the_mean_roc_curve_is_the_one_in_the_figures(run: Run) -> None:
    for name in MODELS["evaluation"]:
        points = read_json(run.artifacts / f"evaluation/roc_{name}.json")
        x, y = ([point[f"{key}_positive_rate"] for point in points] for key in ("false", "true"))
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        figures = read_json(run.artifacts / "evaluation/figures.json")["models"][name]
        assert np.trapezoid(y, x) == pytest.approx(figures["roc_auc"], abs=1e-3)


def test_predictions_name_the_classes(run: Run) -> None:
    image = ImageFile("a.png", read_images(run.folder / "data/hotdog/test.parquet").encoded[0].as_py())
    for models, example in (
        (ReviewModels(run.artifacts, MODELS["evaluation"], CPU), Review("sign1 word2")),
        (ImageModels(run.artifacts, MODELS["comparison"], CPU), image),
    ):
        (prediction,) = models.predict([example])
        said = json.loads(as_json(example, prediction))["models"]
        assert list(said) == list(models.models)
        for name, of_model in said.items():
            assert list(of_model["probabilities"]) == run.classes
            assert f"{name}: {' '.join(of_model['class'].split())} (" in as_line(example, prediction)
        assert "\n" not in as_line(example, prediction)


def test_names_are_text_in_the_page_and_the_textbook_is_not_there(run: Run) -> None:
    page = run.page.read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert '<b class="x">' not in page
    assert "own data" in page
    assert "Textbook" not in page
    assert page.count('class="mix-ups"') == (len(TITLES) if len(run.classes) > 12 else 0)
    assert page.count('class="confusion"') == (0 if len(run.classes) > 12 else len(TITLES))


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
        assert heads == len(TITLES) * run.classes
