"""Fixtures that several tests share. No test uses the user's cache, or a network."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# torch reads these when it is imported: one core for each of two test workers, and idle threads sleep
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pyarrow as pa
import pytest
import torch
from filelock import FileLock

from stages.core.files import read_json, write_json, write_table
from stages.core.tensors import write_tensors
from stages.text.batches.reviews import Reviews
from stages.text.linear_training import train_linear_model
from stages.text.models.birnn import BiRNN
from stages.text.models.textcnn import TextCNN
from stages.text.reading.table import SCHEMA
from stages.text.training import train_text_model
from stages.text.words.counts import count_words
from stages.text.words.tokens import tokenizer
from stages.text.words.vocabulary import build_vocabulary, write_vocabulary
from tests.cluster import Cluster
from tests.project import FirstRepro, Project, copy_of_this_project, surroundings
from tests.text.written import encode_texts, write_reviews
from tests.vision.tiny import Folder

# Files with whole pipelines, killed processes or browsers, in the order in which they are started
SLOW = (
    "cache", "kill", "default_run", "fuzz", "campaign", "disk", "pipeline", "experiments", "surroundings", "odd_data",
    "own_data", "many_classes", "report", "bucket", "demo", "distributed", "own_pictures_stage",
    "checkpoint_names", "export", "onnx_images", "onnx_reviews",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow files first, so that short ones fill the gap at the end."""
    places = {f"test_{name}": place for place, name in enumerate(SLOW)}
    for item in items:
        if item.path.stem in places or "dask" in getattr(item, "fixturenames", ()):  # a cluster takes seconds to start
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOW)))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: those of an archive hold the time, and both workers must find the same tests."""
    return argname if isinstance(val, bytes) else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=2, help="how often tests/faults/test_campaign.py kills the pipeline")


@pytest.fixture(scope="session", autouse=True)
def _surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SENTIDOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1")
        yield


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


PRAISE = ("a great film", "great acting , great story", "truly great and moving", "a moving , great story")
BLAME = ("a bad film", "bad acting , bad story", "truly bad and dull", "a dull , bad story")
TINY = {
    "birnn": (BiRNN, {"cell": "lstm", "num_hiddens": 4, "num_layers": 1, "freeze_vectors": True}),
    "textcnn": (TextCNN, {"kernel_sizes": [2, 3], "num_channels": 4, "dropout": 0.1, "freeze_vectors": False}),
}
TEST = ("bad and dull", "great and moving", "a truly great film with many unheard words", "bad", "dull story", "moving")


@dataclass(frozen=True)
class Settings:
    """A training section, and evaluate's."""

    device: str = "cpu"
    precision: str = "fp32"
    threads: int | None = 1
    seed: int = 0
    epochs: int = 3
    batch_size: int = 3
    vector_eps: float = 1e-8
    lr: float = 0.02
    schedule: str = "constant"
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    average_epochs: int = 1
    validation_fraction: float = 0.0
    patience: int | None = None
    calibrate: bool = False
    mask_padding: bool = True
    pad_to: int | None = None


@dataclass(frozen=True)
class LinearSettings:
    """The section train_linear."""

    seed: int = 0
    ngrams: int = 2
    min_reviews: int = 1
    c: float = 10.0
    validation_fraction: float = 0.0
    calibrate: bool = False


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `dvc repro` leaves it before evaluate, of a dozen reviews and three tiny models."""
    folder = tmp_path_factory.mktemp("trained")
    artifacts = folder / "artifacts"
    labelled = [(text, "positive") for text in PRAISE] + [(text, "negative") for text in BLAME]
    words = tokenizer("whitespace")([text for text, _ in labelled])
    vocabulary, _, _ = build_vocabulary([count_words(words)], 1, "whitespace")
    write_vocabulary(artifacts / "vocab.parquet", vocabulary)
    splits = {"train": labelled, "test": [(text, "negative" if "b" in text else "positive") for text in TEST]}
    for split, rows in splits.items():
        table = [(f"{split}/{i}", text, label, None) for i, (text, label) in enumerate(rows)]
        write_table(folder / f"data/imdb/{split}.parquet", pa.table(list(zip(*table, strict=True)), schema=SCHEMA))
        ids, offsets = encode_texts([text for text, _ in rows], vocabulary.words, 20)
        labels = torch.tensor([int(label == "positive") for _, label in rows])
        reviews = Reviews(ids, offsets, labels, ["negative", "positive"], "whitespace", 20, "start")
        write_reviews(artifacts / f"reviews/{split}.safetensors", reviews)
    vectors = torch.randn(len(vocabulary.words), 6, generator=torch.Generator().manual_seed(0))
    write_tensors(artifacts / "glove.safetensors", {"vectors": vectors})
    for name, model in TINY.items():
        inputs = (artifacts / "reviews", artifacts / "glove.safetensors", artifacts / name)
        train_text_model(*model, Settings(), "full", *inputs)
    train_linear_model(LinearSettings(), "full", artifacts / "reviews", artifacts / "linear")
    torch.set_flush_denormal(False)
    return folder


@pytest.fixture(scope="session")
def validated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BiRNN whose epoch was chosen on half of the training reviews of `trained`. Its test split is not readable."""
    artifacts, folder = trained / "artifacts", tmp_path_factory.mktemp("validated")
    reviews = folder / "reviews"
    reviews.mkdir()
    shutil.copy(artifacts / "reviews/train.safetensors", reviews)
    (reviews / "test.safetensors").write_bytes(b"no reviews")
    settings = Settings(epochs=4, validation_fraction=0.5, patience=4)
    train_text_model(*TINY["birnn"], settings, "full", reviews, artifacts / "glove.safetensors", folder / "birnn")
    torch.set_flush_denormal(False)
    return folder / "birnn"


@pytest.fixture(scope="session")
def trained_images(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A tiny data set of pictures, and both models trained on it and compared."""
    folder = Folder(tmp_path_factory.mktemp("pictures"))
    folder.finetune(epochs=6, lr=0.02, output_lr_factor=1)
    folder.scratch()
    folder.compare()
    return folder


@pytest.fixture(scope="session")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two workers."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start_worker()
        cluster.start_worker()
        cluster.wait_for(2)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return surroundings(tmp_path_factory.mktemp("surroundings"))


@pytest.fixture(scope="session")
def _reproduced(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], _surroundings: None
) -> tuple[Project, FirstRepro]:
    """A project after its first `dvc repro`, made by the first worker that needs it. Each worker gets a copy."""
    environment = environment | {"SENTIDOG_CACHE": os.environ["SENTIDOG_CACHE"]}
    base = tmp_path_factory.getbasetemp()
    known = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "reproduced.json"
    with FileLock(f"{known}.lock"):
        if not known.exists():
            folder, archives = tmp_path_factory.mktemp("reproduced"), tmp_path_factory.mktemp("archives")
            project = copy_of_this_project(folder, archives, environment)
            ran, changed = project.repro(), sorted(project.changed())
            project.git("add", ".")
            project.git("commit", "-q", "-m", "reproduced")
            write_json(known, [str(folder), ran, changed])
    made, ran, changed = read_json(known)
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(made, folder, dirs_exist_ok=True)
    project = Project(folder, environment)
    project.dvc("status", "-q")  # DVC writes its records of a new folder now, not in a test that limits files
    return project, FirstRepro(ran, set(changed))


@pytest.fixture(scope="session")
def ready(_reproduced: tuple[Project, FirstRepro]) -> Project:
    """The scratch copy after its first `dvc repro`, committed before and after."""
    return _reproduced[0]


@pytest.fixture(scope="session")
def first(_reproduced: tuple[Project, FirstRepro]) -> FirstRepro:
    """What the first `dvc repro` did."""
    return _reproduced[1]


@pytest.fixture
def project(ready: Project) -> Iterator[Project]:
    """The scratch copy, committed, with nothing to do."""
    yield ready
    ready.restore()
