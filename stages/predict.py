"""Classify reviews or pictures, with the trained models in artifacts/ alone.

What ends in .txt is a file of a review a line, in .parquet a table with a column text; what ends in .jpg, .png and the
like is a picture; a folder stands for the files of these kinds in it; anything else is a review. Without arguments: a
review a line on standard input.
"""

import argparse
import io
import os
import sys
from pathlib import Path
from typing import cast

from stages.core.answers import Inference, as_json, as_line, tell
from stages.core.cli import reporting
from stages.core.device import prepare
from stages.core.files import InputError
from stages.core.folders import files_in
from stages.core.params import load_params
from stages.text import bulk, lines
from stages.text import models as review_models
from stages.text.classify import ReviewModels
from stages.vision import files
from stages.vision import models as picture_models
from stages.vision.files import PictureModels
from stages.vision.opening import SUFFIXES


def main(given: list[str], model: str | None, artifacts: Path, device: str, json: bool) -> None:
    reviews, pictures = sort_out(given, model)
    if reviews and pictures:
        both = f"{reviews[0][:60]!r} and {pictures[0]!r}"
        raise InputError(f"reviews and pictures in one command, {both}; expected one kind, or --model for a folder")
    known = picture_models.MODELS if pictures else review_models.MODELS
    if model is not None and model not in known:
        raise InputError(f"--model {model} is not for {'pictures' if pictures else 'reviews'}; {', '.join(known)} are")
    names, hardware = [model] if model else list(known), prepare(Inference(device))
    form, tables = as_json if json else as_line, [name for name in reviews if name.lower().endswith(bulk.SUFFIX)]
    if tables and tables != reviews:
        raise InputError(f"{tables[0]} and other reviews in one command; expected tables alone, or none")
    if tables:
        answered = bulk.answered(tables, artifacts, names, device, load_params().engine)
        whole = tell(answered, bulk.Workers(), form)
    elif pictures:
        whole = tell(files.pictures(pictures), PictureModels(artifacts, names, hardware), form)
    else:
        whole = tell(lines.reviews(reviews), ReviewModels(artifacts, names, hardware), form)
    if not whole:
        sys.exit(1)


def sort_out(given: list[str], model: str | None) -> tuple[list[str], list[str]]:
    """Return the reviews and files of reviews in `given`, and the pictures; a folder's that `model` is for."""
    review_files = {lines.SUFFIX, bulk.SUFFIX}
    suffixes = {*review_files, *SUFFIXES}
    if model is not None:
        suffixes = SUFFIXES if model in picture_models.MODELS else review_files
    reviews, pictures = [], []
    for argument in given:
        is_folder = os.path.isdir(argument)  # noqa: PTH112, pathlib's raises where a review is too long for a name
        for name in files_in(argument, suffixes) if is_folder else [argument]:
            (pictures if Path(name).suffix.lower() in SUFFIXES else reviews).append(name)
    return reviews, pictures


if __name__ == "__main__":
    every = [*review_models.MODELS, *picture_models.MODELS]
    parser = argparse.ArgumentParser(prog="python -m stages.predict", description=__doc__)
    parser.add_argument("given", nargs="*", metavar="TEXT|FILE|FOLDER", help="what to classify: all of one kind")
    parser.add_argument("--json", action="store_true", help="a JSON object a line, with all probabilities")
    parser.add_argument("--model", choices=every, help="one model; default: all that fit")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="the folder that dvc repro fills")
    parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N; default: auto")
    arguments = parser.parse_args()
    # JSON lines are UTF-8, and a file's name may be no text
    cast(io.TextIOWrapper, sys.stdout).reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        with reporting():
            main(**vars(arguments))
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
