"""Give each word of the vocabulary its vector: vocabulary, vectors -> (words, dim), coverage."""

from pathlib import Path

import numpy as np
import torch

from stages.core.cli import run
from stages.core.files import write_json
from stages.core.params import load_params
from stages.core.tensors import write_tensors
from stages.text.vectors import match, read_vector_table
from stages.text.vocabulary import read_vocabulary

SHOWN = 20  # words without a vector that the report lists


def main(vocab: Path, glove: Path, out: Path, coverage: Path) -> None:
    vocabulary = read_vocabulary(vocab)
    vectors, found = match(vocabulary.words, read_vector_table(glove, load_params().embed_glove.dim))
    counts = np.array(vocabulary.counts)
    missing = [
        (word, count) for word, count, has in zip(vocabulary.words, vocabulary.counts, found, strict=True) if not has
    ]
    report = {
        "words": len(found),
        "words_covered": int(found.sum()),
        "words_without_vector": len(missing),
        "share_of_words": round(float(found.mean()), 4),
        "share_of_running_words": round(float(counts[found].sum() / counts.sum()), 4),
        "most_frequent_without_vector": dict(sorted(missing, key=lambda row: (-row[1], row[0]))[:SHOWN]),
    }
    write_tensors(out, {"vectors": torch.from_numpy(vectors)})
    write_json(coverage, report)
    print(
        f"vectors for {report['words_covered']:,} of {report['words']:,} words, "
        f"{report['share_of_running_words']:.1%} of the running words; there are {len(missing):,} oov words"
    )


if __name__ == "__main__":
    run(main)
