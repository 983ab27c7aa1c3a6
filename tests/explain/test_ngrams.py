import pytest
import torch

from stages.explain.attribution import margins
from stages.explain.ngrams import SHOWN, ngram_attribution, top_ngrams
from stages.explain.reviews import attribute
from stages.inference.config import TextConfig, TrainedOn
from stages.inference.device import Hardware
from stages.text.linear_training import PADDING, fit_linear
from tests.text.test_linear import CLASSES, all_words, some_reviews

IDS = torch.tensor([2, 3, 2, 3, 5, 99, 2], dtype=torch.int32)


def config(temperature: float = 1.0) -> TextConfig:
    trained_on = TrainedOn("cpu", "fp32", 1, None)
    return TextConfig("linear", CLASSES, "own", trained_on, temperature, "whitespace", 9, "start", None, {}, PADDING)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("target", [0, 1])
def test_the_attributions_sum_to_the_margin(classes: int, temperature: float, target: int) -> None:
    model = fit_linear(some_reviews(classes=classes), 3, 1, 10.0)
    found = ngram_attribution(model, config(temperature), IDS, target)
    logits = model(IDS[None].long(), torch.tensor([len(IDS)])) / temperature
    assert found.margin == pytest.approx(float(margins(logits[0], target)), abs=1e-5)
    assert found.baseline == pytest.approx(float(margins(model.bias, target)) / temperature, abs=1e-6)
    assert float(found.words.sum()) == pytest.approx(found.margin - found.baseline, abs=1e-5)
    assert found.words[5] == 0  # an unknown word


def test_an_ngrams_weight_is_divided_among_its_places_and_words() -> None:
    model = fit_linear(some_reviews(), 2, 1, 10.0)
    features = {words: feature for feature, words in enumerate(all_words(model))}
    ngrams = [(2,), (3,), (5,), (2, 3), (3, 2), (3, 5)]
    added = {ngram: float(margins(model.weight[features[ngram]], 1)) / len(ngrams) ** 0.5 for ngram in ngrams}
    found = ngram_attribution(model, config(), IDS, 1).words
    first = added[(2,)] / 3 + added[(2, 3)] / 2 / 2
    assert float(found[0]) == pytest.approx(first, abs=1e-6)
    assert float(found[6]) == pytest.approx(added[(2,)] / 3, abs=1e-6)
    assert float(found[4]) == pytest.approx(added[(5,)] + added[(3, 5)] / 2, abs=1e-6)


def test_the_strongest_ngrams_come_first_at_their_first_place() -> None:
    model = fit_linear(some_reviews(), 3, 1, 10.0)
    found = ngram_attribution(model, config(), IDS, 1).ngrams
    assert 3 < len(found) <= SHOWN
    sizes = [abs(ngram.added) for ngram in found]
    assert sizes == sorted(sizes, reverse=True)
    words = {tuple(IDS[ngram.start : ngram.start + ngram.size].tolist()): ngram.start for ngram in found}
    assert len(words) == len(found)
    for ngram, start in words.items():
        places = [i for i in range(len(IDS)) if tuple(IDS[i : i + len(ngram)].tolist()) == ngram]
        assert start == places[0]


@pytest.mark.parametrize("target", [0, 1, 2])
def test_the_top_ngrams_of_a_class(target: int) -> None:
    model = fit_linear(some_reviews(classes=3), 2, 1, 10.0)
    found = top_ngrams(model, target, 4)
    weights = margins(model.weight, target)
    assert [weight for _, weight in found] == weights.sort(descending=True).values[:4].tolist()
    assert tuple(found[0][0]) == all_words(model)[int(weights.argmax())]
    assert any(2 + target in words for words, _ in found)  # the word that is frequent in this class


def test_the_linear_model_is_explained_exactly() -> None:
    model = fit_linear(some_reviews(), 2, 1, 10.0)
    found = attribute(model, config(), IDS, 1, Hardware(torch.device("cpu"), "fp32", 1))
    assert found.ngrams
    assert torch.equal(found.words, ngram_attribution(model, config(), IDS, 1).words)
