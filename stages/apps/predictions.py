"""Predictions for the user's examples, printed as lines of text or as JSON."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from stages.core.files import InputError
from stages.core.progress import hidden

T = TypeVar("T")


class Example(Protocol):
    """A review or an image."""

    @property
    def summary(self) -> str:
        """A short line of text."""
        ...

    @property
    def source(self) -> dict[str, Any]:
        """The keys that identify it in JSON."""
        ...


class Prediction(NamedTuple):
    """What each model predicts for one example."""

    models: dict[str, dict[str, float]]  # model -> class -> probability
    warning: str | None = None  # why they are not reliable


class Models(Protocol):
    """Trained models of one kind of example."""

    examples: str  # "reviews" | "pictures"
    batch_size: int

    def predict(self, examples: list[Any], /) -> list[Prediction]:
        """Return a prediction for each of some examples, at least one."""
        ...


def by_class(classes: Sequence[str], probabilities: Tensor) -> list[dict[str, float]]:
    """Return each example's probabilities by class, from probabilities (examples, classes)."""
    return [dict(zip(classes, row, strict=True)) for row in probabilities.tolist()]


def top_class(probabilities: Mapping[str, float]) -> str:
    return max(probabilities, key=probabilities.__getitem__)


def as_line(example: Example, prediction: Prediction) -> str:
    """Return `model: class (probability)` for each model, and the example's summary, separated by tabs."""
    found = {model: (" ".join(top_class(row).split()), max(row.values())) for model, row in prediction.models.items()}
    return "\t".join([*(f"{model}: {name} ({value:.3f})" for model, (name, value) in found.items()), example.summary])


def as_json(example: Example, prediction: Prediction) -> str:
    """Return a JSON object on one line: the example's source, and each model's class and probabilities."""
    models = {
        model: {"class": top_class(row), "probabilities": {name: round(value, 6) for name, value in row.items()}}
        for model, row in prediction.models.items()
    }
    warning = {"warning": prediction.warning} if prediction.warning else {}
    return json.dumps({**example.source, "models": models, **warning}, ensure_ascii=False)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` items; the last one may be shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


@hidden()  # no progress bar for each batch
def print_predictions(
    examples: Iterable[Example | InputError], models: Models, form: Callable[[Example, Prediction], str]
) -> bool:
    """Print one line per example as soon as its batch is done; return whether all examples could be read.

    Standard error gets the errors, the warnings, and after more than one batch the speed.
    """
    start, done, refused = time.perf_counter(), 0, 0
    for batch in batched(examples, models.batch_size):
        readable = [example for example in batch if not isinstance(example, InputError)]
        for problem in (example for example in batch if isinstance(example, InputError)):
            print(f"error: {problem}", file=sys.stderr)
        for example, prediction in zip(readable, models.predict(readable) if readable else [], strict=True):
            if prediction.warning:
                print(f"warning: {prediction.warning}", file=sys.stderr)
            print(form(example, prediction))
        sys.stdout.flush()
        done, refused = done + len(readable), refused + len(batch) - len(readable)
    seconds = time.perf_counter() - start
    if done + refused > models.batch_size:
        print(f"{done:,} {models.examples} in {seconds:.1f} s, {done / seconds:,.0f} a second", file=sys.stderr)
    return not refused
