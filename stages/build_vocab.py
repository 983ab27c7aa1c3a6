"""Build the vocabulary: training reviews -> words with their counts, in index order."""

from functools import partial
from pathlib import Path

from stages.config.params import load_params
from stages.core.cache import log
from stages.core.cli import run
from stages.core.files import InputError
from stages.engine.row_groups import each_row_group
from stages.text.words.counts import add_up, count_row_group
from stages.text.words.vocabulary import build_vocabulary, write_vocabulary

LOW_COVERAGE = 0.5  # of the running words: below it, reviews have lost most of their content


def main(reviews: Path, vocab: Path) -> None:
    params = load_params()
    name = params.build_vocab.tokenizer
    parts = each_row_group(reviews / "train.parquet", partial(count_row_group, name=name), params.engine)
    vocabulary, distinct, running = build_vocabulary(add_up(parts, vocab.parent), params.build_vocab.min_freq, name)
    if not any(word.strip() for word in vocabulary.words[2:]):  # after <unk> and <pad>
        found = f"none of the {distinct:,} words of the training split occurs {params.build_vocab.min_freq:,} times"
        remedy = "set it lower, or build_vocab.tokenizer: characters for a language without spaces"
        raise InputError(f"build_vocab.min_freq: {found}; {remedy}")
    write_vocabulary(vocab, vocabulary)
    kept = sum(vocabulary.counts) / running
    if kept < LOW_COVERAGE:
        log(f"warning: only {kept:.1%} of the running words are in the vocabulary; try a lower build_vocab.min_freq")
    print(f"{len(vocabulary.words):,} of {distinct:,} words, {kept:.1%} of the running words")


if __name__ == "__main__":
    run(main)
