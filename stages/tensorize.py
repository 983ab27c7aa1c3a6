"""Turn words into indices: train, test, vocabulary -> ragged tensors of each half."""

from pathlib import Path

import torch

from stages.core.cli import run
from stages.core.files import read_table
from stages.core.params import load_params
from stages.text.ragged import Reviews, encode, write_reviews
from stages.text.tokens import tokenizer
from stages.text.vocabulary import read_vocabulary


def main(train: Path, test: Path, vocab: Path, train_reviews: Path, test_reviews: Path) -> None:
    max_len = load_params().tensorize.max_len
    vocabulary = read_vocabulary(vocab)
    tokenize = tokenizer(vocabulary.tokenizer)
    classes: list[str] = []
    for table_path, out in ((train, train_reviews), (test, test_reviews)):
        table = read_table(table_path, ["text", "label"])
        classes = classes or sorted(set(table["label"].to_pylist()))
        ids, offsets = encode(tokenize(table["text"].to_pylist()), vocabulary.words, max_len)
        labels = torch.tensor([classes.index(label) for label in table["label"].to_pylist()])
        write_reviews(out, Reviews(ids, offsets, labels, classes, vocabulary.tokenizer, max_len))
        print(f"{out.name}: {len(labels):,} reviews of {len(ids) / len(labels):.0f} words on average")


if __name__ == "__main__":
    run(main)
