"""Where a network looks for the class that it answers: Grad-CAM, Selvaraju et al. 2017."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows
from torchvision.models import VisionTransformer

from stages.core.device import Hardware
from stages.vision.classify import batches_of
from stages.vision.networks import Classifier
from stages.vision.pictures import Pictures


def heatmaps(classifier: Classifier, config: dict[str, Any], pictures: Pictures, hardware: Hardware) -> Tensor | None:
    """Return where each picture speaks for the class that it is taken for: fp32 (pictures, size, size), on the CPU.

    0: nothing there speaks for it, 1: the most in this picture. A map lies on what the network sees, the central view.
    None for a vision transformer: it gathers everything in one token, and has no last layer with places.
    """
    if isinstance(classifier.network, VisionTransformer):
        return None
    classifier = classifier.to(hardware.device).to(memory_format=torch.channels_last).eval()
    with hardware.autocast():
        maps = [grad_cam(classifier, *batch.inputs) for batch in batches_of(config, pictures, hardware).epoch(0)]
    return torch.cat(maps).cpu()


def grad_cam(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return maps (batch, size, size) of normalised pictures (batch, 3, size, size), for the classes it answers.

    They come from the last layer whose output (batch, channels, height, width) has more than one place.
    """
    last: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            last[:] = [output]

    hooks = [part.register_forward_hook(keep) for part in network.modules()]
    try:
        with torch.enable_grad():
            logits = network(pictures.requires_grad_()).float()  # gradients, in a frozen network too
            (gradient,) = torch.autograd.grad(logits.amax(1).sum(), last)
    finally:
        for hook in hooks:
            hook.remove()
    heat = F.relu((gradient.mean((2, 3), keepdim=True) * last[0]).float().sum(1, keepdim=True)).detach()
    heat = F.interpolate(heat, pictures.shape[2:], mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)
