"""Fit the linear model: reviews -> model, config."""

from pathlib import Path
from typing import Any

from stages.config.params import load_params
from stages.core.cli import run
from stages.text.linear_training import train_linear_model


def main(reviews: Path, out: Path) -> dict[str, Any]:
    params = load_params()
    return train_linear_model(params.train_linear, params.dataset, reviews, out)


if __name__ == "__main__":
    run(main)
