"""Pictures from outside, and what trained models say about them."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from stages.core.answers import Answers, by_class, in_batches
from stages.core.device import Hardware
from stages.core.files import InputError
from stages.vision.classify import TEST_BATCH, classify
from stages.vision.models import load
from stages.vision.opening import plain
from stages.vision.pictures import SCHEMA, Pictures

_THREADS = 4  # pictures in memory decoded, at most


@dataclass(frozen=True)
class Picture:
    file: str
    encoded: bytes  # as fetch_hotdog would keep it

    @property
    def shown(self) -> str:
        return self.file

    @property
    def source(self) -> dict[str, Any]:
        return {"file": self.file}


def pictures(files: Iterable[str]) -> Iterator[Picture | InputError]:
    """Yield the pictures of these files, TEST_BATCH in memory at a time.

    One that is missing, damaged, enormous or none is yielded as its InputError, and the rest follows.
    """
    with ThreadPoolExecutor(_THREADS) as pool:  # Pillow decodes outside Python's lock
        for some in in_batches(files, TEST_BATCH):
            yield from pool.map(_open, some)


def _open(file: str) -> Picture | InputError:
    try:
        return Picture(file, plain(Path(file), file))
    except InputError as problem:
        return problem


def as_pictures(some: list[Picture]) -> Pictures:
    """Return the pictures as a half of a data set; labels are all 0, and no one's."""
    encoded = pa.chunked_array([pa.array([picture.encoded for picture in some], SCHEMA.field("picture").type)])
    return Pictures([picture.file for picture in some], torch.zeros(len(some), dtype=torch.int64), [], encoded)


class PictureModels:
    """The trained models of these names, from the folder that dvc repro fills."""

    examples = "pictures"
    batch_size = TEST_BATCH

    def __init__(self, artifacts: Path, names: Iterable[str], hardware: Hardware) -> None:
        self.hardware = hardware
        self.models = {name: load(artifacts / name) for name in names}

    def answer(self, some: list[Picture]) -> list[Answers]:
        """Return what the models answer about each picture."""
        opened = as_pictures(some)
        by_model = {
            name: by_class(config, classify(classifier, config, opened, self.hardware)[0].softmax(1))
            for name, (classifier, config) in self.models.items()
        }
        return [Answers(dict(zip(by_model, answers, strict=True))) for answers in zip(*by_model.values(), strict=True)]
