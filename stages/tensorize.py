"""Turn words into indices: reviews, vocabulary -> ragged tensors of each split."""

from functools import partial
from pathlib import Path

from stages.config.params import load_params
from stages.core.cli import run
from stages.engine.row_groups import each_row_group
from stages.text.words.encoding import classes_of, encode_row_group, write_encoded
from stages.text.words.vocabulary import read_vocabulary


def main(reviews: Path, vocab: Path, out: Path) -> None:
    params = load_params()
    classes, tokenizer = classes_of(reviews / "train.parquet"), read_vocabulary(vocab).tokenizer
    kept = {"max_len": params.tensorize.max_len, "keep": params.tensorize.keep}
    version = vocab.stat().st_mtime_ns
    encode = partial(encode_row_group, vocab=vocab.resolve(), version=version, classes=classes, **kept)
    for split in ("train", "test"):
        parts = each_row_group(reviews / f"{split}.parquet", encode, params.engine)
        count, words = write_encoded(out / f"{split}.safetensors", parts, classes, tokenizer, **kept)
        print(f"{split}: {count:,} reviews of {words / count:.0f} words on average")


if __name__ == "__main__":
    run(main)
