"""Read the pictures: source zip -> train, test."""

from collections import Counter
from pathlib import Path

from stages.core.cli import run
from stages.core.params import load_params
from stages.core.sources import obtain
from stages.sample.pictures import write_hotdog
from stages.vision.archive import read_archive
from stages.vision.pictures import write_pictures


def main(train: Path, test: Path) -> None:
    params = load_params()
    archive = obtain("hotdog", params.dataset, getattr(params.sources.hotdog, params.dataset), write_hotdog)
    halves = read_archive(archive)
    for half, path in (("train", train), ("test", test)):
        write_pictures(path, halves[half])
        labels = Counter(halves[half]["label"].to_pylist())
        print(f"{half}: " + ", ".join(f"{count:,} {label}" for label, count in sorted(labels.items())))


if __name__ == "__main__":
    run(main)
