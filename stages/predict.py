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
from stages.core.given import Kind, sort_out
from stages.core.params import load_engine
from stages.text import bulk, lines
from stages.text import models as review_models
from stages.text.classify import ReviewModels
from stages.vision import files
from stages.vision import models as picture_models
from stages.vision.files import PictureModels
from stages.vision.opening import SUFFIXES

REVIEWS = Kind("reviews", tuple(review_models.MODELS), (lines.SUFFIX, bulk.SUFFIX))
PICTURES = Kind("pictures", picture_models.MODELS, tuple(SUFFIXES))


def main(given: list[str], model: str | None, artifacts: Path, device: str, json: bool) -> None:
    kind, given, names = sort_out(given, model, REVIEWS, PICTURES)
    form, hardware = as_json if json else as_line, prepare(Inference(device))
    if kind == PICTURES:
        whole = tell(files.pictures(given), PictureModels(artifacts, names, hardware), form)
    elif bulk.are_tables(given):
        whole = tell(bulk.answered(given, artifacts, names, device, load_engine()), bulk.Workers(), form)
    else:
        whole = tell(lines.reviews(given), ReviewModels(artifacts, names, hardware), form)
    if not whole:
        sys.exit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.predict", description=__doc__)
    parser.add_argument("given", nargs="*", metavar="TEXT|FILE|FOLDER", help="what to classify: all of one kind")
    parser.add_argument("--json", action="store_true", help="a JSON object a line, with all probabilities")
    parser.add_argument("--model", choices=[*REVIEWS.models, *PICTURES.models], help="one model; default: all that fit")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="the folder that dvc repro fills")
    parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N; default: auto")
    arguments = parser.parse_args()
    cast(io.TextIOWrapper, sys.stdout).reconfigure(encoding="utf-8")  # as JSON lines are
    try:
        with reporting():
            main(**vars(arguments))
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
