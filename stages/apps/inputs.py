"""The command line's arguments: reviews or pictures, as they are, in files and in folders."""

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
    models: Collection[str]  # that take it
    suffixes: Collection[str]  # of files that hold it


LINES = (".txt", ".txt.gz")  # files of a review a line; the others are tables of a review a row
REVIEWS = Kind("reviews", (*TEXT_MODELS, ENSEMBLE), (*LINES, *SUFFIXES))
PICTURES = Kind("pictures", tuple(IMAGE_MODELS), tuple(IMAGE_SUFFIXES))
MODELS = [*REVIEWS.models, *PICTURES.models]

# A path: of this folder, the home folder or a drive, an address; or a word with a slash, which is no 8/10, or with a
# file's ending
_PATH = re.compile(
    r"(\.{1,2}[/\\]|~/|[A-Za-z]:[/\\]|[a-z]+://).*|~\S+|(?![\d.,]+(/[\d.,]+)+$)\S*[/\\]\S*"
    r"|\S+\.([a-z][a-z0-9]{1,4}|[A-Z][A-Z0-9]{1,4})",
    re.DOTALL,
)


class Inputs(NamedTuple):
    kind: Kind
    found: list[str]  # texts, and names of files
    names: list[str]  # of the models to ask
    refused: list[InputError]  # what is neither


def sort_inputs(arguments: list[str], model: str | None) -> Inputs:
    """Return the kind of the arguments, the arguments with each folder replaced by its files, and the models to ask.

    An argument that ends as a file of a kind does is that file. Every other is a review, unless it is the name of a
    file or looks like a path. Of a folder the files that `model` takes count, or without a model all.

    Raises InputError for both kinds in one command, and for a model of the other kind.
    """
    kinds = (REVIEWS, PICTURES)
    suffixes = [suffix for kind in kinds if model is None or model in kind.models for suffix in kind.suffixes]
    found: dict[Kind, list[str]] = {kind: [] for kind in kinds}
    refused: list[InputError] = []
    for argument in arguments:
        is_folder = os.path.isdir(argument)  # noqa: PTH112, pathlib's raises where a review is too long for a name
        for name in _folder(argument, suffixes, refused) if is_folder else [argument]:
            if suffix_of(Path(name).name) in PICTURES.suffixes:
                found[PICTURES].append(name)
            elif suffix_of(Path(name).name) in REVIEWS.suffixes or not (problem := _no_review(name)):
                found[REVIEWS].append(name)
            else:
                refused.append(problem)
    if found[REVIEWS] and found[PICTURES]:
        both = f"{found[REVIEWS][0][:60]!r} and {found[PICTURES][0]!r}"
        raise InputError(f"reviews and pictures in one command, {both}; expected one kind, or --model for a folder")
    kind = PICTURES if found[PICTURES] else REVIEWS
    if model is not None and model not in kind.models and (found[kind] or not refused):
        raise InputError(f"--model {model} is not for {kind.name}; {', '.join(kind.models)} are")
    return Inputs(kind, found[kind], [model] if model else list(kind.models), refused)


def _folder(folder: str, suffixes: Collection[str], refused: list[InputError]) -> list[str]:
    """Return the files of a folder; say which others it holds, and refuse those that no model takes."""
    files, others, hidden = files_in(folder, suffixes)
    if hidden:
        log(f"note: {folder}: passed over {len(hidden):,} files under names that begin with a dot: {some(hidden)}")
    of_other_models = [name for name in others if suffix_of(Path(name).name) in (*REVIEWS.suffixes, *PICTURES.suffixes)]
    if of_other_models:
        log(f"note: {folder}: passed over {len(of_other_models):,} files of the other kind: {some(of_other_models)}")
    unread = [name for name in others if name not in of_other_models]
    if unread:
        refused.append(
            InputError(f"{folder}: passed over {len(unread):,} files: {some(unread)}; expected {_endings()}")
        )
    return files


def _no_review(argument: str) -> InputError | None:
    """Return the error for an argument that is, or is meant to be, a file; None for a text."""
    remedy = "to classify this word as a review, pass it on standard input"
    if os.path.lexists(argument):
        return InputError(f"{argument}: a file that ends in none of {_endings()}; {remedy}")
    if _PATH.fullmatch(argument) or os.path.isdir(os.path.dirname(argument)):  # noqa: PTH112, PTH120, as above
        return InputError(
            f"{argument[:200]}: looks like a path, and no such file is there; expected a text, a folder, or a file "
            f"that ends in one of {_endings()}; {remedy}"
        )
    return None


def _endings() -> str:
    text = ", ".join((LINES[0], *TEXT_SUFFIXES, PARQUET))
    return f"{text}, {', '.join(sorted(IMAGE_SUFFIXES))}"
