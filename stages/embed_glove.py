"""Give each word of the vocabulary its vector: vocabulary, vectors -> (words, dim), coverage."""

from functools import partial
from pathlib import Path

from stages.config.params import load_params
from stages.core.cli import run
from stages.core.files import write_json
from stages.core.tensors import write_in_parts
from stages.engine.row_groups import each_row_group
from stages.text.vectors.coverage import Coverage, match_row_group


def main(vocab: Path, glove: Path, out: Path, coverage: Path) -> None:
    params = load_params()
    match = partial(match_row_group, glove=glove.resolve(), dim=params.embed_glove.dim)
    total = Coverage()
    write_in_parts(out, ({"vectors": total.add(part)} for part in each_row_group(vocab, match, params.engine)), {})
    report = total.report()
    write_json(coverage, report)
    print(
        f"vectors for {report['words_covered']:,} of {report['words']:,} words, "
        f"{report['share_of_running_words']:.1%} of the running words; "
        f"there are {report['words_without_vector']:,} oov words"
    )


if __name__ == "__main__":
    run(main)
