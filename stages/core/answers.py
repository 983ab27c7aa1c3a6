"""What trained models answer about examples from outside: a line for people, a JSON object for programs."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from stages.core.files import InputError
from stages.core.progress import hidden

T = TypeVar("T")


class Example(Protocol):
    """A review or a picture."""

    @property
    def shown(self) -> str:
        """What a person knows it by, in one line."""
        ...

    @property
    def source(self) -> dict[str, Any]:
        """What a program knows it by."""
        ...


class Answers(NamedTuple):
    """What each model answers about one example."""

    models: dict[str, dict[str, float]]  # model -> class -> probability
    warning: str | None = None  # why they mean little


class Inference(NamedTuple):
    """What trained models compute with when they are asked."""

    device: str
    precision: str = "fp32"
    threads: int | None = None


class Models(Protocol):
    """Trained models of one kind of example."""

    examples: str  # "reviews" | "pictures"
    batch_size: int

    def answer(self, some: list[Any], /) -> list[Answers]:
        """Return the answers about some examples, at least one."""
        ...


def by_class(config: Mapping[str, Any], probabilities: Tensor) -> list[dict[str, float]]:
    """Return what a model answers, from probabilities (examples, classes)."""
    return [dict(zip(config["classes"], row, strict=True)) for row in probabilities.tolist()]


def best(answer: Mapping[str, float]) -> str:
    """Return the class with the highest probability."""
    return max(answer, key=answer.__getitem__)


def as_line(example: Example, answers: Answers) -> str:
    """Return `model: class (probability)` of each model and the example, with tabs between."""
    classes = {model: " ".join(best(answer).split()) for model, answer in answers.models.items()}  # no line break in it
    said = [f"{model}: {classes[model]} ({max(answer.values()):.3f})" for model, answer in answers.models.items()]
    return "\t".join([*said, example.shown])


def as_json(example: Example, answers: Answers) -> str:
    """Return a JSON object in one line: the example's source, and of each model the class and all probabilities."""
    models = {
        model: {"class": best(answer), "probabilities": {name: round(share, 6) for name, share in answer.items()}}
        for model, answer in answers.models.items()
    }
    warning = {"warning": answers.warning} if answers.warning else {}
    return json.dumps({**example.source, "models": models, **warning}, ensure_ascii=False)


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `size` items at a time, and what is left."""
    items = iter(items)
    while some := list(islice(items, size)):
        yield some


@hidden()  # a bar a batch would say nothing
def tell(examples: Iterable[Example | InputError], models: Models, form: Callable[[Example, Answers], str]) -> bool:
    """Print a line an example as soon as its batch is answered; return whether all could be.

    Standard error gets one that could not as its InputError, warnings, and if there was more than a batch, the speed.
    """
    start, told, refused = time.perf_counter(), 0, 0
    for some in in_batches(examples, models.batch_size):
        whole = [example for example in some if not isinstance(example, InputError)]
        for problem in (example for example in some if isinstance(example, InputError)):
            print(f"error: {problem}", file=sys.stderr)
        for example, answers in zip(whole, models.answer(whole) if whole else [], strict=True):
            if answers.warning:
                print(f"warning: {answers.warning}", file=sys.stderr)
            print(form(example, answers))
        sys.stdout.flush()
        told, refused = told + len(whole), refused + len(some) - len(whole)
    seconds = time.perf_counter() - start
    if told + refused > models.batch_size:
        print(f"{told:,} {models.examples} in {seconds:.1f} s, {told / seconds:,.0f} a second", file=sys.stderr)
    return not refused
