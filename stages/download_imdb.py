"""Read the labelled reviews: source archive, or the user's own file -> train, test."""

import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa

from stages.config.params import load_params
from stages.core.cli import run
from stages.core.files import write_table
from stages.sample.reviews import write_imdb
from stages.sources.obtain import obtain
from stages.sources.records import Form
from stages.sources.repeats import repeated
from stages.sources.tables import Columns, read_labelled_texts
from stages.sources.user_data import user_path
from stages.text.reading.imdb import read_imdb_archive
from stages.text.reading.table import review_table
from stages.text.special import VALIDATION


def main(out: Path) -> None:
    params = load_params()
    own = params.own
    if params.dataset == "own":
        columns = Columns(own.text, own.label, own.split)
        file, form = user_path("own.reviews", own.reviews), Form(own.encoding, own.delimiter)
        rows = read_labelled_texts(file, columns, own.test_fraction, own.seed, form)
        splits = {split: review_table(split, some) for split, some in rows.items()}
    else:
        source = getattr(params.sources.imdb, params.dataset)
        splits = read_imdb_archive(obtain("imdb", params.dataset, source, write_imdb))
    for split, table in splits.items():
        write_table(out / f"{split}.parquet", table)
        labels = Counter(table["label"].to_pylist())
        print(f"{split}: " + ", ".join(f"{count:,} {label}" for label, count in sorted(labels.items())))
    train, test = splits["train"], splits["test"]
    is_held_out = [row.startswith(VALIDATION) for row in train["id"].to_pylist()]
    if any(is_held_out):
        print(f"{sum(is_held_out):,} of the training reviews are the validation split")
        trained_on = train.filter([not held_out for held_out in is_held_out])
        warn_of_repeated("validation", train.filter(is_held_out), trained_on)
    warn_of_repeated("test", test, train)
    for row in train.take([len(train) * i // 5 for i in range(5)]).to_pylist():
        print(f"{row['label']}  {row['text'][:70]!r}")


def warn_of_repeated(split: str, table: pa.Table, train: pa.Table) -> None:
    if again := repeated(train["text"].to_pylist(), table["text"].to_pylist()):
        print(
            f"warning: {len(again):,} of {len(table):,} {split} texts occur in the training split, such as "
            f"{table['id'][again[0]].as_py()}: a model may know them by heart",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
