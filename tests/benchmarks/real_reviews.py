"""How the trained text models do on real reviews: the test split of the archive aclImdb.

uv run python -m tests.benchmarks.real_reviews aclImdb_v1.tar.gz [--every 10]
"""

import argparse
from pathlib import Path

from stages.apps.predictions import batched, top_class
from stages.apps.review_lines import Review
from stages.apps.review_models import ReviewModels
from stages.core.progress import progress
from stages.evaluation.titles import ENSEMBLE, TEXT_MODELS
from stages.inference.device import prepare
from stages.text.reading.imdb import read_imdb_archive


def main(archive: Path, artifacts: Path, every: int) -> None:
    names = [*TEXT_MODELS, ENSEMBLE]
    models = ReviewModels(artifacts, names, prepare("auto", "auto", None))
    table = read_imdb_archive(archive)["test"]
    rows = list(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))[::every]
    right = dict.fromkeys(names, 0)
    batches = list(batched(rows, models.batch_size))
    for batch in progress(batches, total=len(batches), desc="predicting", unit="batch"):
        answers = models.predict([Review(text) for text, _ in batch])
        for (_, label), answer in zip(batch, answers, strict=True):
            for name, probabilities in answer.models.items():
                right[name] += top_class(probabilities) == label
    for name, count in right.items():
        print(f"{name}: {count / len(rows):.3f} of {len(rows):,} reviews")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--every", type=int, default=1, help="take every so many reviews")
    main(**vars(parser.parse_args()))
