"""Train the linear model: presence of n-grams, scaled by their log-count ratios, logistic regression."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from stages.core.files import InputError
from stages.core.tensors import write_tensors
from stages.inference.config import Padding, TextConfig, TrainedOn
from stages.inference.device import prepare
from stages.inference.predict import predict, score
from stages.text.batches.review_batches import EVAL_BATCH, ReviewBatches
from stages.text.batches.reviews import Reviews, read_reviews
from stages.text.models.linear import SHIFT, LinearModel
from stages.training.calibration import fit_temperature
from stages.training.validation import check_validation, hold_out

if TYPE_CHECKING:
    from stages.config.params import TrainLinear

PADDING = Padding(mask_padding=True, pad_to=None)
SMOOTHING = 1.0  # added to each count before the logarithm
MAX_ITERATIONS = 1000  # of the solver


def train_linear_model(params: "TrainLinear", dataset: str, reviews: Path, out: Path) -> dict[str, Any]:
    """Fit the linear model to the training split in `reviews`; write model.safetensors and config.json to `out`.

    Returns the number of training examples and the seconds, for the record of costs.
    """
    start = time.perf_counter()
    hardware = prepare("cpu", "fp32", threads=1)
    train, temperature = read_reviews(reviews / "train.safetensors"), 1.0
    fraction, contents = params.validation_fraction, train.contents()
    rows, held_out = hold_out(train.labels, train.classes, fraction, params.seed, contents, train.validation)
    check_validation(params, len(held_out) > 0)
    model = fit_linear(train.select(rows), params.ngrams, params.min_reviews, params.c)
    print(f"{len(model.weight):,} n-grams of {len(rows):,} reviews")
    if len(held_out):
        batches = ReviewBatches(train.select(held_out), EVAL_BATCH, hardware, seed=None, padding=PADDING)
        logits, labels = predict(model, batches, hardware, "validation")
        loss, accuracy = score(logits, labels)
        print(f"validation loss {loss:.4f}, acc {accuracy:.3f}")
        if params.calibrate:
            temperature = fit_temperature(logits, labels)
    config = TextConfig(
        model=out.name,
        classes=train.classes,
        dataset=dataset,
        trained_on=TrainedOn("cpu", "fp32", threads=1, kept_epoch=None),
        temperature=temperature,
        tokenizer=train.tokenizer,
        max_len=train.max_len,
        keep=train.keep,
        vectors=None,
        architecture={},
        padding=PADDING,
    )
    write_tensors(out / "model.safetensors", model.state_dict())
    config.write(out)
    return {"examples": len(rows), "epochs": [{"train": time.perf_counter() - start}]}


class Counts(NamedTuple):
    presence: sparse.csr_array  # fp32 (reviews, features): 1 where the review has the n-gram
    codes: list[np.ndarray]  # by size of the n-grams, int64 (features of this size,), sorted: see LinearModel


def count_ngrams(reviews: Reviews, max_size: int, min_reviews: int) -> Counts:
    """Return the n-grams of up to `max_size` words that occur in at least `min_reviews` reviews.

    They are counted by increasing size. An n-gram is only counted if its first n - 1 words were kept, because it occurs
    in no more reviews than they do (the Apriori principle).
    """
    ids, lengths = reviews.ids.numpy().astype(np.int64), reviews.offsets.diff().numpy()
    row = np.repeat(np.arange(len(reviews)), lengths)  # (tokens,)
    left = np.repeat(reviews.offsets[1:].numpy(), lengths) - np.arange(len(ids))  # words from here to the review's end
    prefix, offset = np.zeros(len(ids), np.int64), 0  # prefix: the feature of the n - 1 words from here, -1 if none
    parts, codes = [], []
    for size in range(1, max_size + 1):
        starts = np.flatnonzero((prefix >= 0) & (left >= size))
        wanted, inverse = np.unique((prefix[starts] << SHIFT) + ids[starts + size - 1], return_inverse=True)
        ones = np.ones(len(starts), np.float32)
        presence = sparse.coo_array((ones, (row[starts], inverse)), shape=(len(reviews), len(wanted))).tocsr()
        presence.data[:] = 1  # tocsr has summed repetitions
        kept = np.bincount(presence.indices, minlength=len(wanted)) >= min_reviews
        parts.append(presence[:, kept])
        codes.append(wanted[kept])
        feature = np.where(kept, offset + np.cumsum(kept) - 1, -1)
        prefix = np.full(len(ids), -1)
        prefix[starts] = feature[inverse]
        offset += int(kept.sum())
    return Counts(sparse.csr_array(sparse.hstack(parts, "csr")), codes)


def log_count_ratio(presence: sparse.csr_array, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the largest absolute log-count ratio of each feature over the classes, fp32 (features,).

    The ratio of a class is log((p / |p|) / (q / |q|)). p and q are the smoothed counts of reviews that have the feature
    in the class and in the others (Wang and Manning 2012). The sign makes no difference to a regularised regression.
    With two classes, both have the same absolute value.
    """
    counts = presence.T @ np.eye(classes, dtype=np.float32)[labels]  # (features, classes)
    inside, outside = counts + SMOOTHING, counts.sum(1, keepdims=True) - counts + SMOOTHING
    return abs(np.log(inside / inside.sum(0)) - np.log(outside / outside.sum(0))).max(1)


def fit_linear(reviews: Reviews, max_size: int, min_reviews: int, c: float) -> LinearModel:
    """Fit logistic regression on the presence of n-grams; `c` is the inverse strength of L2 regularisation.

    A review's presences are scaled to unit length, so that the logits of long reviews are not larger. Then each n-gram
    is scaled by its log-count ratio. Raises InputError if no n-gram occurs in `min_reviews` reviews.
    """
    labels, classes = reviews.labels.numpy(), len(reviews.classes)
    presence, codes = count_ngrams(reviews, max_size, min_reviews)
    if not sum(map(len, codes)):
        raise InputError(f"train_linear.min_reviews: no word occurs in {min_reviews:,} reviews; set it lower")
    scale = log_count_ratio(presence, labels, classes)
    count = np.diff(presence.indptr)
    scaled = presence.copy()
    scaled.data = scale[presence.indices] / np.sqrt(np.repeat(count, count)).astype(np.float32)
    fitted = LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(scaled, labels)
    weight = (fitted.coef_ * scale).T.astype(np.float32)  # (features, classes), or (features, 1) of two classes
    bias = fitted.intercept_.astype(np.float32)
    if classes == 2:  # scikit-learn has one column then: the log odds of the second class
        weight, bias = np.hstack([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    tensors: dict[str, Tensor] = {f"codes_{size}": torch.from_numpy(found) for size, found in enumerate(codes, 1)}
    return LinearModel(tensors | {"weight": torch.from_numpy(weight).contiguous(), "bias": torch.from_numpy(bias)})
