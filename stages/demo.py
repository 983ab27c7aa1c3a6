"""Open a page on this machine to try the trained models in; it reads artifacts/ alone.

The examples to click are of the test splits in data/ where these are there, and else made up.
"""

from pathlib import Path

from stages.apps.command import parser
from stages.apps.demo_examples import evenly_spread_images, short_reviews
from stages.apps.image_models import ImageModels
from stages.apps.inputs import PICTURES, REVIEWS
from stages.apps.notes import sample_note
from stages.apps.review_models import ReviewModels
from stages.core.cli import exit_on_error
from stages.core.files import InputError
from stages.evaluation.titles import IMAGE_MODELS
from stages.inference.device import prepare
from stages.sample.examples import EXAMPLE_REVIEWS, example_images
from stages.vision.reading.opening import MAX_BYTES

COUNT = 6  # pictures, and reviews, to click, at most
TEST_REVIEWS, TEST_IMAGES = Path("data/imdb/test.parquet"), Path("data/hotdog/test.parquet")
EXAMPLES = """
  {prog}
  {prog} --port 8000
"""


def show(host: str, port: int, artifacts: Path, device: str) -> None:
    try:
        from stages.apps.demo import THEME, demo
    except ImportError as problem:
        raise InputError(f"{problem}; get it with: uv run --extra demo sentidog demo") from problem
    hardware = prepare(device, "fp32", None)
    reviews = ReviewModels(artifacts, REVIEWS.models, hardware)
    images = ImageModels(artifacts, IMAGE_MODELS, hardware)
    texts = short_reviews(TEST_REVIEWS, COUNT) if TEST_REVIEWS.is_file() else list(EXAMPLE_REVIEWS)
    encoded = evenly_spread_images(TEST_IMAGES, COUNT) if TEST_IMAGES.is_file() else example_images(COUNT)
    notes = {kind.name: sample_note(artifacts, kind.models) for kind in (REVIEWS, PICTURES)}
    page = demo(reviews, images, texts, encoded, notes)
    try:
        page.launch(
            server_name=host, server_port=port, share=False, theme=THEME, max_file_size=MAX_BYTES, footer_links=[],
            quiet=True, show_error=True, prevent_thread_lock=True,
        )  # fmt: skip
    except OSError as problem:
        raise InputError(f"{host}, port {port}: {problem}; another --port may be free") from problem
    print(f"open http://{host}:{port} (Ctrl-C ends it)", flush=True)
    page.block_thread()


def main(argv: list[str] | None = None, prog: str = "python -m stages.demo") -> None:
    command = parser(prog, __doc__, EXAMPLES)
    command.add_argument("--host", default="127.0.0.1", help="the address to listen on; default: this machine alone")
    command.add_argument("--port", type=int, default=7860)
    command.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="the folder that dvc repro fills")
    command.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N; default: auto")
    with exit_on_error():
        show(**vars(command.parse_args(argv)))


if __name__ == "__main__":
    main()
