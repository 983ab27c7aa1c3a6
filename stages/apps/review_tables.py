"""Predict reviews in Parquet files, one row group at a time, by the engine of params.yaml."""

from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from stages.apps.predictions import Prediction
from stages.apps.review_lines import Review
from stages.apps.review_models import ReviewModels
from stages.core.files import InputError, read_row_groups
from stages.engine.row_groups import each_row_group
from stages.inference.device import prepare
from stages.sources.records import PARQUET, check_columns
from stages.text.batches.review_batches import EVAL_BATCH

if TYPE_CHECKING:
    from stages.config.params import Engine


_STRINGS = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
    pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view,
)  # fmt: skip


class PredictedReview(NamedTuple):
    review: Review
    prediction: Prediction

    @property
    def summary(self) -> str:
        return self.review.summary

    @property
    def source(self) -> dict[str, Any]:
        return self.review.source


class WorkersModels:
    """Takes the place of ReviewModels for reviews that the engine's workers have predicted already."""

    examples = "reviews"
    batch_size = EVAL_BATCH

    def predict(self, examples: list[PredictedReview]) -> list[Prediction]:
        return [example.prediction for example in examples]


def are_tables(arguments: list[str]) -> bool:
    """Return whether these are Parquet files; raises InputError if some are and some are not."""
    tables = [name for name in arguments if name.lower().endswith(PARQUET)]
    if tables and tables != arguments:
        raise InputError(f"{tables[0]} and other reviews in one command; expected Parquet files alone, or none")
    return bool(tables)


def predict_tables(
    files: list[str], column: str, artifacts: Path, names: list[str], device: str, engine: "Engine"
) -> Iterator[PredictedReview | InputError]:
    """Yield the reviews of Parquet files, in order, with the predictions of the models called `names`.

    `column` is the column of the texts. What cannot be read is yielded as an InputError.
    """
    models = {
        "column": column,
        "artifacts": artifacts.resolve(),
        "names": tuple(names),
        "device": device,
        "run": uuid4().hex,
    }
    for file in files:
        rows = count(1)
        try:
            _check_column(Path(file), column)
            # Predicting a row group takes longer than starting workers
            for part in each_row_group(Path(file), partial(predict_row_group, **models), engine, inline_limit=1):
                for (text, prediction), row in zip(part, rows):  # noqa: B905, rows have no end
                    found = PredictedReview(Review(text, file, row), prediction) if prediction else None
                    yield found or InputError(f"{file}, row {row} is empty; expected a review")
        except InputError as problem:
            yield problem


def _check_column(file: Path, column: str) -> None:
    """Raise InputError unless the column exists and holds strings of any type."""
    try:
        schema = pq.read_schema(file)
    except (OSError, pa.ArrowException) as problem:
        raise InputError(f"{file}: {problem if file.exists() else 'no such file'}") from problem
    check_columns(file, {column: "--column"}, schema.names)
    kind = found = schema.field(column).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not any(is_kind(kind) for is_kind in _STRINGS):
        raise InputError(f"{file}: its column {column} holds {found}; expected strings")


def predict_row_group(
    path: Path, group: int, *, column: str, artifacts: Path, names: tuple[str, ...], device: str, run: str
) -> list[tuple[str, Prediction | None]]:
    """Return the texts of a row group and their predictions, None for an empty text.

    `run` is different for each command. A cluster's worker keeps its models in memory, and they may have changed.
    """
    (table,) = read_row_groups(path, [column], [group])
    try:
        texts = [text or "" for text in table[column].cast(pa.string()).to_pylist()]
    except pa.ArrowInvalid as problem:  # of binary, which some programs write without saying that it is text
        raise InputError(
            f"{path}: its column {column} is not UTF-8 in row group {group + 1}; write it as strings"
        ) from problem
    reviews = [Review(text) for text in texts if text.strip()]
    predictions = iter(_models(artifacts, names, device, run).predict(reviews) if reviews else [])
    return [(text, next(predictions) if text.strip() else None) for text in texts]


@lru_cache(maxsize=1)
def _models(artifacts: Path, names: tuple[str, ...], device: str, run: str) -> ReviewModels:
    return ReviewModels(artifacts, names, prepare(device, "fp32", threads=1))  # one core per worker
