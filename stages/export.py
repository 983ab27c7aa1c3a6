"""Write a trained model as one ONNX file, with all that using it needs: `python -m stages.export textcnn out.onnx`.

It reads artifacts/ alone, and leaves no file whose answers differ from the model's. Pictures are checked on those of
the test half where it is there, else on drawn ones.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from stages.core.cli import reporting
from stages.core.device import prepare
from stages.sample.examples import example_pictures
from stages.text import models as review_models
from stages.text import portable as of_reviews
from stages.vision import models as picture_models
from stages.vision import portable as of_pictures
from stages.vision.files import Picture, as_pictures
from stages.vision.pictures import Pictures, read_pictures

TEST_PICTURES = Path("data/hotdog/test.parquet")


@dataclass(frozen=True)
class Wishes:
    device: str = "cpu"
    precision: str = "fp32"
    threads: int | None = None


def main(model: str, file: Path, artifacts: Path) -> None:
    hardware = prepare(Wishes())
    if model in review_models.MODELS:
        count, difference = of_reviews.export(artifacts, model, file, hardware)
    else:
        count, difference = of_pictures.export(artifacts, model, file, hardware, pictures_to_check())
    size = file.stat().st_size / 1e6
    print(f"{file}: {size:.1f} MB, differs from {model} by at most {difference:.1g} on {count} examples")


def pictures_to_check() -> Pictures:
    if TEST_PICTURES.is_file():
        return read_pictures(TEST_PICTURES)
    return as_pictures([Picture(f"drawn {i}", png) for i, png in enumerate(example_pictures(of_pictures.CHECKED))])


if __name__ == "__main__":
    every = [*review_models.MODELS, *picture_models.MODELS]
    parser = argparse.ArgumentParser(prog="python -m stages.export", description=__doc__)
    parser.add_argument("model", choices=every)
    parser.add_argument("file", type=Path, help="the ONNX file to write")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="the folder that dvc repro fills")
    with reporting():
        main(**vars(parser.parse_args()))
