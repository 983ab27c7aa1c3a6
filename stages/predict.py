"""Classify reviews or pictures with the trained models in artifacts/ alone.

What ends in .txt is a file of a review a line; in .csv, .tsv, .jsonl (these may be .gz) or .parquet a table with a
column of reviews; in .jpg, .png and the like a picture. A folder stands for the files of these kinds in it. Anything
else is a review, unless it is a file or looks like a path. Without arguments: a review a line on standard input.
"""

import io
import os
import sys
from pathlib import Path
from typing import cast

from stages.apps.classify import classify
from stages.apps.command import parser
from stages.apps.inputs import MODELS
from stages.core.cli import exit_on_error

EXAMPLES = """
  {prog} "this movie is so great"
  {prog} --model textcnn < reviews.txt
  {prog} --json reviews.txt
  {prog} --column comment reviews.csv
  {prog} lunch.jpg dinner.png photos
"""


def main(argv: list[str] | None = None, prog: str = "python -m stages.predict") -> None:
    command = parser(prog, __doc__, EXAMPLES)
    command.add_argument("arguments", nargs="*", metavar="TEXT|FILE|FOLDER", help="what to classify: all of one kind")
    command.add_argument("--json", action="store_true", help="a JSON object a line, with all probabilities")
    command.add_argument("--model", choices=MODELS, help="one model; default: all that fit")
    command.add_argument("--column", default="text", help="of a table: the one that has the reviews; default: text")
    command.add_argument("--encoding", help="of a .csv, .tsv or .jsonl, such as cp1252; default: UTF-8, or found out")
    command.add_argument("--delimiter", help="of a .csv or .tsv: one letter, or tab; default: found out")
    command.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="the folder that dvc repro fills")
    command.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N; default: auto")
    options = command.parse_args(argv)
    cast(io.TextIOWrapper, sys.stdout).reconfigure(encoding="utf-8")  # as JSON lines are
    try:
        with exit_on_error():
            if not classify(**vars(options)):
                sys.exit(1)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends


if __name__ == "__main__":
    main()
