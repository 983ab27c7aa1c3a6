"""The bidirectional recurrent network of Dive into Deep Learning, chapter 10.7."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows

from stages.text.models.layers import drop_features, drop_words, mean_and_max
from stages.text.models.side_by_side import run_side_by_side
from stages.text.special import PAD_INDEX

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class BiRNN(nn.Module):
    """Recurrent layers in both directions, whose encoding of a review goes into a linear layer.

    Each direction is a recurrent network of its own. The backward one reads each review reversed within its own length.
    So padding comes last in both directions, affects no state that is used, and the fused kernels can be used.
    """

    def __init__(
        self,
        vectors: Tensor,
        classes: int,
        cell: str,
        num_hiddens: int,
        num_layers: int,
        freeze_vectors: bool,
        pooling: Literal["ends", "mean_max"] = "ends",
        word_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        """`vectors`: (words, dim), copied. `dropout`: between layers and before the output.

        `pooling`: "ends", the encoding is the states at the first and the last word; "mean_max", the mean and the
        maximum of the states over time.
        """
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=freeze_vectors, padding_idx=PAD_INDEX)
        sizes = [vectors.shape[1]] + [2 * num_hiddens] * (num_layers - 1)
        self.forwards = nn.ModuleList(CELLS[cell](size, num_hiddens) for size in sizes)
        self.backwards = nn.ModuleList(CELLS[cell](size, num_hiddens) for size in sizes)
        self.decoder = nn.Linear(4 * num_hiddens, classes)
        self.pooling = pooling
        self.word_dropout, self.embedding_dropout, self.dropout = word_dropout, embedding_dropout, dropout

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (batch, steps) and lengths (batch,) to logits (batch, classes)."""
        batch, steps = ids.shape
        review = torch.arange(batch, device=ids.device)
        step = torch.arange(steps, device=ids.device)[:, None]
        mirror = torch.where(step < lengths, lengths - 1 - step, step)  # (steps, batch)
        places = (mirror * batch + review).flatten()  # (steps * batch,), a permutation that is its own inverse
        words = drop_words(ids.T, self.word_dropout if self.training else 0)  # (steps, batch)
        vectors = drop_features(self.embedding(words), self.embedding_dropout if self.training else 0, 0)
        layers = [self.forwards[0], self.backwards[0]]
        ahead, behind = run_side_by_side(layers, [vectors, _pick(vectors, places)])  # (steps, batch, hiddens), mirrored
        for onward, back in zip(self.forwards[1:], self.backwards[1:], strict=True):
            states = torch.cat([ahead, _pick(behind, places)], 2)  # (steps, batch, 2 * hiddens)
            states = self._drop(states)
            ahead, behind = run_side_by_side([onward, back], [states, _pick(states, places)])
        if self.pooling == "mean_max":  # `behind` needs no reversal: the order of the steps makes no difference
            encoding = torch.cat([mean_and_max(ahead, lengths), mean_and_max(behind, lengths)], 1)
        else:
            last = lengths - 1
            encoding = torch.cat([ahead[0], behind[last, review], ahead[last, review], behind[0]], 1)
        return self.decoder(self._drop(encoding))

    def _drop(self, states: Tensor) -> Tensor:
        return F.dropout(states, self.dropout) if self.training and self.dropout else states


def _pick(states: Tensor, places: Tensor) -> Tensor:
    """Permute states (steps, batch, features); `places` are indices into their flattened steps and batch."""
    return states.flatten(0, 1).index_select(0, places).view_as(states)
