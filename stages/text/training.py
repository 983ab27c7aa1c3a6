"""The training of train_birnn and train_textcnn: from reviews and vectors to a trained model on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from stages.core.tensors import read_tensors, write_tensors
from stages.inference.config import Padding, TextConfig
from stages.inference.device import prepare
from stages.text.batches.review_batches import EVAL_BATCH, ReviewBatches
from stages.text.batches.reviews import Reviews, read_reviews
from stages.training.checkpoint import checkpoint
from stages.training.history import write_curves
from stages.training.trainer import Trainer
from stages.training.validation import train_and_scored

if TYPE_CHECKING:
    from stages.config.params import TrainText


def train_text_model(
    make: Callable[..., nn.Module],
    architecture: dict[str, Any],
    params: "TrainText",
    dataset: str,
    reviews: Path,
    vectors: Path,
    out: Path,
) -> dict[str, Any]:
    """Train the model make(vectors, number of classes, **architecture).

    Writes model.safetensors, config.json and curves.csv to `out`. With a validation_fraction, or if the user holds out
    rows for validation, the test split is not read. The vocabulary counts the words of the held-out rows too, but does
    not see their labels.

    Returns the number of training examples and the seconds of each epoch, for the record of costs.
    """
    hardware = prepare(params.device, params.precision, params.threads)
    torch.manual_seed(params.seed)
    train_file, test_file = reviews / "train.safetensors", reviews / "test.safetensors"
    split, fraction = read_reviews(train_file), params.validation_fraction
    train_reviews, scored_reviews = train_and_scored(
        split, lambda: read_reviews(test_file), fraction, params.seed, split.contents(), split.validation
    )
    embedding = read_tensors(vectors)[0]["vectors"]  # (words, dim)
    model = make(embedding, len(train_reviews.classes), **architecture).to(hardware.device)
    optimizer = torch.optim.Adam(_parameter_groups(model, params), params.lr, fused=True)
    padding = Padding(params.mask_padding, params.pad_to)
    train_batches = ReviewBatches(train_reviews, params.batch_size, hardware, seed=params.seed, padding=padding)
    scored_batches = ReviewBatches(scored_reviews, EVAL_BATCH, hardware, seed=None, padding=padding)
    settings = {"params": vars(params), "architecture": architecture}
    with checkpoint(out.name, settings, [train_file, test_file, vectors], hardware) as saved:
        trainer = Trainer(
            model, optimizer, params, hardware, saved, validates=bool(fraction) or split.validation is not None
        )
        trainer.fit(train_batches, scored_batches, lambda history: write_curves(out / "curves.csv", history))
        if hardware.rank == 0:
            write_tensors(out / "model.safetensors", model.state_dict())
            _config(out.name, dataset, train_reviews, list(embedding.shape), architecture, padding, trainer).write(out)
    return {"examples": train_batches.examples, "epochs": trainer.history.seconds}


def _config(
    name: str,
    dataset: str,
    reviews: Reviews,
    vectors: list[int],
    architecture: dict[str, Any],
    padding: Padding,
    trainer: Trainer,
) -> TextConfig:
    return TextConfig(
        model=name,
        classes=reviews.classes,
        dataset=dataset,
        trained_on=trainer.trained_on(),
        temperature=trainer.temperature,
        tokenizer=reviews.tokenizer,
        max_len=reviews.max_len,
        keep=reviews.keep,
        vectors=vectors,
        architecture=architecture,
        padding=padding,
    )


def _parameter_groups(model: nn.Module, params: "TrainText") -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups: the word vectors, if they are trained, and all other weights.

    Adam's step does not shrink with the gradient. The vector of a rare word would move as far as that of a frequent
    one, and the model would memorise the few reviews with the word. A larger epsilon makes steps for small gradients
    smaller.
    """
    vectors = {id(p) for part in model.modules() if isinstance(part, nn.Embedding) for p in part.parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) in vectors], "eps": params.vector_eps},
        {"params": [p for p in trained if id(p) not in vectors]},
    ]
    return [group for group in groups if group["params"]]
