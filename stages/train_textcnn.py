"""Train TextCNN: reviews, vectors -> model, config, metrics, curves, timing."""

from pathlib import Path

from stages.core.parallel import run
from stages.core.params import load_params
from stages.text.textcnn import TextCNN
from stages.text.train import train


def main(train_reviews: Path, test_reviews: Path, vectors: Path, out: Path) -> None:
    params = load_params().train_textcnn
    architecture = {
        "kernel_sizes": params.kernel_sizes,
        "num_channels": params.num_channels,
        "dropout": params.dropout,
        "freeze_vectors": params.freeze_vectors,
    }
    train(TextCNN, architecture, params, (train_reviews, test_reviews, vectors), out)


if __name__ == "__main__":
    run(main)
