"""Classify reviews: `python -m stages.predict "this movie is so great"`, or a review a line on standard input."""

import argparse
import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from stages.core.cli import reporting
from stages.core.device import prepare
from stages.core.files import InputError
from stages.text.batches import TEST_BATCH
from stages.text.classify import classify
from stages.text.models import MODELS, load
from stages.text.vocabulary import read_vocabulary


@dataclass(frozen=True)
class Wishes:
    device: str
    precision: str = "fp32"
    threads: int | None = None


def main(texts: list[str], names: list[str], artifacts: Path, device: str) -> None:
    hardware = prepare(Wishes(device))
    vocabulary = read_vocabulary(artifacts / "vocab.parquet").words
    models = {name: load(artifacts / name) for name in names}
    for model, _ in models.values():
        model.to(hardware.device)
    for some in _by_batch(_without_empty(texts or _lines())):
        answers, known = [], []
        for name, (model, config) in models.items():
            probabilities, known = classify(model, config, vocabulary, some, hardware)
            shares, best = probabilities.max(1)
            answers.append([f"{name}: {config['classes'][i]} ({p:.3f})" for i, p in zip(best, shares, strict=True)])
        for text, understood, *by_model in zip(some, known, *answers, strict=True):
            if not understood:
                print(f"warning: no word of {text[:60]!r} is in the vocabulary", file=sys.stderr)
            print("\t".join([*by_model, " ".join(text.split())[:60]]), flush=True)


def _lines() -> Iterator[str]:
    try:
        for line in io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8"):
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as problem:
        raise InputError(f"standard input is not UTF-8: {problem}") from problem


def _without_empty(texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise InputError(f"review {number} is empty; expected text")
        yield text


def _by_batch(texts: Iterator[str]) -> Iterator[list[str]]:
    while some := list(islice(texts, TEST_BATCH)):
        yield some


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.predict", description=__doc__)
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="a review; none: one a line from standard input")
    parser.add_argument("--model", choices=MODELS, help="one model; default: all")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="the folder that dvc repro fills")
    parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N; default: auto")
    given = parser.parse_args()
    with reporting():
        main(given.texts, [given.model] if given.model else list(MODELS), given.artifacts, given.device)
