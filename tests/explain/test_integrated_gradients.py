import pytest
import torch
from torch import nn

from stages.explain.integrated_gradients import Attribution, integrated_gradients
from stages.inference.config import Padding, TextConfig, TrainedOn
from stages.inference.device import Hardware
from stages.text.models.birnn import BiRNN
from stages.text.models.textcnn import TextCNN
from stages.text.special import PAD_INDEX, UNK_INDEX

WORDS, DIM = 30, 5
REVIEWS = [[7], [7, 8], [9, 3, 9, 3, 9, 3, 4], list(range(2, 30)) * 4]
MODELS = ["lstm", "gru", "rnn", "textcnn"]


@pytest.fixture
def hardware() -> Hardware:
    return Hardware(torch.device("cuda" if torch.cuda.is_available() else "cpu"), "fp32", 1)


def make(name: str, hardware: Hardware, classes: int = 2) -> nn.Module:
    torch.manual_seed(0)
    vectors = torch.randn(WORDS, DIM)
    vectors[[UNK_INDEX, PAD_INDEX]] = 0
    if name != "textcnn":
        return BiRNN(vectors, classes, name, 4, 2, freeze_vectors=True).to(hardware.device)
    model = TextCNN(vectors, classes, [1, 3, 5], 6, 0.5, freeze_vectors=False).to(hardware.device)
    with torch.no_grad():
        model.embedding.weight += 0.5 * torch.randn(WORDS, DIM).to(hardware.device)  # no longer the constant one
        model.embedding.weight[PAD_INDEX] = 0
    return model


def explain(
    model: nn.Module,
    words: list[int],
    hardware: Hardware,
    target: int = 1,
    mask_padding: bool = True,
    pad_to: int | None = None,
) -> Attribution:
    trained_on = TrainedOn("cpu", "fp32", 1, None)
    padding = Padding(mask_padding, pad_to)
    config = TextConfig(
        "birnn", ["a", "b"], "own", trained_on, 1.0, "whitespace", 500, "start", [WORDS, DIM], {}, padding
    )
    return integrated_gradients(model, config, torch.tensor(words, dtype=torch.int32), target, hardware)


def margin(model: nn.Module, words: list[int], hardware: Hardware, target: int = 1) -> float:
    """By the model itself."""
    with torch.no_grad():
        ids = torch.tensor([words], device=hardware.device)
        logits = model.eval()(ids, torch.tensor([len(words)], device=hardware.device))[0].tolist()
    others = [logit for number, logit in enumerate(logits) if number != target]
    return logits[target] - sum(others) / len(others)


@pytest.mark.parametrize("words", REVIEWS)
@pytest.mark.parametrize("name", MODELS)
def test_attributions_sum_to_what_lies_between_the_review_and_its_baseline(
    name: str, words: list[int], hardware: Hardware
) -> None:
    model = make(name, hardware)
    found = explain(model, words, hardware)
    assert found.words.shape == (len(words),)
    assert found.margin == pytest.approx(margin(model, words, hardware), abs=1e-5)
    with torch.no_grad():
        model.decoder.weight *= 1000
    large = explain(model, words, hardware)
    assert large.words.abs().sum() > 1
    # TextCNN's gradient jumps where a channel's maximum passes 0: a sum over points only comes near the integral
    close = 0.1 if name == "textcnn" else 1e-3
    for some in (found, large):
        expected = pytest.approx(some.margin - some.baseline, abs=close * float(some.words.abs().sum()))
        assert float(some.words.sum()) == expected


@pytest.mark.parametrize("name", MODELS)
def test_the_baseline_is_a_review_of_words_without_a_vector(name: str, hardware: Hardware) -> None:
    model = make(name, hardware)
    found = explain(model, [7, 8, 9], hardware)
    with torch.no_grad():
        model.embedding.weight[UNK_INDEX] = 0
    assert found.baseline == pytest.approx(margin(model, [UNK_INDEX] * 3, hardware), abs=1e-5)


class Sum(nn.Module):
    """Logits that are a sum over the words, so that each word's attribution is known."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(torch.arange(-2.0, 58.0).view(WORDS, 2), padding_idx=PAD_INDEX)
        self.share = nn.Embedding.from_pretrained(torch.arange(30.0)[:, None])

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.embedding(ids).sum(1) * torch.tensor([1, 3], device=ids.device) + self.share(ids).sum(1) * 0


def test_in_a_sum_each_words_attribution_is_its_addend(hardware: Hardware) -> None:
    # Row i is (2 i - 2, 2 i - 1); the margin of class 1 is 3 (2 i - 1) - (2 i - 2) = 4 i - 1
    found = explain(Sum().to(hardware.device), [5, 2, 5], hardware)
    torch.testing.assert_close(found.words, torch.tensor([19.0, 7.0, 19.0]))
    assert (found.margin, found.baseline) == (45, 0)
    other = explain(Sum().to(hardware.device), [5, 2, 5], hardware, target=0)
    torch.testing.assert_close(other.words, -found.words)


@pytest.mark.parametrize("name", MODELS)
def test_a_class_of_three_is_held_against_the_mean_of_the_others(name: str, hardware: Hardware) -> None:
    model = make(name, hardware, classes=3)
    every = [explain(model, [7, 8, 9, 10, 11], hardware, target) for target in range(3)]
    for target, found in enumerate(every):
        assert found.margin == pytest.approx(margin(model, [7, 8, 9, 10, 11], hardware, target), abs=1e-5)
    torch.testing.assert_close(sum(found.words for found in every), torch.zeros(5), atol=1e-5, rtol=0)


def test_only_words_of_windows_that_won_have_an_attribution_on_textcnn(hardware: Hardware) -> None:
    model = make("textcnn", hardware)
    words = [int(word) for word in torch.randint(2, WORDS, (60,), generator=torch.Generator().manual_seed(3))]
    won = set()
    vectors = torch.cat([model.embedding.weight, model.constant_embedding.weight], 1)[torch.tensor(words)]
    for conv in model.convs:
        size = conv.kernel_size[0]
        for start in nn.functional.conv1d(vectors.T[None], conv.weight)[0].argmax(1).tolist():
            won |= set(range(start, start + size))
    found = explain(model, words, hardware).words
    lost = sorted(set(range(60)) - won)
    assert len(lost) > 5
    assert not found[lost].any()
    assert found[sorted(won)].any()


def test_a_word_without_a_vector_has_no_attribution(hardware: Hardware) -> None:
    found = explain(make("lstm", hardware), [7, UNK_INDEX, 8], hardware)
    assert found.words[1] == 0
    assert found.words[[0, 2]].all()


@pytest.mark.parametrize("name", MODELS)
def test_padding_that_is_read_belongs_to_both_ends(name: str, hardware: Hardware) -> None:
    model = make(name, hardware)
    found = explain(model, [7, 8, 9], hardware, mask_padding=False, pad_to=9)
    assert found.words.shape == (3,)
    assert found.margin == pytest.approx(margin(model, [7, 8, 9] + [UNK_INDEX] * 6, hardware), abs=1e-5)
    assert float(found.words.sum()) == pytest.approx(found.margin - found.baseline, abs=0.02)
    assert found.margin != pytest.approx(explain(model, [7, 8, 9], hardware).margin, abs=1e-3)


@pytest.mark.parametrize("mask_padding", [True, False])
def test_words_beyond_pad_to_are_not_read(mask_padding: bool, hardware: Hardware) -> None:
    model = make("lstm", hardware)
    cut = explain(model, [7, 8, 9, 10, 11], hardware, mask_padding=mask_padding, pad_to=3)
    short = explain(model, [7, 8, 9], hardware)
    torch.testing.assert_close(cut.words, short.words)
    assert cut.margin == pytest.approx(short.margin)


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_left_as_it_was(name: str, hardware: Hardware) -> None:
    model = make(name, hardware)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    explain(model, [7, 8, 9], hardware)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_long_review_in_several_passes_is_the_same(hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("lstm", hardware)
    whole = explain(model, [7, 8, 9, 10], hardware)
    monkeypatch.setattr("stages.explain.integrated_gradients.WORDS_PER_PASS", 12)
    torch.testing.assert_close(explain(model, [7, 8, 9, 10], hardware).words, whole.words)
    monkeypatch.setattr("stages.explain.integrated_gradients.WORDS_PER_PASS", 1)
    torch.testing.assert_close(explain(model, [7, 8, 9, 10], hardware).words, whole.words)
