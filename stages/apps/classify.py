"""The command `sentidog predict`. Imports are lazy: to classify reviews loads no code for images, nor the reverse."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.apps.inputs import IMAGES, sort_inputs
from stages.apps.notes import sample_note
from stages.sources.records import Form

if TYPE_CHECKING:
    from stages.apps.predictions import Models


def classify(
    arguments: list[str],
    model: str | None,
    artifacts: Path,
    device: str,
    json: bool,
    column: str = "text",
    encoding: str | None = None,
    delimiter: str | None = None,
) -> bool:
    """Print the predictions for the reviews or images in the arguments; return whether all of them could be read.

    `column` is a table's column of reviews. `encoding` and `delimiter` say how a CSV is written, None: found out.
    """
    kind, inputs, names, refused = sort_inputs(arguments, model)
    for problem in refused:
        print(f"error: {problem}", file=sys.stderr)
    if refused and not inputs:
        return False
    if note := sample_note(artifacts, names):
        print(f"note: {note}", file=sys.stderr)
    from stages.apps.predictions import as_json, as_line, print_predictions

    if kind == IMAGES:
        examples, models = _images(inputs, artifacts, names, device)
    else:
        examples, models = _reviews(inputs, artifacts, names, device, column, Form(encoding, delimiter, "--{}"))
    return print_predictions(examples, models, as_json if json else as_line) and not refused


def _images(files: list[str], artifacts: Path, names: list[str], device: str) -> tuple[Iterator[Any], "Models"]:
    from stages.apps.image_models import ImageModels, each_image
    from stages.inference.device import prepare

    return each_image(files), ImageModels(artifacts, names, prepare(device, "fp32", None))


def _reviews(
    arguments: list[str], artifacts: Path, names: list[str], device: str, column: str, form: Form
) -> tuple[Iterator[Any], "Models"]:
    from stages.apps.review_tables import WorkersModels, are_tables, predict_tables

    if are_tables(arguments):
        from stages.config.params import load_engine

        return predict_tables(arguments, column, artifacts, names, device, load_engine()), WorkersModels()
    from stages.apps.review_lines import each_review
    from stages.apps.review_models import ReviewModels
    from stages.inference.device import prepare

    return each_review(arguments, column, form), ReviewModels(artifacts, names, prepare(device, "fp32", None))
