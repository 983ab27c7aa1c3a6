import re
from pathlib import Path

import pytest
import torch
from torch import nn

from stages.apps.onnx import Case, write_onnx
from stages.apps.onnx_reviews import DenseTextCNN, OnnxTextModel, tokenizer_rules
from stages.inference.config import Padding
from stages.inference.device import Hardware
from stages.text.batches.review_batches import ReviewBatches
from stages.text.batches.reviews import Reviews
from stages.text.models.birnn import BiRNN
from stages.text.models.textcnn import TextCNN
from stages.text.reading.breaks import one_line
from stages.text.words.tokens import tokenizer

INPUTS = {"ids": torch.tensor([[2, 3, 2, 3], [3, 2, 1, 1]]), "lengths": torch.tensor([4, 2])}
FREE = {"ids": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}}
LENGTHS = ([1], [33, 1, 7, 5, 5], [1, 1, 1, 1], [2, 3], [40])  # of reviews, batch by batch
MASKED = Padding(mask_padding=True, pad_to=None)
CPU = Hardware(torch.device("cpu"), "fp32", 1)


def vectors() -> torch.Tensor:
    return torch.randn(50, 6, generator=torch.Generator().manual_seed(0))


def birnn(cell: str) -> nn.Module:
    torch.manual_seed(1)
    return BiRNN(vectors(), 2, cell, num_hiddens=8, num_layers=2, freeze_vectors=True).eval()


def textcnn() -> TextCNN:
    torch.manual_seed(1)
    model = TextCNN(vectors(), 3, [2, 5], num_channels=7, dropout=0.5, freeze_vectors=False).eval()
    nn.init.normal_(model.embedding.weight)  # as training leaves it: unlike the constant one
    return model


@torch.no_grad()
def case(model: nn.Module, padding: Padding, lengths: list[int]) -> Case:
    """What the model predicts with the padding that it was trained with; and its inputs, filled up with any word."""
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    words = torch.randint(2, 50, (sum(lengths),), dtype=torch.int32)
    labels = torch.zeros(len(lengths), dtype=torch.int64)
    reviews = Reviews(words, offsets, labels, ["a", "b"], "whitespace", 500, "start")
    (batch,) = ReviewBatches(reviews, len(lengths), CPU, seed=None, padding=padding).epoch(0)
    ids = torch.full((len(lengths), max(lengths)), 17)
    for place, row in enumerate(batch.rows):
        ids[place, : lengths[row]] = reviews[int(row)]
    inputs = {"ids": ids.numpy(), "lengths": torch.tensor(lengths)[batch.rows].numpy()}
    return Case(inputs, model(*batch.inputs).softmax(1))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_birnn_predicts_the_same_for_any_number_and_length_of_reviews(cell: str, tmp_path: Path) -> None:
    model = birnn(cell)
    cases = [case(model, MASKED, lengths) for lengths in LENGTHS]
    count, worst = write_onnx(tmp_path / "a", OnnxTextModel(model, MASKED), INPUTS, FREE, {}, cases)
    assert count == sum(map(len, LENGTHS))
    assert worst < 1e-5


@pytest.mark.parametrize("mask_padding", [True, False])
@pytest.mark.parametrize("pad_to", [None, 6])  # longer than some reviews, shorter than others
def test_a_textcnn_predicts_the_same_with_every_padding(mask_padding: bool, pad_to: int | None, tmp_path: Path) -> None:
    model, padding = textcnn(), Padding(mask_padding, pad_to)
    cases = [case(model, padding, lengths) for lengths in LENGTHS]
    count, worst = write_onnx(tmp_path / "a", OnnxTextModel(model, padding), INPUTS, FREE, {}, cases)
    assert count == sum(map(len, LENGTHS))
    assert worst < 1e-5


def test_a_birnn_that_reads_its_padding_predicts_the_same(tmp_path: Path) -> None:
    model, padding = birnn("lstm"), Padding(mask_padding=False, pad_to=6)
    cases = [case(model, padding, lengths) for lengths in LENGTHS]
    assert write_onnx(tmp_path / "a", OnnxTextModel(model, padding), INPUTS, FREE, {}, cases)[1] < 1e-5


@torch.no_grad()
def test_the_dense_textcnn_is_the_fast_one() -> None:
    model = textcnn()
    for steps in (1, 2, 4, 5, 30):
        ids, lengths = torch.randint(0, 50, (6, steps)), torch.randint(1, steps + 1, (6,))
        torch.testing.assert_close(DenseTextCNN(model)(ids, lengths), model(ids, lengths), rtol=1e-5, atol=1e-5)


BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("name", ["whitespace", "basic_english", "characters"])
def test_a_tokenizer_spelled_out_gives_the_same_words(name: str) -> None:
    texts = ['It\'s GREAT;  a <BR />"film"\n(2, 3!)', "", " one.two:three ?\t\u00c4 ", "A\nB\r\nC", "很好看。\u3000İ"]
    about = tokenizer_rules(name)
    texts += [f"boring{end}{end}bad{end}" for end in BREAKS] + ["\n", " \n a \r\n b", "\ufeffx\u00a0y"]
    for text, words in zip(texts, tokenizer(name)([*map(one_line, texts)]).to_pylist(), strict=True):
        for pattern, replacement in about["replace_first"]:
            text = re.sub(pattern, replacement, text)
        text = text.lower()
        for pattern, replacement in about["replace"]:
            text = re.sub(pattern, replacement, text)
        assert text.split(about["split"]) == words
