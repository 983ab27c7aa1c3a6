"""The peer: the fine-tuning chapter of Dive into Deep Learning (14.2), step by step as the book does it.

A folder of loose pictures, one process that decodes, augments and trains in turn, and a test pass that decodes anew.
"""

import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

BATCH = 128
NORMALISE = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
TRAINING = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
TESTING = [transforms.Resize(256), transforms.CenterCrop(224)]


def batches(folder: Path, split: str) -> DataLoader:
    augmentation = transforms.Compose(
        [*(TRAINING if split == "train" else TESTING), transforms.ToTensor(), NORMALISE],
    )
    return DataLoader(ImageFolder(str(folder / split), augmentation), BATCH, shuffle=split == "train")


def fine_tuned(weights: Path) -> tuple[nn.Module, torch.optim.Optimizer]:
    state = torch.load(weights, weights_only=True)
    net = models.resnet18(num_classes=len(state["fc.bias"]))
    net.load_state_dict(state)
    net.fc = nn.Linear(512, 2)
    features = [p for name, p in net.named_parameters() if not name.startswith("fc.")]
    groups = [{"params": features}, {"params": net.fc.parameters(), "lr": 0.1}]
    return net, torch.optim.SGD(groups, lr=0.01, weight_decay=0.001)


def train(net: nn.Module, optimizer: torch.optim.Optimizer, data: DataLoader, limit: int) -> float:
    """Train on the first `limit` batches; return pictures per second."""
    loss_sum, correct, seen, start = 0.0, 0.0, 0, time.perf_counter()
    for number, (images, labels) in enumerate(data):
        if number == limit:
            break
        logits = net(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()
        correct += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)
    return seen / (time.perf_counter() - start)


def test(net: nn.Module, data: DataLoader, limit: int) -> float:
    """Classify the first `limit` batches; return pictures per second."""
    correct, seen, start = 0.0, 0, time.perf_counter()
    with torch.no_grad():
        for number, (images, labels) in enumerate(data):
            if number == limit:
                break
            net.eval()
            correct += (net(images).argmax(1) == labels).float().sum().item()
            net.train()
            seen += len(labels)
    return seen / (time.perf_counter() - start)
