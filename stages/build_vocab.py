"""Build the vocabulary: training reviews -> words with their counts, in index order."""

from functools import partial
from pathlib import Path

from stages.config.params import load_params
from stages.core.cli import run
from stages.engine.row_groups import each_row_group
from stages.text.words.counts import add_up, count_row_group
from stages.text.words.vocabulary import build_vocabulary, write_vocabulary


def main(reviews: Path, vocab: Path) -> None:
    params = load_params()
    name = params.build_vocab.tokenizer
    parts = each_row_group(reviews / "train.parquet", partial(count_row_group, name=name), params.engine)
    vocabulary, distinct, running = build_vocabulary(add_up(parts, vocab.parent), params.build_vocab.min_freq, name)
    write_vocabulary(vocab, vocabulary)
    kept = sum(vocabulary.counts) / running
    print(f"{len(vocabulary.words):,} of {distinct:,} words, {kept:.1%} of the running words")


if __name__ == "__main__":
    run(main)
