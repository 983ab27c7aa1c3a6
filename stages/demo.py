"""Open a page on this machine to try the trained models in; it reads artifacts/ alone.

Only the examples to click are of data/'s test halves, where these are there, and else made up.
"""

import argparse
from pathlib import Path

from stages.core.answers import Inference
from stages.core.cli import reporting
from stages.core.device import prepare
from stages.core.files import InputError
from stages.page.clickable import short_reviews, some_pictures
from stages.sample.examples import EXAMPLE_REVIEWS, example_pictures
from stages.text import models as review_models
from stages.text.classify import ReviewModels
from stages.vision import models as picture_models
from stages.vision.files import PictureModels
from stages.vision.opening import MAX_BYTES

EXAMPLES = 6  # pictures, and reviews, to click, at most
TEST_REVIEWS, TEST_PICTURES = Path("data/imdb/test.parquet"), Path("data/hotdog/test.parquet")


def main(host: str, port: int, artifacts: Path, device: str) -> None:
    try:
        from stages.page.demo import THEME, demo
    except ImportError as problem:
        raise InputError(f"{problem}; get it with: uv run --extra demo python -m stages.demo") from problem
    hardware = prepare(Inference(device))
    reviews = ReviewModels(artifacts, review_models.MODELS, hardware)
    pictures = PictureModels(artifacts, picture_models.MODELS, hardware)
    texts = short_reviews(TEST_REVIEWS, EXAMPLES) if TEST_REVIEWS.is_file() else list(EXAMPLE_REVIEWS)
    some = some_pictures(TEST_PICTURES, EXAMPLES) if TEST_PICTURES.is_file() else example_pictures(EXAMPLES)
    page = demo(reviews, pictures, texts, some)
    try:
        page.launch(
            server_name=host, server_port=port, share=False, theme=THEME, max_file_size=MAX_BYTES, footer_links=[],
            quiet=True, show_error=True, prevent_thread_lock=True,
        )  # fmt: skip
    except OSError as problem:
        raise InputError(f"{host}, port {port}: {problem}; another --port may be free") from problem
    print(f"open http://{host}:{port} (Ctrl-C ends it)", flush=True)
    page.block_thread()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.demo", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; default: this machine alone")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="the folder that dvc repro fills")
    parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N; default: auto")
    with reporting():
        main(**vars(parser.parse_args()))
