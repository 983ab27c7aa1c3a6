"""Build the vocabulary: training reviews -> words with their counts, in index order."""

from pathlib import Path

from stages.core.cli import run
from stages.core.files import read_table
from stages.core.params import load_params
from stages.text.tokens import tokenizer
from stages.text.vocabulary import build_vocabulary, write_vocabulary


def main(train: Path, vocab: Path) -> None:
    params = load_params().build_vocab
    texts = read_table(train, ["text"])["text"].to_pylist()
    words = tokenizer(params.tokenizer)(texts)
    vocabulary, distinct = build_vocabulary(words, params.min_freq, params.tokenizer)
    write_vocabulary(vocab, vocabulary)
    kept = sum(vocabulary.counts) / len(words.flatten())
    print(f"{len(vocabulary.words):,} of {distinct:,} words, {kept:.1%} of the running words")


if __name__ == "__main__":
    run(main)
