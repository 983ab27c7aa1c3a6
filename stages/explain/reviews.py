"""Attribution for any text model: exact for the linear one, integrated gradients for the networks."""

from torch import Tensor, nn

from stages.explain.attribution import Attribution
from stages.explain.integrated_gradients import integrated_gradients
from stages.explain.ngrams import ngram_attribution
from stages.inference.config import TextConfig
from stages.inference.device import Hardware
from stages.text.models.linear import LinearModel


def attribute(model: nn.Module, config: TextConfig, ids: Tensor, target: int, hardware: Hardware) -> Attribution:
    """Return what the words of a review, ids (words,), add to the margin of class `target`.

    `model` is on the hardware's device.
    """
    if isinstance(model, LinearModel):
        return ngram_attribution(model, config, ids, target)
    return integrated_gradients(model, config, ids, target, hardware)
