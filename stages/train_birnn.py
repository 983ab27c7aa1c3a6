"""Train the BiRNN: reviews, vectors -> model, config, curves."""

from pathlib import Path
from typing import Any

from stages.config.params import load_params
from stages.text.models.birnn import BiRNN
from stages.text.training import train_text_model
from stages.training.distributed import run


def main(reviews: Path, vectors: Path, out: Path) -> dict[str, Any]:
    params = load_params()
    options = params.train_birnn
    architecture = {
        "cell": options.cell,
        "num_hiddens": options.num_hiddens,
        "num_layers": options.num_layers,
        "freeze_vectors": options.freeze_vectors,
        "pooling": options.pooling,
        "dropout": options.dropout,
        "word_dropout": options.word_dropout,
        "embedding_dropout": options.embedding_dropout,
    }
    return train_text_model(BiRNN, architecture, options, params.dataset, reviews, vectors, out)


if __name__ == "__main__":
    run(main)
