import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from stages.core.files import InputError, read_json
from stages.core.tensors import read_tensors
from stages.inference.device import Hardware
from stages.inference.predict import predict, score
from stages.text.batches.review_batches import EVAL_BATCH, ReviewBatches
from stages.text.batches.reviews import Reviews
from stages.text.linear_training import PADDING, count_ngrams, fit_linear, log_count_ratio, train_linear_model
from stages.text.models.linear import LinearModel
from stages.text.models.registry import load_text_model
from stages.training.validation import hold_out
from tests.conftest import LinearSettings
from tests.text.written import review_batches, write_reviews

CLASSES = ["a", "b", "c"]
WORDS = 7


def some_reviews(count: int = 60, classes: int = 2, seed: int = 0) -> Reviews:
    """Short reviews of few words, in which word 2 + label is frequent."""
    numbers = random.Random(seed)
    labels = [numbers.randrange(classes) for _ in range(count)]
    texts = [
        [2 + label if numbers.random() < 0.3 else numbers.randrange(WORDS) for _ in range(numbers.randint(1, 9))]
        for label in labels
    ]
    offsets = torch.tensor([0, *map(len, texts)]).cumsum(0)
    ids = torch.tensor([word for text in texts for word in text], dtype=torch.int32)
    return Reviews(ids, offsets, torch.tensor(labels), CLASSES[:classes], "whitespace", 99, "start")


def ngrams_of(words: list[int], max_size: int) -> set[tuple[int, ...]]:
    sizes = range(1, max_size + 1)
    return {tuple(words[i : i + size]) for size in sizes for i in range(len(words) - size + 1)}


def all_words(model: LinearModel) -> list[tuple[int, ...]]:
    return [tuple(model.words_of(feature)) for feature in range(len(model.weight))]


def logits_of(model: LinearModel, reviews: Reviews, size: int = 8) -> torch.Tensor:
    hardware = Hardware(torch.device("cpu"), "fp32", 1)
    return predict(model, review_batches(reviews, size, hardware.device, seed=None), hardware, "test")[0]


@pytest.mark.parametrize(("max_size", "min_reviews"), [(1, 1), (2, 1), (3, 2), (5, 3)])
def test_the_features_are_the_ngrams_of_enough_reviews(max_size: int, min_reviews: int) -> None:
    reviews = some_reviews()
    found = [ngrams_of(reviews[i].tolist(), max_size) for i in range(len(reviews))]
    counts = Counter(ngram for ngrams in found for ngram in ngrams)
    expected = {ngram for ngram, count in counts.items() if count >= min_reviews}
    words = all_words(fit_linear(reviews, max_size, min_reviews, 1.0))
    assert len(words) == len(set(words))
    assert set(words) == expected
    presence, _ = count_ngrams(reviews, max_size, min_reviews)
    dense = presence.toarray()
    for row, ngrams in enumerate(found):
        assert {words[i] for i in dense[row].nonzero()[0]} == ngrams & expected
    assert set(np.unique(dense)) == {0, 1}


def test_the_last_feature_is_followed_by_none() -> None:
    model = fit_linear(some_reviews(), 2, 1, 1.0)
    with pytest.raises(IndexError):
        model.words_of(len(model.weight))


def test_log_count_ratio_is_the_log_ratio_of_wang_and_manning() -> None:
    reviews = some_reviews()
    presence, _ = count_ngrams(reviews, 2, 1)
    labels = reviews.labels.numpy()
    p, q = (1 + presence.toarray()[labels == label].sum(0) for label in (1, 0))
    expected = np.abs(np.log((p / p.sum()) / (q / q.sum())))
    np.testing.assert_allclose(log_count_ratio(presence, labels, 2), expected, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_model_predicts_what_scikit_learn_does(classes: int) -> None:
    reviews, others = some_reviews(classes=classes), some_reviews(40, classes, seed=1)
    model = fit_linear(reviews, 2, 2, 10.0)
    words = all_words(model)

    def dense(some: Reviews) -> np.ndarray:
        found = [ngrams_of(some[i].tolist(), 2) for i in range(len(some))]
        rows = np.array([[ngram in ngrams for ngram in words] for ngrams in found], float)
        return rows / np.sqrt(rows.sum(1, keepdims=True).clip(min=1))

    scale = log_count_ratio(count_ngrams(reviews, 2, 2).presence, reviews.labels.numpy(), classes)
    fitted = LogisticRegression(C=10.0, max_iter=1000).fit(dense(reviews) * scale, reviews.labels.numpy())
    expected = fitted.predict_proba(dense(others) * scale)
    np.testing.assert_allclose(logits_of(model, others).softmax(1).numpy(), expected, atol=2e-3)
    assert model.weight.shape == (len(words), classes)


def test_company_and_padding_change_nothing() -> None:
    reviews, others = some_reviews(), some_reviews(30, seed=2)
    model = fit_linear(reviews, 3, 1, 1.0)
    alone = [logits_of(model, others.select(torch.tensor([i]))) for i in range(len(others))]
    torch.testing.assert_close(torch.cat(alone), logits_of(model, others, 30))


def test_a_review_of_unknown_ngrams_gets_the_bias() -> None:
    model = fit_linear(some_reviews(), 1, 1, 1.0)
    logits = model(torch.tensor([[99, 98, 97]]), torch.tensor([3]))
    assert torch.equal(logits[0], model.bias)


def test_a_word_that_no_review_has_often_enough_is_refused() -> None:
    with pytest.raises(InputError, match=r"train_linear\.min_reviews: no word occurs in 61 reviews; set it lower"):
        fit_linear(some_reviews(), 2, 61, 1.0)


def test_more_regularisation_makes_smaller_weights() -> None:
    weak, strong = (fit_linear(some_reviews(), 2, 1, c).weight.norm() for c in (10.0, 0.1))
    assert strong < weak / 2


@pytest.mark.parametrize("calibrate", [False, True])
def test_a_part_is_held_out_and_calibrated_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], calibrate: bool
) -> None:
    train = some_reviews()
    write_reviews(tmp_path / "reviews/train.safetensors", train)
    settings = LinearSettings(validation_fraction=0.5, calibrate=calibrate, seed=3, c=1000)
    cost = train_linear_model(settings, "own", tmp_path / "reviews", tmp_path / "linear")
    assert abs(cost["examples"] - len(train) / 2) <= 2  # equal reviews are on one side
    model, config = load_text_model(tmp_path / "linear")
    held_out = train.select(hold_out(train.labels, train.classes, 0.5, 3, train.contents())[1])
    hardware = Hardware(torch.device("cpu"), "fp32", 1)
    batches = ReviewBatches(held_out, EVAL_BATCH, hardware, seed=None, padding=PADDING)
    loss, accuracy = score(*predict(model, batches, hardware, "validation"))
    assert f"validation loss {loss:.4f}, acc {accuracy:.3f}" in capsys.readouterr().out
    calibrated, _ = score(*predict(model, batches, hardware, "validation", config.temperature))
    assert calibrated < loss if calibrate else config.temperature == 1
    assert config.dataset == "own"


def test_calibration_is_refused_where_nothing_is_held_out(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(InputError, match=r"^calibrate: there is no validation split; set validation_fraction above 0"):
        train_linear_model(LinearSettings(calibrate=True), "own", trained / "artifacts/reviews", tmp_path / "linear")


def test_the_same_params_give_the_same_bytes(tmp_path: Path, trained: Path) -> None:
    train_linear_model(LinearSettings(), "full", trained / "artifacts/reviews", tmp_path / "linear")
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "linear" / name).read_bytes() == (trained / "artifacts/linear" / name).read_bytes()


@pytest.mark.parametrize(
    ("broken", "said"), [("weight", "expected"), ("bias", "expected"), ("codes_1", "expected"), ("nothing", "bias")]
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, trained: Path, broken: str, said: str) -> None:
    weights, _ = read_tensors(trained / "artifacts/linear/model.safetensors")
    if broken == "nothing":
        del weights["bias"]
    else:
        weights[broken] = weights[broken][:1]
    with pytest.raises((ValueError, KeyError), match=said):
        LinearModel(weights)


def test_a_file_of_no_linear_model_is_refused(tmp_path: Path, trained: Path) -> None:
    config = read_json(trained / "artifacts/linear/config.json")
    assert config["vectors"] is None
    (tmp_path / "config.json").write_text((trained / "artifacts/linear/config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((trained / "artifacts/birnn/model.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"config\.json and model\.safetensors do not fit each other"):
        load_text_model(tmp_path)
