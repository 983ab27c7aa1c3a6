"""Read the labelled reviews: source archive, or the user's own file -> train, test."""

from collections import Counter
from pathlib import Path

from stages.core.cli import run
from stages.core.files import write_table
from stages.core.own import own_path
from stages.core.params import load_params
from stages.core.sources import obtain
from stages.sample.reviews import write_imdb
from stages.text.own import Columns, read_own
from stages.text.reviews import read_archive


def main(train: Path, test: Path) -> None:
    params = load_params()
    own = params.own
    if params.dataset == "own":
        columns = Columns(own.text, own.label, own.split)
        halves = read_own(own_path("own.reviews", own.reviews), columns, own.test_fraction, own.seed)
    else:
        source = getattr(params.sources.imdb, params.dataset)
        halves = read_archive(obtain("imdb", params.dataset, source, write_imdb))
    for half, path in (("train", train), ("test", test)):
        write_table(path, halves[half])
        labels = Counter(halves[half]["label"].to_pylist())
        print(f"{half}: " + ", ".join(f"{count:,} {label}" for label, count in sorted(labels.items())))
    table = halves["train"]
    for row in table.take([len(table) * i // 5 for i in range(5)]).to_pylist():
        print(f"{row['label']}  {row['text'][:70]!r}")


if __name__ == "__main__":
    run(main)
