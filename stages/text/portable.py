"""A trained model of reviews as one ONNX file."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.core.device import Hardware
from stages.core.portable import Case, write_onnx
from stages.text.batches import ReviewBatches
from stages.text.models import load
from stages.text.ragged import Reviews, read_reviews
from stages.text.textcnn import TextCNN
from stages.text.tokens import PAD_INDEX, UNK_INDEX
from stages.text.vocabulary import read_vocabulary

CHECKED = 256  # of the test reviews, evenly spread
BATCH = 32  # reviews

PREPROCESSING = (
    "Replace in the text by each of tokenizer.replace_first (regular expression, replacement), lower-case it, replace "
    "by each of tokenizer.replace, split it on tokenizer.split (null: on white space), and keep the first max_len "
    "words. A word's id is its place in vocabulary, 0 if it is not there; a text of no words is a single 0. "
    "Input ids, int64 (batch, steps): a review a row, filled up with any id. Input lengths, int64 (batch,): how many "
    "words each has. Output probabilities, float (batch, classes)."
)


def export(artifacts: Path, name: str, path: Path, hardware: Hardware) -> tuple[int, float]:
    """Write the model as ONNX; return on how many of the test reviews it was checked, and the largest difference.

    Raises InputError where write_onnx does.
    """
    model, config = load(artifacts / name)
    about = {
        "model": config["model"],
        "preprocessing": PREPROCESSING,
        "classes": config["classes"],
        "tokenizer": spelled_out(config["tokenizer"]),
        "max_len": config["max_len"],
        "vocabulary": read_vocabulary(artifacts / "vocab.parquet").words,
    }
    inputs = {"ids": torch.tensor([[2, 3, 2, 3], [3, 2, 1, 1]]), "lengths": torch.tensor([4, 2])}
    free = {"ids": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}}
    cases = answered(model, config, read_reviews(artifacts / "reviews/test.safetensors"), hardware)
    return write_onnx(path, PortableReviews(model, config["padding"]), inputs, free, about, cases)


def spelled_out(tokenizer: str) -> dict[str, Any]:
    """Return a tokenizer of stages.text.tokens as regular expressions, for those who have not its code."""
    if tokenizer == "whitespace":
        return {"name": tokenizer, "replace_first": [["\n", ""]], "replace": [], "split": " "}
    if tokenizer == "characters":
        return {"name": tokenizer, "replace_first": [], "replace": [[r"\s+", ""], ["(.)", r"\1 "]], "split": None}
    from torchtext.data.utils import _patterns, _replacements

    replace = [list(pair) for pair in zip(_patterns, _replacements, strict=True)]
    return {"name": tokenizer, "replace_first": [], "replace": replace, "split": None}


@torch.no_grad()
def answered(model: nn.Module, config: dict[str, Any], reviews: Reviews, hardware: Hardware) -> Iterator[Case]:
    """Yield what the model answers about some of the reviews, in batches as it was trained with."""
    rows = range(0, len(reviews), -(-len(reviews) // CHECKED))
    ids = [reviews[row] for row in rows]
    offsets = torch.tensor([0, *map(len, ids)]).cumsum(0)
    labels = reviews.labels[:: rows.step]
    some = Reviews(torch.cat(ids), offsets, labels, reviews.classes, reviews.tokenizer, reviews.max_len)
    model.to(hardware.device).eval()
    own = ReviewBatches(some, BATCH, hardware.device, seed=None, **config["padding"])
    plain = ReviewBatches(some, BATCH, torch.device("cpu"), seed=None)
    for batch, same in zip(own.epoch(0), plain.epoch(0), strict=True):
        ids, lengths = same.inputs
        inputs = {"ids": ids[:, : int(lengths.max())].numpy(), "lengths": lengths.numpy()}
        yield Case(inputs, model(*batch.inputs).float().softmax(1).cpu())


class PortableReviews(nn.Module):
    """A model with its padding inside: it takes a review's words and their number, whatever follows them."""

    def __init__(self, model: nn.Module, padding: dict[str, Any]) -> None:
        """`padding`: the config's, see ReviewBatches."""
        super().__init__()
        self.network = PlainTextCNN(model) if isinstance(model, TextCNN) else with_onnx_cells(model)
        self.pad_to = padding["pad_to"]
        self.mask_padding = padding["mask_padding"]

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (batch, steps) and lengths (batch,) to probabilities (batch, classes)."""
        if self.pad_to:
            ids = F.pad(ids, (0, self.pad_to))[:, : self.pad_to]
            lengths = lengths.clamp(max=self.pad_to)
        real = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]  # (batch, steps)
        ids = torch.where(real, ids, PAD_INDEX if self.mask_padding else UNK_INDEX)
        if not self.mask_padding:
            lengths = torch.zeros_like(lengths) + ids.shape[1]
        return self.network(ids, lengths).softmax(1)


class PlainTextCNN(nn.Module):
    """A TextCNN as the textbook writes it, with convolutions: the same answers, without what makes training fast."""

    def __init__(self, model: TextCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (batch, steps) and lengths (batch,) to logits (batch, classes)."""
        ids = F.pad(ids, (0, self.model.widest - 1), value=PAD_INDEX)  # a window for the shortest review
        words = torch.cat([self.model.embedding(ids), self.model.constant_embedding(ids)], 2).mT
        encoding = []
        for conv in self.model.convs:
            scores = conv(words)  # (batch, channels, windows)
            last = (lengths - cast(nn.Conv1d, conv).kernel_size[0]).clamp(min=0)  # window inside the review
            outside = torch.arange(scores.shape[2], device=ids.device) > last[:, None]
            encoding.append(scores.masked_fill(outside[:, None], -torch.inf).amax(2))
        return self.model.decoder(F.relu(torch.cat(encoding, 1)))


def with_onnx_cells(model: nn.Module) -> nn.Module:
    """Return a copy whose plain recurrent layers are ONNX's own; torch.onnx would unroll them, for one length alone."""
    model = copy.deepcopy(model)
    for part in list(model.modules()):
        for name, child in part.named_children():
            if type(child) is nn.RNN:
                setattr(part, name, OnnxRNN(child))
    return model


class OnnxRNN(nn.Module):
    """An nn.RNN of one layer and one direction as ONNX's operator RNN: to be translated, torch cannot run it."""

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
