"""Classify reviews or pictures: `python -m stages.predict "this movie is so great"`, `… predict lunch.jpg`.

Without arguments: a review a line on standard input.
"""

import argparse
import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from stages.core.cli import reporting
from stages.core.device import Hardware, prepare
from stages.core.files import InputError
from stages.text import classify as of_text
from stages.text import models as text_models
from stages.text.batches import TEST_BATCH
from stages.text.vocabulary import read_vocabulary
from stages.vision import classify as of_pictures
from stages.vision import models as picture_models

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}


@dataclass(frozen=True)
class Wishes:
    device: str
    precision: str = "fp32"
    threads: int | None = None


def main(given: list[str], model: str | None, artifacts: Path, device: str) -> None:
    pictures = [argument for argument in given if Path(argument).suffix.lower() in PICTURES]
    if pictures and pictures != given:
        raise InputError("reviews and pictures in one command; expected one kind")
    task, known = (answer_pictures, picture_models.MODELS) if pictures else (answer_reviews, text_models.MODELS)
    if model is not None and model not in known:
        raise InputError(f"--model {model} is not for {'pictures' if pictures else 'reviews'}; {', '.join(known)} are")
    task(given, [artifacts / name for name in ([model] if model else known)], prepare(Wishes(device)))


def answer_reviews(texts: list[str], folders: list[Path], hardware: Hardware) -> None:
    vocabulary = read_vocabulary(folders[0].parent / "vocab.parquet").words
    models = [text_models.load(folder) for folder in folders]
    for model, _ in models:
        model.to(hardware.device)
    for some in _by_batch(_without_empty(texts or _lines())):
        answers, known = [], []
        for model, config in models:
            probabilities, known = of_text.classify(model, config, vocabulary, some, hardware)
            answers.append(_words(config, probabilities))
        for text, understood, *by_model in zip(some, known, *answers, strict=True):
            if not understood:
                print(f"warning: no word of {text[:60]!r} is in the vocabulary", file=sys.stderr)
            print("\t".join([*by_model, " ".join(text.split())[:60]]), flush=True)


def answer_pictures(files: list[str], folders: list[Path], hardware: Hardware) -> None:
    pictures = of_pictures.open_files(files)
    answers = []
    for classifier, config in map(picture_models.load, folders):
        logits, _ = of_pictures.classify(classifier, config, pictures, hardware)
        answers.append(_words(config, logits.softmax(1)))
    for file, *by_model in zip(files, *answers, strict=True):
        print("\t".join([*by_model, file]))


def _words(config: dict[str, Any], probabilities: Tensor) -> list[str]:
    """What a model answers, from probabilities (examples, classes)."""
    shares, best = probabilities.max(1)
    return [f"{config['model']}: {config['classes'][i]} ({p:.3f})" for i, p in zip(best, shares, strict=True)]


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
    every = [*text_models.MODELS, *picture_models.MODELS]
    parser = argparse.ArgumentParser(prog="python -m stages.predict", description=__doc__)
    parser.add_argument("given", nargs="*", metavar="TEXT|PICTURE", help="a review, or a picture's file name")
    parser.add_argument("--model", choices=every, help="one model; default: all that fit")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="the folder that dvc repro fills")
    parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N; default: auto")
    arguments = parser.parse_args()
    with reporting():
        main(arguments.given, arguments.model, arguments.artifacts, arguments.device)
