"""Read the labelled reviews: source archive -> train, test."""

from pathlib import Path

from stages.core.cli import run
from stages.core.files import write_table
from stages.core.params import load_params
from stages.core.sources import obtain
from stages.sample.reviews import write_imdb
from stages.text.reviews import LABELS, read_archive


def main(train: Path, test: Path) -> None:
    params = load_params()
    archive = obtain("imdb", params.dataset, getattr(params.sources.imdb, params.dataset), write_imdb)
    halves = read_archive(archive)
    for half, path in (("train", train), ("test", test)):
        write_table(path, halves[half])
        labels = halves[half]["label"].to_pylist()
        print(f"{half}: " + ", ".join(f"{labels.count(label):,} {label}" for label in LABELS.values()))
    table = halves["train"]
    for row in table.take([len(table) * i // 5 for i in range(5)]).to_pylist():
        print(f"{row['label']}  {row['text'][:70]!r}")


if __name__ == "__main__":
    run(main)
