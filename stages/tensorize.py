"""Turn words into indices: train, test, vocabulary -> ragged tensors of each half."""

from functools import partial
from pathlib import Path

from stages.core.cli import run
from stages.core.engine import each_row_group
from stages.core.params import load_params
from stages.text.encoded import classes_of, encode_row_group
from stages.text.ragged import write_encoded
from stages.text.vocabulary import read_vocabulary


def main(train: Path, test: Path, vocab: Path, train_reviews: Path, test_reviews: Path) -> None:
    params = load_params()
    max_len, classes, tokenizer = params.tensorize.max_len, classes_of(train), read_vocabulary(vocab).tokenizer
    about = {"vocab": vocab.resolve(), "version": vocab.stat().st_mtime_ns, "classes": classes, "max_len": max_len}
    for table, out in ((train, train_reviews), (test, test_reviews)):
        parts = each_row_group(table, partial(encode_row_group, **about), params.engine)
        reviews, words = write_encoded(out, parts, classes, tokenizer, max_len)
        print(f"{out.name}: {reviews:,} reviews of {words / reviews:.0f} words on average")


if __name__ == "__main__":
    run(main)
