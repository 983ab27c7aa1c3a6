"""Train the TextCNN: reviews, vectors -> model, config, curves."""

from pathlib import Path
from typing import Any

from stages.config.params import load_params
from stages.text.models.textcnn import TextCNN
from stages.text.training import train_text_model
from stages.training.distributed import run


def main(reviews: Path, vectors: Path, out: Path) -> dict[str, Any]:
    params = load_params()
    options = params.train_textcnn
    architecture = {
        "kernel_sizes": options.kernel_sizes,
        "num_channels": options.num_channels,
        "dropout": options.dropout,
        "freeze_vectors": options.freeze_vectors,
        "pooling": options.pooling,
        "word_dropout": options.word_dropout,
        "embedding_dropout": options.embedding_dropout,
    }
    return train_text_model(TextCNN, architecture, options, params.dataset, reviews, vectors, out)


if __name__ == "__main__":
    run(main)
