"""Ours against the textbook on the real reviews, in one process tree; prints the ratios.

    uv run python -m tests.benchmarks.imdb aclImdb.tar.gz glove.zip [--rounds 3] [--only prepare,birnn,…]

Each measurement is a process of its own, ours and the peer's in turn, so that neither inherits the other's threads,
memory or floating-point flags; imports and reading prepared files are left out. A row is the median of the rounds.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import yaml

from tests.benchmarks.harness import CHILD, Some, child, measure_here, show

STAGES = {  # stage -> its arguments, as in dvc.yaml
    "download_imdb": "imdb",
    "build_vocab": "imdb vocab.parquet",
    "tensorize": "imdb vocab.parquet reviews",
    "fetch_glove": "imdb glove.parquet",
    "embed_glove": "vocab.parquet glove.parquet glove.safetensors coverage.json",
}
BENCHMARK = "tests.benchmarks.imdb"  # not __name__, which is __main__ here
BIG = 400_000  # words, as in GloVe 6B


def prepare_ours(work: Path) -> dict[str, float]:
    from importlib import import_module

    import torchtext.vocab  # noqa: F401, else build_vocab loads it while the clock runs

    mains = {name: import_module(f"stages.{name}").main for name in STAGES}
    seconds = {}
    for name, main in mains.items():
        start = time.perf_counter()
        main(*map(Path, STAGES[name].split()))
        seconds[name] = time.perf_counter() - start
    return {"seconds": sum(seconds.values()), **seconds}


def stage_memory(work: Path, name: str) -> dict[str, float]:
    from importlib import import_module

    import_module(f"stages.{name}").main(*map(Path, STAGES[name].split()))
    return {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}


def prepare_peer(work: Path, archive: str, vectors: str) -> dict[str, float]:
    import torch

    from tests.benchmarks import textbook

    with tempfile.TemporaryDirectory(dir=work) as folder:
        start = time.perf_counter()
        aclimdb = textbook.unpack(Path(archive), Path(folder))
        text = _unzip(Path(vectors), Path(folder))
        train, test = (textbook.read_reviews(aclimdb, split) for split in ("train", "test"))
        vocabulary = textbook.build_vocabulary(train)
        tensors = {
            split: textbook.tensorize(data, vocabulary).tensors for split, data in (("train", train), ("test", test))
        }
        matched = textbook.match_vectors(vocabulary.itos, textbook.parse_vectors(text))
        seconds = time.perf_counter() - start
        torch.save({"vectors": matched, **tensors}, work / "peer.pt")
    return {"seconds": seconds}


def _unzip(path: Path, folder: Path) -> Path:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return Path(archive.extract(archive.namelist()[0], folder))


def parse_ours(work: Path) -> dict[str, float]:
    from stages.text.vectors.glove import read_vectors

    start = time.perf_counter()
    read_vectors(work / "big.100d.txt", 100)
    return {"seconds": time.perf_counter() - start}


def parse_peer(work: Path) -> dict[str, float]:
    from tests.benchmarks import textbook

    (work / "big.100d.txt.pt").unlink(missing_ok=True)  # torchtext's own cache of a former run
    start = time.perf_counter()
    textbook.parse_vectors(work / "big.100d.txt")
    return {"seconds": time.perf_counter() - start}


def train_ours(work: Path, model: str, batches: int) -> dict[str, float]:
    import stages.core.cli  # noqa: F401, I001, sets what torch reads when it is loaded
    import torch

    from stages.core.tensors import read_tensors
    from stages.inference.config import Padding
    from stages.inference.device import prepare
    from stages.inference.predict import predict
    from stages.text.batches.review_batches import EVAL_BATCH, ReviewBatches
    from stages.text.batches.reviews import read_reviews
    from stages.text.models.birnn import BiRNN
    from stages.text.models.textcnn import TextCNN
    from stages.training.trainer import Schedule, Trainer

    section = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))[f"train_{model}"]
    hardware = prepare("cpu", section["precision"], section["threads"])
    torch.manual_seed(0)
    train, test = (read_reviews(work / f"reviews/{split}.safetensors") for split in ("train", "test"))
    keys = {"birnn": "cell num_hiddens num_layers", "textcnn": "kernel_sizes num_channels dropout"}[model]
    architecture = {key: section[key] for key in [*keys.split(), "freeze_vectors"]}
    network = {"birnn": BiRNN, "textcnn": TextCNN}[model]
    net = network(read_tensors(work / "glove.safetensors")[0]["vectors"], 2, **architecture)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], section["lr"], fused=True)
    padding = Padding(section["mask_padding"], section["pad_to"])
    shuffled, others = (
        ReviewBatches(train, section["batch_size"], hardware, seed=seed, padding=padding) for seed in (0, 1)
    )
    # The first steps set kernels up
    Trainer(net, optimizer, Schedule(epochs=1), hardware).train_epoch(Some(others, 1, 3))
    trainer = Trainer(net, optimizer, Schedule(section["epochs"], section["average_epochs"]), hardware)
    part = Some(shuffled, 1, batches)
    start = time.perf_counter()
    trainer.train_epoch(part)
    trained = len(part) * section["batch_size"] / (time.perf_counter() - start)
    by_length = Some(ReviewBatches(test, EVAL_BATCH, hardware, seed=None, padding=padding), 6, 99)
    start = time.perf_counter()
    logits, _ = predict(net, by_length, hardware, "test")
    return {"train": trained, "test": len(logits) / (time.perf_counter() - start)}


def train_peer(work: Path, model: str, batches: int, flush: bool) -> dict[str, float]:
    import torch
    from torch.utils.data import TensorDataset

    from tests.benchmarks import textbook

    torch.set_flush_denormal(flush)
    torch.manual_seed(0)
    saved = torch.load(work / "peer.pt", weights_only=True)
    network, lr = textbook.MODELS[model]
    net = network(saved["vectors"])
    trained = textbook.train(net, TensorDataset(*saved["train"]), lr, batches)
    return {"train": trained, "test": textbook.test(net, TensorDataset(*saved["test"]), batches)}


def write_big(path: Path) -> None:
    import numpy as np

    generator = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, BIG, 10_000):
            for i, row in enumerate(generator.normal(0, 0.5, (10_000, 100)), start):
                file.write(f"word{i} " + " ".join(f"{value:.5f}" for value in row) + "\n")


def _seconds(pairs: list[tuple[dict[str, float], dict[str, float]]]) -> tuple[list[float], list[float]]:
    return [peer["seconds"] for peer, _ in pairs], [ours["seconds"] for _, ours in pairs]


def compare_preparation(work: Path, rounds: int, sources: tuple[str, str]) -> None:
    pairs = [
        (child(BENCHMARK, work, "prepare_peer", *sources), child(BENCHMARK, work, "prepare_ours"))
        for _ in range(rounds)
    ]
    show("archive to vocabulary, tensors, vectors", "s", *_seconds(pairs))
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in pairs[-1][1].items() if name != "seconds")
    print(f"  ours, the last round, s: {parts}")
    peaks = {name: child(BENCHMARK, work, "stage_memory", name)["peak_gb"] for name in STAGES}
    print("  peak memory, GB: " + ", ".join(f"{name} {peak:.2f}" for name, peak in peaks.items()), flush=True)


def compare_vectors(work: Path, rounds: int) -> None:
    write_big(work / "big.100d.txt")
    pairs = [(child(BENCHMARK, work, "parse_peer"), child(BENCHMARK, work, "parse_ours")) for _ in range(rounds)]
    show(f"{BIG:,} vectors of 100 numbers", "s", *_seconds(pairs))


def compare_training(work: Path, model: str, rounds: int) -> None:
    few, many = {"birnn": (8, 60), "textcnn": (40, 200)}[model]  # batches; the peer's are all of one length
    published, flushing, ours = [], [], []
    for _ in range(rounds):
        published.append(child(BENCHMARK, work, "train_peer", model, few, False))
        flushing.append(child(BENCHMARK, work, "train_peer", model, few, True))
        ours.append(child(BENCHMARK, work, "train_ours", model, many))
    for what, peer, task in (
        ("training, textbook as published", published, "train"),
        ("training, textbook flushing denormals", flushing, "train"),
        ("evaluation, textbook flushing denormals", flushing, "test"),
    ):
        show(f"{model}, {what}", "reviews/s", [row[task] for row in peer], [row[task] for row in ours])


def main(archive: Path, vectors: Path, rounds: int, only: set[str]) -> None:
    sources = (str(archive.resolve()), str(vectors.resolve()))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
        params["dataset"] = "full"
        for name, path in zip(("imdb", "glove"), sources, strict=True):
            params["sources"][name]["full"] = {"urls": [path], "hash": None, "size": None}
        (work / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        print(f"{'':44} {'textbook':>9} {'ours':>9}")
        compare_preparation(work, rounds if "prepare" in only else 1, sources)  # training needs its files
        if "vectors" in only:
            compare_vectors(work, rounds)
        for model in sorted(only & {"birnn", "textcnn"}):
            compare_training(work, model, rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, nargs="?", help="the reviews, a tar.gz in aclImdb's layout")
    parser.add_argument("vectors", type=Path, nargs="?", help="a zip with 100-dimensional vectors in GloVe's format")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="prepare,vectors,birnn,textcnn", help="which of these to measure")
    parser.add_argument(CHILD, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        measure_here(given.child, globals())
    elif given.archive is None or given.vectors is None:
        parser.error("both files are needed")
    else:
        main(given.archive, given.vectors, given.rounds, set(given.only.split(",")))
