"""What `sentidog predict` does. Its imports are lazy: a question about one kind loads nothing of the other."""

import sys
from pathlib import Path

from stages.apps.inputs import PICTURES, sort_inputs
from stages.apps.notes import sample_note
from stages.sources.records import Form


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
    """Print the predictions for what the arguments stand for; return whether all of it could be read.

    `column` has the reviews of a table; `encoding` and `delimiter` say how a CSV is written, None: found out.
    """
    kind, inputs, names, refused = sort_inputs(arguments, model)
    for problem in refused:
        print(f"error: {problem}", file=sys.stderr)
    if refused and not inputs:
        return False
    if note := sample_note(artifacts, names):
        print(f"note: {note}", file=sys.stderr)
    from stages.apps.predictions import as_json, as_line, print_predictions
    from stages.inference.device import prepare

    form = as_json if json else as_line
    if kind == PICTURES:
        from stages.apps.image_models import ImageModels, each_image

        models = ImageModels(artifacts, names, prepare(device, "fp32", None))
        return print_predictions(each_image(inputs), models, form) and not refused
    from stages.apps.review_tables import WorkersModels, are_tables, predict_tables

    if are_tables(inputs):
        from stages.config.params import load_engine

        tables = predict_tables(inputs, column, artifacts, names, device, load_engine())
        return print_predictions(tables, WorkersModels(), form) and not refused
    from stages.apps.review_lines import each_review
    from stages.apps.review_models import ReviewModels

    reviews = each_review(inputs, column, Form(encoding, delimiter, "--{}"))
    return (
        print_predictions(reviews, ReviewModels(artifacts, names, prepare(device, "fp32", None)), form) and not refused
    )
