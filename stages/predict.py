"""Classify reviews or pictures with the trained models; only artifacts/ is read.

An argument's ending says what it is. .txt: a file of one review per line. .csv, .tsv, .jsonl (these may be .gz) or
.parquet: a table with a column of reviews. .jpg, .png and the like: a picture. A folder stands for the files of these
kinds in it. Any other argument is a review, unless it is a file or looks like a path. Without arguments, standard input
is read, one review per line.
"""

import io
import os
import sys
from typing import cast

from stages.apps.classify import classify
from stages.apps.command import parser
from stages.apps.inputs import MODELS
from stages.core.cli import exit_on_error, leave

EXAMPLES = """
  {prog} "this movie is so great"
  {prog} --model textcnn < reviews.txt
  {prog} --json reviews.txt
  {prog} --column comment reviews.csv
  {prog} lunch.jpg dinner.png photos
"""


def main(argv: list[str] | None = None, prog: str = "python -m stages.predict") -> None:
    command = parser(prog, __doc__, EXAMPLES)
    command.add_argument("arguments", nargs="*", metavar="TEXT|FILE|FOLDER", help="reviews or pictures, not both")
    command.add_argument("--json", action="store_true", help="print one JSON object per line, with all probabilities")
    command.add_argument("--model", choices=MODELS, help="one model; default: all of the arguments' kind")
    command.add_argument("--column", default="text", help="the column of the reviews in a table; default: text")
    command.add_argument("--encoding", help="of a .csv, .tsv or .jsonl, such as cp1252; default: UTF-8, or found out")
    command.add_argument("--delimiter", help="of a .csv or .tsv: one letter, or tab; default: found out")
    command.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N; default: auto")
    options = command.parse_args(argv)
    cast(io.TextIOWrapper, sys.stdout).reconfigure(encoding="utf-8")  # JSON lines are UTF-8, whatever the locale
    try:
        with exit_on_error():
            if not classify(**vars(options)):
                sys.exit(1)
    except BrokenPipeError:  # the reader, such as `| head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python fails to flush at its end


if __name__ == "__main__":
    main()
    leave()
