"""What the two training stages share: from reviews and vectors to a trained model on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from stages.core.checkpoint import checkpoint
from stages.core.device import prepare
from stages.core.files import write_json
from stages.core.fit import Training, fit
from stages.core.parallel import written_by_first
from stages.core.tensors import read_tensors, write_tensors
from stages.core.validation import train_and_scored
from stages.text.batches import TEST_BATCH, ReviewBatches
from stages.text.ragged import read_reviews


class Settings(Training, Protocol):
    """The keys of params.yaml that both sections hold."""

    @property
    def batch_size(self) -> int: ...
    @property
    def mask_padding(self) -> bool: ...
    @property
    def pad_to(self) -> int | None: ...


def train(
    model_class: Callable[..., nn.Module],
    architecture: dict[str, Any],
    settings: Settings,
    paths: tuple[Path, Path, Path],
    out: Path,
) -> None:
    """Train a model on the train reviews, test reviews and vectors of `paths`; all that comes of it goes to `out`.

    model.safetensors holds the weights, config.json all else that using the model needs. With a validation_fraction
    the test reviews stay unread; the vocabulary is of the whole training half, whose labels it never saw.
    """
    hardware = prepare(settings)
    torch.manual_seed(settings.seed)
    train_reviews, scored_reviews = train_and_scored(
        read_reviews(paths[0]), lambda: read_reviews(paths[1]), settings.validation_fraction, settings.seed
    )
    vectors = read_tensors(paths[2])[0]["vectors"]
    model = model_class(vectors, len(train_reviews.classes), **architecture).to(hardware.device)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], settings.lr, fused=True)
    padding = {"mask_padding": settings.mask_padding, "pad_to": settings.pad_to}
    train_batches = ReviewBatches(train_reviews, settings.batch_size, hardware.device, seed=settings.seed, **padding)
    scored_batches = ReviewBatches(scored_reviews, TEST_BATCH, hardware.device, seed=None, **padding)
    config = {
        "model": out.name,
        "classes": train_reviews.classes,
        "tokenizer": train_reviews.tokenizer,
        "max_len": train_reviews.max_len,
        "vectors": list(vectors.shape),
        "architecture": architecture,
        "padding": padding,
        "trained_on": {
            "device": hardware.device.type,
            "precision": hardware.precision,
            "threads": hardware.threads,
        },
    }
    with (
        checkpoint(out.name, {**config, "params": vars(settings)}, list(paths), hardware) as saved,
        written_by_first(out) as out,
    ):
        fit(model, optimizer, train_batches, scored_batches, settings, hardware, out, saved)
        write_tensors(out / "model.safetensors", model.state_dict())
        write_json(out / "config.json", config)
