"""Give each word of the vocabulary its vector: vocabulary, vectors -> (words, dim), coverage."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from stages.config.params import load_params
from stages.core.cache import log
from stages.core.cli import run
from stages.core.files import InputError, write_json
from stages.core.tensors import write_in_parts
from stages.engine.row_groups import each_row_group
from stages.text.vectors.coverage import Coverage, match_row_group, why_none_matches

LOW_COVERAGE = 0.5  # of the running words


def main(vocab: Path, glove: Path, out: Path, coverage: Path) -> None:
    params = load_params()
    match = partial(match_row_group, glove=glove.resolve(), dim=params.embed_glove.dim)
    total = Coverage()

    def vectors() -> Iterator[dict[str, np.ndarray]]:
        for part in each_row_group(vocab, match, params.engine):
            yield {"vectors": total.add(part)}
        if not total.covered:
            raise InputError(f"sources.glove: {why_none_matches(vocab, glove, params.embed_glove.dim)}")

    write_in_parts(out, vectors(), {})
    report = total.report()
    write_json(coverage, report)
    if report["share_of_running_words"] < LOW_COVERAGE:
        missing = ", ".join(map(repr, list(report["most_frequent_without_vector"])[:5]))
        log(f"warning: most of the running words have no vector, such as {missing}: do the vectors fit the reviews?")
    print(
        f"vectors for {report['words_covered']:,} of {report['words']:,} words, "
        f"{report['share_of_running_words']:.1%} of the running words; "
        f"there are {report['words_without_vector']:,} oov words"
    )


if __name__ == "__main__":
    run(main)
