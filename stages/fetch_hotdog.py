"""Read the pictures: source zip, or the user's own folder or zip -> train, test."""

from collections import Counter
from pathlib import Path

from stages.core.cli import run
from stages.core.own import own_path
from stages.core.params import load_params
from stages.core.sources import obtain
from stages.sample.pictures import write_hotdog
from stages.vision.archive import read_archive, read_own
from stages.vision.pictures import write_pictures


def main(train: Path, test: Path) -> None:
    params = load_params()
    own = params.own
    if params.dataset == "own":
        halves = read_own(own_path("own.pictures", own.pictures), own.test_fraction, own.seed)
    else:
        source = getattr(params.sources.hotdog, params.dataset)
        halves = read_archive(obtain("hotdog", params.dataset, source, write_hotdog))
    for half, path in (("train", train), ("test", test)):
        write_pictures(path, halves[half])
        labels = Counter(halves[half]["label"].to_pylist())
        print(f"{half}: " + ", ".join(f"{count:,} {label}" for label, count in sorted(labels.items())))


if __name__ == "__main__":
    run(main)
