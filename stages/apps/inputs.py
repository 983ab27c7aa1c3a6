"""Sort the command line's arguments: texts, files and folders of reviews or pictures."""

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from stages.core.cache import log
from stages.core.files import InputError, some
from stages.evaluation.titles import ENSEMBLE, IMAGE_MODELS, TEXT_MODELS
from stages.sources.folders import files_in, suffix_of
from stages.sources.records import PARQUET, SUFFIXES, TEXT_SUFFIXES
from stages.vision.reading.opening import SUFFIXES as IMAGE_SUFFIXES


class Kind(NamedTuple):
    name: str
    models: Collection[str]  # names of the models for this kind
    suffixes: Collection[str]  # of its files


LINES = (".txt", ".txt.gz")  # files of one review per line; the others are tables of one review per row
REVIEWS = Kind("reviews", (*TEXT_MODELS, ENSEMBLE), (*LINES, *SUFFIXES))
IMAGES = Kind("pictures", tuple(IMAGE_MODELS), tuple(IMAGE_SUFFIXES))
MODELS = [*REVIEWS.models, *IMAGES.models]

# What looks like a path: it begins with ./, ../, ~, a drive or a scheme, or it is one word with a slash (but not a
# rating such as 8/10) or with the suffix of a file
_PATH = re.compile(
    r"(\.{1,2}[/\\]|~/|[A-Za-z]:[/\\]|[a-z]+://).*|~\S+|(?![\d.,]+(/[\d.,]+)+$)\S*[/\\]\S*"
    r"|\S+\.([a-z][a-z0-9]{1,4}|[A-Z][A-Z0-9]{1,4})",
    re.DOTALL,
)


class Inputs(NamedTuple):
    kind: Kind
    found: list[str]  # texts, and names of files
    names: list[str]  # of the models to use
    refused: list[InputError]  # for arguments of neither kind


def sort_inputs(arguments: list[str], model: str | None) -> Inputs:
    """Return the kind of the arguments, the arguments with each folder replaced by its files, and the models to use.

    An argument with the suffix of a kind is a file. Any other argument is a review, unless it names a file or looks
    like a path. Of a folder, the files for `model` count; without a model, those of both kinds.

    Raises InputError for both kinds in one command, or for a model of the other kind.
    """
    kinds = (REVIEWS, IMAGES)
    suffixes = [suffix for kind in kinds if model is None or model in kind.models for suffix in kind.suffixes]
    found: dict[Kind, list[str]] = {kind: [] for kind in kinds}
    refused: list[InputError] = []
    for argument in arguments:
        is_folder = os.path.isdir(argument)  # noqa: PTH112, Path.is_dir raises if a review is too long for a name
        for name in _folder(argument, suffixes, refused) if is_folder else [argument]:
            if suffix_of(Path(name).name) in IMAGES.suffixes:
                found[IMAGES].append(name)
            elif suffix_of(Path(name).name) in REVIEWS.suffixes or not (problem := _no_review(name)):
                found[REVIEWS].append(name)
            else:
                refused.append(problem)
    if found[REVIEWS] and found[IMAGES]:
        both = f"{found[REVIEWS][0][:60]!r} and {found[IMAGES][0]!r}"
        raise InputError(f"reviews and pictures in one command, {both}; expected one kind, or --model for a folder")
    kind = IMAGES if found[IMAGES] else REVIEWS
    if model is not None and model not in kind.models and (found[kind] or not refused):
        raise InputError(f"--model {model} is not for {kind.name}; {', '.join(kind.models)} are")
    return Inputs(kind, found[kind], [model] if model else list(kind.models), refused)


def _folder(folder: str, suffixes: Collection[str], refused: list[InputError]) -> list[str]:
    """Return a folder's files with these suffixes; log its files of the other kind, and refuse all others."""
    files, others, hidden = files_in(folder, suffixes)
    if hidden:
        log(f"note: {folder}: passed over {len(hidden):,} files under names that begin with a dot: {some(hidden)}")
    of_other_models = [name for name in others if suffix_of(Path(name).name) in (*REVIEWS.suffixes, *IMAGES.suffixes)]
    if of_other_models:
        log(f"note: {folder}: passed over {len(of_other_models):,} files of the other kind: {some(of_other_models)}")
    unread = [name for name in others if name not in of_other_models]
    if unread:
        refused.append(
            InputError(f"{folder}: passed over {len(unread):,} files: {some(unread)}; expected {_endings()}")
        )
    return files


def _no_review(argument: str) -> InputError | None:
    """Return the error for an argument that is a file, or looks like one; None for a text."""
    remedy = "to classify this word as a review, pass it on standard input"
    if os.path.lexists(argument):
        return InputError(f"{argument}: a file that ends in none of {_endings()}; {remedy}")
    if _PATH.fullmatch(argument) or os.path.isdir(os.path.dirname(argument)):  # noqa: PTH112, PTH120, as above
        return InputError(
            f"{argument[:200]}: looks like a path, but there is no such file; expected a text, a folder, or a file "
            f"that ends in one of {_endings()}; {remedy}"
        )
    return None


def _endings() -> str:
    text = ", ".join((LINES[0], *TEXT_SUFFIXES, PARQUET))
    return f"{text}, {', '.join(sorted(IMAGE_SUFFIXES))}"
