"""The command line's arguments: reviews or pictures, as they are, in files and in folders."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from stages.core.files import InputError
from stages.evaluation.titles import ENSEMBLE, IMAGE_MODELS, TEXT_MODELS
from stages.sources.folders import files_in
from stages.vision.reading.opening import SUFFIXES


class Kind(NamedTuple):
    name: str
    models: Collection[str]  # that take it
    suffixes: Collection[str]  # of files that hold it


LINES, TABLE = ".txt", ".parquet"  # files of a review a line; tables with a column text, a review a row
REVIEWS = Kind("reviews", (*TEXT_MODELS, ENSEMBLE), (LINES, TABLE))
PICTURES = Kind("pictures", tuple(IMAGE_MODELS), tuple(SUFFIXES))
MODELS = [*REVIEWS.models, *PICTURES.models]


def sort_inputs(arguments: list[str], model: str | None) -> tuple[Kind, list[str], list[str]]:
    """Return the kind of the arguments, the arguments with each folder replaced by its files, and the models to ask.

    An argument with a picture's suffix is a picture, every other is a review. Of a folder the files that `model` takes
    count, or without a model all.

    Raises InputError for both kinds in one command, and for a model of the other kind.
    """
    kinds = (REVIEWS, PICTURES)
    suffixes = [suffix for kind in kinds if model is None or model in kind.models for suffix in kind.suffixes]
    found: dict[Kind, list[str]] = {kind: [] for kind in kinds}
    for argument in arguments:
        is_folder = os.path.isdir(argument)  # noqa: PTH112, pathlib's raises where a review is too long for a name
        for name in files_in(argument, suffixes) if is_folder else [argument]:
            found[PICTURES if Path(name).suffix.lower() in PICTURES.suffixes else REVIEWS].append(name)
    if found[REVIEWS] and found[PICTURES]:
        both = f"{found[REVIEWS][0][:60]!r} and {found[PICTURES][0]!r}"
        raise InputError(f"reviews and pictures in one command, {both}; expected one kind, or --model for a folder")
    kind = PICTURES if found[PICTURES] else REVIEWS
    if model is not None and model not in kind.models:
        raise InputError(f"--model {model} is not for {kind.name}; {', '.join(kind.models)} are")
    return kind, found[kind], [model] if model else list(kind.models)
