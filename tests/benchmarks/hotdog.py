"""Ours against the textbook on the real pictures, in one process tree; prints the ratios.

    uv run python -m tests.benchmarks.hotdog hotdog.zip resnet18.pth [--rounds 3] [--batches 16]

Each measurement is a process of its own, ours and the peer's in turn. Decoding, augmentation and the first batch are
counted; imports, and unpacking the zip, are not. A row is the median of the rounds.
"""

import argparse
import tempfile
import time
import zipfile
from pathlib import Path

import yaml

from tests.benchmarks.harness import CHILD, Some, child, measure_here, show

BENCHMARK = "tests.benchmarks.hotdog"  # not __name__, which is __main__ here


def fetch_ours(work: Path) -> dict[str, float]:
    from stages import fetch_hotdog, fetch_source_model

    start = time.perf_counter()
    fetch_hotdog.main(Path("hotdog"))
    fetch_source_model.main(Path("source_model.safetensors"))
    return {"seconds": time.perf_counter() - start}


def train_ours(work: Path, limit: int) -> dict[str, float]:
    import stages.core.cli  # noqa: F401, I001, sets what torch reads when it is loaded
    import torch

    from stages.config.params import load_params
    from stages.core.tensors import read_tensors
    from stages.inference.config import Normalisation
    from stages.inference.device import prepare
    from stages.inference.predict import predict
    from stages.training.trainer import Schedule, Trainer
    from stages.vision.batches.augmentation import augmented_view, central_view
    from stages.vision.batches.image_batches import ImageBatches
    from stages.vision.batches.images import read_images
    from stages.vision.networks import Classifier, from_source, parameter_groups

    params = load_params()
    section, size, batch_size = params.finetune, params.pictures.image_size.full, params.pictures.batch_size.full
    hardware = prepare("cpu", section.precision, section.threads)
    source = Path("source_model.safetensors")
    weights, about = read_tensors(source)
    normalisation = Normalisation(about["mean"], about["std"])
    net = Classifier("resnet18", from_source("resnet18", weights, 2, source)).to(memory_format=torch.channels_last)
    groups = parameter_groups(net, section.lr, section.output_lr_factor)
    optimizer = torch.optim.SGD(groups, section.lr, section.momentum, weight_decay=section.weight_decay)
    train, view = read_images(Path("hotdog/train.parquet")), augmented_view(params.augment, size)
    shuffled = ImageBatches(train, view, normalisation, batch_size, hardware, seed=0)
    part = Some(shuffled, 1, limit)
    trainer = Trainer(net, optimizer, Schedule(section.epochs, section.average_epochs), hardware)
    start = time.perf_counter()
    trainer.train_epoch(part)
    trained = min(len(part) * batch_size, shuffled.examples) / (time.perf_counter() - start)
    test = read_images(Path("hotdog/test.parquet"))
    in_order = ImageBatches(test, central_view(size), normalisation, batch_size, hardware, seed=None)
    rates = []
    for _ in range(2):  # a training's five passes decode the test pictures once
        start = time.perf_counter()
        logits, _ = predict(net, Some(in_order, 1, limit), hardware, "test")
        rates.append(len(logits) / (time.perf_counter() - start))
    return {"train": trained, "first": rates[0], "later": rates[1]}


def train_peer(work: Path, weights: str, limit: int) -> dict[str, float]:
    import torch

    from tests.benchmarks import textbook_hotdog as textbook

    torch.manual_seed(0)
    net, optimizer = textbook.fine_tuned(Path(weights))
    (folder,) = work.glob("pictures/*/")
    trained = textbook.train(net, optimizer, textbook.batches(folder, "train"), limit)
    return {"train": trained, "test": textbook.test(net, textbook.batches(folder, "test"), limit)}


def main(archive: Path, weights: Path, rounds: int, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
        params["dataset"] = "full"
        for name, path in (("hotdog", archive), ("source_model", weights)):
            params["sources"][name]["full"] |= {"urls": [str(path.resolve())], "hash": None, "size": None}
        (work / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(work / "pictures")
        print(f"{'':44} {'textbook':>9} {'ours':>9}")
        print(f"ours, zip and weights read: {child(BENCHMARK, work, 'fetch_ours')['seconds']:.1f} s", flush=True)
        peer, ours = [], []
        for _ in range(rounds):
            peer.append(child(BENCHMARK, work, "train_peer", str(weights.resolve()), limit))
            ours.append(child(BENCHMARK, work, "train_ours", limit))
        for what, theirs, task in (
            ("fine-tuning at 224 pixels", "train", "train"),
            ("test pass, the first of a training", "test", "first"),
            ("test pass, the later ones", "test", "later"),
        ):
            show(what, "pictures/s", [row[theirs] for row in peer], [row[task] for row in ours])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, nargs="?", help="the pictures, a zip in hotdog.zip's layout")
    parser.add_argument("weights", type=Path, nargs="?", help="a state dict of ResNet-18")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=16, help="batches of 128; 16 are the whole epoch")
    parser.add_argument(CHILD, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        measure_here(given.child, globals())
    elif given.archive is None or given.weights is None:
        parser.error("both files are needed")
    else:
        main(given.archive, given.weights, given.rounds, given.batches)
