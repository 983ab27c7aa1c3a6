"""Reviews in Parquet files, answered a row group at a time by the engine that params.yaml names."""

from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pyarrow as pa

from stages.core.answers import Answers, Inference
from stages.core.device import prepare
from stages.core.engine import Engine, each_row_group
from stages.core.files import InputError, read_row_groups
from stages.text.batches import TEST_BATCH
from stages.text.classify import ReviewModels
from stages.text.lines import Review

SUFFIX = ".parquet"  # of a table with a column text, a review a row


class Answered(NamedTuple):
    review: Review
    answers: Answers

    @property
    def shown(self) -> str:
        return self.review.shown

    @property
    def source(self) -> dict[str, Any]:
        return self.review.source


class Workers:
    """What has answered already."""

    examples = "reviews"
    batch_size = TEST_BATCH

    def answer(self, some: list[Answered]) -> list[Answers]:
        return [one.answers for one in some]


def are_tables(given: list[str]) -> bool:
    """Whether these reviews are in tables; raises InputError if some are and some are not."""
    tables = [name for name in given if name.lower().endswith(SUFFIX)]
    if tables and tables != given:
        raise InputError(f"{tables[0]} and other reviews in one command; expected tables alone, or none")
    return bool(tables)


def answered(
    files: list[str], artifacts: Path, names: list[str], device: str, engine: Engine
) -> Iterator[Answered | InputError]:
    """Yield the reviews of Parquet files with what the models of these names answer, in the rows' order.

    What cannot be read is yielded as its InputError, and the rest follows.
    """
    models = {"artifacts": artifacts.resolve(), "names": tuple(names), "device": device, "asked": uuid4().hex}
    for file in files:
        rows = count(1)
        try:
            # A row group is work enough to wait for workers
            for part in each_row_group(Path(file), partial(answer_row_group, **models), engine, few=1):
                for (text, answers), row in zip(part, rows):  # noqa: B905, rows have no end
                    whole = Answered(Review(text, file, row), answers) if answers else None
                    yield whole or InputError(f"{file}, row {row} is empty; expected a review")
        except InputError as problem:
            yield problem


def answer_row_group(
    path: Path, group: int, *, artifacts: Path, names: tuple[str, ...], device: str, asked: str
) -> list[tuple[str, Answers | None]]:
    """Return the texts of a row group and what the models answer, None for an empty one.

    `asked` differs from run to run: a cluster's worker outlives them, and the models may be others by then.
    """
    (table,) = read_row_groups(path, ["text"], [group])
    if not pa.types.is_string(table["text"].type) and not pa.types.is_large_string(table["text"].type):
        raise InputError(f"{path}: its column text holds {table['text'].type}; expected strings")
    texts = [text or "" for text in table["text"].to_pylist()]
    some = [Review(text) for text in texts if text.strip()]
    found = iter(_models(artifacts, names, device, asked).answer(some) if some else [])
    return [(text, next(found) if text.strip() else None) for text in texts]


@lru_cache(maxsize=1)
def _models(artifacts: Path, names: tuple[str, ...], device: str, asked: str) -> ReviewModels:
    return ReviewModels(artifacts, names, prepare(Inference(device, threads=1)))  # a worker has a core
