"""The peer: the sentiment chapters of Dive into Deep Learning (10.7, 10.8), step by step as the book does them.

Loose files on disk, a Counter over lower-cased words, every review padded to 500 words with index 0, padding
read like any other word, one fixed learning rate, and a test pass in batches of 64.
"""

import random
import tarfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name everyone knows
from torch.utils.data import DataLoader, TensorDataset
from torchtext.vocab import Vectors, Vocab

MAX_LEN = 500
BATCH = 64
Review = tuple[str, int]


def unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / "aclImdb"


def read_reviews(folder: Path, split: str) -> list[Review]:
    reviews = []
    for label, name in enumerate(("neg", "pos")):
        for path in (folder / split / name).iterdir():
            reviews.append((path.read_bytes().decode("utf-8").replace("\n", "").lower(), label))
    random.shuffle(reviews)
    return reviews


def words_of(reviews: list[Review]) -> list[list[str]]:
    return [[word.lower() for word in text.split(" ")] for text, _ in reviews]


def build_vocabulary(reviews: list[Review]) -> Vocab:
    return Vocab(Counter(word for words in words_of(reviews) for word in words), min_freq=5)


def tensorize(reviews: list[Review], vocabulary: Vocab) -> TensorDataset:
    rows = [[vocabulary.stoi[word] for word in words][:MAX_LEN] for words in words_of(reviews)]
    features = torch.tensor([row + [0] * (MAX_LEN - len(row)) for row in rows])  # (reviews, 500)
    return TensorDataset(features, torch.tensor([label for _, label in reviews]))


def parse_vectors(path: Path) -> Vectors:
    return Vectors(path.name, cache=str(path.parent))


def match_vectors(words: list[str], vectors: Any) -> Tensor:
    matched = torch.zeros(len(words), vectors.dim)
    for i, word in enumerate(words):
        if word in vectors.stoi:
            matched[i] = vectors.vectors[vectors.stoi[word]]
    return matched


class BiRNN(nn.Module):
    def __init__(self, vectors: Tensor, hiddens: int = 100) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=True)
        self.encoder = nn.LSTM(vectors.shape[1], hiddens, num_layers=2, bidirectional=True)
        self.decoder = nn.Linear(4 * hiddens, 2)

    def forward(self, ids: Tensor) -> Tensor:
        outputs, _ = self.encoder(self.embedding(ids.T))  # (500, batch, 2 * hiddens)
        return self.decoder(torch.cat([outputs[0], outputs[-1]], 1))


class TextCNN(nn.Module):
    def __init__(self, vectors: Tensor, channels: int = 100) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=False)
        self.constant_embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=True)
        self.convs = nn.ModuleList(nn.Conv1d(2 * vectors.shape[1], channels, size) for size in (3, 4, 5))
        self.dropout = nn.Dropout(0.5)
        self.decoder = nn.Linear(3 * channels, 2)

    def forward(self, ids: Tensor) -> Tensor:
        words = torch.cat([self.embedding(ids), self.constant_embedding(ids)], 2).permute(0, 2, 1)
        pooled = [F.max_pool1d(F.relu(y), y.shape[2]).squeeze(-1) for y in (conv(words) for conv in self.convs)]
        return self.decoder(self.dropout(torch.cat(pooled, 1)))


MODELS = {"birnn": (BiRNN, 0.01), "textcnn": (TextCNN, 0.001)}


def train(net: nn.Module, data: TensorDataset, lr: float, batches: int) -> float:
    """Train on the first `batches`; return reviews per second."""
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=lr)
    loss_sum, correct, seen, start = 0.0, 0.0, 0, time.perf_counter()
    for number, (ids, labels) in enumerate(DataLoader(data, BATCH, shuffle=True)):
        if number == batches:
            break
        logits = net(ids)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()
        correct += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)
    return seen / (time.perf_counter() - start)


def test(net: nn.Module, data: TensorDataset, batches: int) -> float:
    """Classify the first `batches`; return reviews per second."""
    correct, seen, start = 0.0, 0, time.perf_counter()
    with torch.no_grad():
        for number, (ids, labels) in enumerate(DataLoader(data, BATCH)):
            if number == batches:
                break
            net.eval()
            correct += (net(ids).argmax(1) == labels).float().sum().item()
            net.train()
            seen += len(labels)
    return seen / (time.perf_counter() - start)
