"""Export a trained text model as one ONNX file."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.apps.onnx import Case, write_onnx
from stages.inference.config import Padding, TextConfig
from stages.inference.device import Hardware
from stages.text.batches.review_batches import ReviewBatches
from stages.text.batches.reviews import Reviews, read_reviews
from stages.text.models.registry import load_text_model
from stages.text.models.textcnn import TextCNN
from stages.text.reading.breaks import REPLACEMENTS
from stages.text.special import PAD_INDEX, UNK_INDEX
from stages.text.words.vocabulary import read_vocabulary

CHECKED = 256  # of the test reviews, evenly spread
BATCH = 32  # reviews

PREPROCESSING = (
    "Apply each (regular expression, replacement) of tokenizer.replace_first to the text, lower-case it, apply those "
    "of tokenizer.replace, and split it on tokenizer.split (null: on white space). If it has more than max_len words, "
    "keep the first max_len; where keep is start_and_end, keep the first max_len // 4 and the last max_len - max_len "
    "// 4. A word's id is its place in vocabulary, or 0 if it is not there. A text without words is one 0. Input ids, "
    "int64 (batch, steps): one review per row, padded with any id. Input lengths, int64 (batch,): the number of words "
    "of each review. Output probabilities, float (batch, classes)."
)


def export_text_model(artifacts: Path, name: str, path: Path, hardware: Hardware) -> tuple[int, float]:
    """Write the model as ONNX and check it on some test reviews; returns and raises as write_onnx does."""
    model, config = load_text_model(artifacts / name)
    about = {
        "model": config.model,
        "dataset": config.dataset,
        "preprocessing": PREPROCESSING,
        "classes": config.classes,
        "tokenizer": tokenizer_rules(config.tokenizer),
        "max_len": config.max_len,
        "keep": config.keep,
        "vocabulary": read_vocabulary(artifacts / "vocab.parquet").words,
    }
    inputs = {"ids": torch.tensor([[2, 3, 2, 3], [3, 2, 1, 1]]), "lengths": torch.tensor([4, 2])}
    free = {"ids": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}}
    cases = expected(model, config, read_reviews(artifacts / "reviews/test.safetensors"), hardware)
    return write_onnx(path, OnnxTextModel(model, config.padding, config.temperature), inputs, free, about, cases)


def tokenizer_rules(tokenizer: str) -> dict[str, Any]:
    """Return one_line and a tokenizer of text.words.tokens as regular expressions, for users without this code."""
    breaks = [list(pair) for pair in REPLACEMENTS]  # they do what one_line does
    if tokenizer == "whitespace":
        return {"name": tokenizer, "replace_first": breaks, "replace": [], "split": " "}
    if tokenizer == "characters":
        return {"name": tokenizer, "replace_first": breaks, "replace": [[r"\s+", ""], ["(.)", r"\1 "]], "split": None}
    from torchtext.data.utils import _patterns, _replacements

    replace = [list(pair) for pair in zip(_patterns, _replacements, strict=True)]
    return {"name": tokenizer, "replace_first": breaks, "replace": replace, "split": None}


@torch.no_grad()
def expected(model: nn.Module, config: TextConfig, reviews: Reviews, hardware: Hardware) -> Iterator[Case]:
    """Yield the model's predictions for CHECKED of the reviews, padded as in training."""
    some = reviews.select(torch.arange(0, len(reviews), -(-len(reviews) // CHECKED)))
    model.to(hardware.device).eval()
    padded = ReviewBatches(some, BATCH, hardware, seed=None, padding=config.padding)
    plain = ReviewBatches(some, BATCH, hardware, seed=None, padding=Padding(mask_padding=True, pad_to=None))
    for batch, same in zip(padded.epoch(0), plain.epoch(0), strict=True):
        ids, lengths = (tensor.cpu() for tensor in same.inputs)
        inputs = {"ids": ids[:, : int(lengths.max())].numpy(), "lengths": lengths.numpy()}
        yield Case(inputs, model(*batch.inputs).float().div(config.temperature).softmax(1).cpu())


class OnnxTextModel(nn.Module):
    """A model that also does its padding, and the softmax with its temperature.

    Ids after a review's words are ignored.
    """

    def __init__(self, model: nn.Module, padding: Padding, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.network = DenseTextCNN(model) if isinstance(model, TextCNN) else with_onnx_cells(model)
        self.pad_to = padding.pad_to
        self.mask_padding = padding.mask_padding

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (batch, steps) and lengths (batch,) to probabilities (batch, classes)."""
        if self.pad_to:
            ids = F.pad(ids, (0, self.pad_to))[:, : self.pad_to]
            lengths = lengths.clamp(max=self.pad_to)
        is_word = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]  # (batch, steps)
        ids = torch.where(is_word, ids, PAD_INDEX if self.mask_padding else UNK_INDEX)
        if not self.mask_padding:
            lengths = torch.zeros_like(lengths) + ids.shape[1]
        return self.network(ids, lengths).div(self.temperature).softmax(1)


class DenseTextCNN(nn.Module):
    """A TextCNN that computes its convolutions over all windows, which ONNX can express."""

    def __init__(self, model: TextCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (batch, steps) and lengths (batch,) to logits (batch, classes)."""
        return self.model.dense(ids, lengths)


def with_onnx_cells(model: nn.Module) -> nn.Module:
    """Return a copy with each nn.RNN replaced by ONNX's operator. torch.onnx would unroll it for one fixed length."""
    model = copy.deepcopy(model)
    for part in list(model.modules()):
        for name, child in part.named_children():
            if type(child) is nn.RNN:
                setattr(part, name, OnnxRNN(child))
    return model


class OnnxRNN(nn.Module):
    """An nn.RNN of one layer and one direction as ONNX's operator RNN. It can be exported, but torch cannot run it."""

    def __init__(self, layer: nn.RNN) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, steps: Tensor) -> tuple[Tensor]:
        """Map steps (steps, batch, features) to states (steps, batch, hiddens)."""
        weight, recurrent, *biases = cast("list[Tensor]", self.layer.all_weights[0])
        inputs = [steps, weight[None], recurrent[None], torch.cat(biases)[None]]  # [None]: the one direction
        size = self.layer.hidden_size
        shape = (steps.shape[0], 1, steps.shape[1], size)
        states = torch.onnx.ops.symbolic("RNN", inputs, {"hidden_size": size}, dtype=steps.dtype, shape=shape)
        return (states[:, 0],)
