"""Train the BiRNN: reviews, vectors -> model, config, metrics, curves, timing."""

from pathlib import Path

from stages.core.parallel import run
from stages.core.params import load_params
from stages.text.birnn import BiRNN
from stages.text.train import train


def main(train_reviews: Path, test_reviews: Path, vectors: Path, out: Path) -> None:
    params = load_params().train_birnn
    architecture = {
        "cell": params.cell,
        "num_hiddens": params.num_hiddens,
        "num_layers": params.num_layers,
        "freeze_vectors": params.freeze_vectors,
    }
    train(BiRNN, architecture, params, (train_reviews, test_reviews, vectors), out)


if __name__ == "__main__":
    run(main)
