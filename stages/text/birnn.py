"""The bidirectional recurrent network of Dive into Deep Learning, chapter 10.7."""

import torch
from torch import Tensor, nn

from stages.text.tokens import PAD_INDEX

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class BiRNN(nn.Module):
    """Layers that read a review both ways; the states at its first and last word go into a linear layer.

    A direction is a recurrent network of its own: the backward one reads each review reversed by its own length, so
    that padding comes last both ways, reaches no state that is used, and the fused kernels apply.
    """

    def __init__(
        self,
        vectors: Tensor,
        classes: int,
        cell: str,
        num_hiddens: int,
        num_layers: int,
        freeze_vectors: bool,
    ) -> None:
        """`vectors`: (words, dim), copied."""
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=freeze_vectors, padding_idx=PAD_INDEX)
        sizes = [vectors.shape[1]] + [2 * num_hiddens] * (num_layers - 1)
        self.forwards = nn.ModuleList(CELLS[cell](size, num_hiddens) for size in sizes)
        self.backwards = nn.ModuleList(CELLS[cell](size, num_hiddens) for size in sizes)
        self.decoder = nn.Linear(4 * num_hiddens, classes)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (batch, steps) and lengths (batch,) to logits (batch, classes)."""
        batch, steps = ids.shape
        review = torch.arange(batch, device=ids.device)
        step = torch.arange(steps, device=ids.device)[:, None]
        mirror = torch.where(step < lengths, lengths - 1 - step, step)  # (steps, batch)
        places = (mirror * batch + review).flatten()  # (steps * batch,): its own inverse
        words = ids.T  # (steps, batch)
        ahead = self.forwards[0](self.embedding(words))[0]  # (steps, batch, hiddens)
        behind = self.backwards[0](self.embedding(words.flatten()[places].view_as(words)))[0]  # the same, mirrored
        for onward, back in zip(self.forwards[1:], self.backwards[1:], strict=True):
            states = torch.cat([ahead, _pick(behind, places)], 2)  # (steps, batch, 2 * hiddens)
            ahead, behind = onward(states)[0], back(_pick(states, places))[0]
        last = lengths - 1
        return self.decoder(torch.cat([ahead[0], behind[last, review], ahead[last, review], behind[0]], 1))


def _pick(states: Tensor, places: Tensor) -> Tensor:
    """Reorder states (steps, batch, features) by flat (step, review) `places`."""
    return states.flatten(0, 1).index_select(0, places).view_as(states)
