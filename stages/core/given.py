"""What a person asks about: reviews or pictures, as they are, in files and in folders."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from stages.core.files import InputError
from stages.core.folders import files_in


class Kind(NamedTuple):
    """Reviews, or pictures."""

    name: str
    models: Collection[str]  # that answer about them
    suffixes: Collection[str]  # of files that hold them


def sort_out(given: list[str], model: str | None, texts: Kind, others: Kind) -> tuple[Kind, list[str], list[str]]:
    """Return the kind that all of `given` is of, `given` with its folders' files in their place, and who answers.

    What ends in a suffix of `others` is of that kind, all else is of `texts`. Of a folder counts what `model` answers
    about, without a model everything.

    Raises InputError for both kinds in one command, and for a model of the other kind.
    """
    suffixes = [suffix for kind in (texts, others) if model is None or model in kind.models for suffix in kind.suffixes]
    found: dict[Kind, list[str]] = {texts: [], others: []}
    for argument in given:
        is_folder = os.path.isdir(argument)  # noqa: PTH112, pathlib's raises where a review is too long for a name
        for name in files_in(argument, suffixes) if is_folder else [argument]:
            found[others if Path(name).suffix.lower() in others.suffixes else texts].append(name)
    if found[texts] and found[others]:
        both = f"{found[texts][0][:60]!r} and {found[others][0]!r}"
        raise InputError(
            f"{texts.name} and {others.name} in one command, {both}; expected one kind, or --model for a folder"
        )
    kind = others if found[others] else texts
    if model is not None and model not in kind.models:
        raise InputError(f"--model {model} is not for {kind.name}; {', '.join(kind.models)} are")
    return kind, found[kind], [model] if model else list(kind.models)
