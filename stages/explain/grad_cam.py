"""Grad-CAM (Selvaraju et al. 2017): heat maps of the parts of an image that speak for the predicted class."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows
from torchvision.models import VisionTransformer

from stages.inference.config import ImageConfig
from stages.inference.device import Hardware
from stages.vision.batches.image_batches import eval_batches
from stages.vision.batches.images import Images
from stages.vision.networks import Classifier


def heat_maps(classifier: Classifier, config: ImageConfig, images: Images, hardware: Hardware) -> Tensor | None:
    """Return a heat map of each image for its predicted class: fp32 (images, size, size), on the CPU.

    0: nothing there speaks for the class, 1: the maximum of this image. A map covers the central view, which the
    network sees. None for a vision transformer: it classifies by one token, which has no position.
    """
    if isinstance(classifier.network, VisionTransformer):
        return None
    classifier = classifier.to(hardware.device).to(memory_format=torch.channels_last).eval()
    with hardware.autocast():
        maps = [
            grad_cam(classifier.network, *batch.inputs) for batch in eval_batches(images, config, hardware).epoch(0)
        ]
    return torch.cat(maps).cpu()


def grad_cam(network: nn.Module, images: Tensor) -> Tensor:
    """Return heat maps (batch, size, size) of normalised images (batch, 3, size, size), for the predicted classes.

    They are computed at the last layer whose output (batch, channels, height, width) has more than one position.
    """
    last: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            last[:] = [output]

    hooks = [module.register_forward_hook(keep) for module in network.modules()]
    try:
        with torch.enable_grad():
            logits = network(images.requires_grad_()).float()  # requires_grad, for networks with frozen weights
            (gradient,) = torch.autograd.grad(logits.amax(1).sum(), last)
    finally:
        for hook in hooks:
            hook.remove()
    heat = F.relu((gradient.mean((2, 3), keepdim=True) * last[0]).float().sum(1, keepdim=True)).detach()
    heat = F.interpolate(heat, images.shape[2:], mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)
