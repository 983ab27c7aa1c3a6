"""Open a local web page to try the trained models; only artifacts/ is needed.

The examples to click are from the test splits in data/. Without data/ they are made up.
"""

from pathlib import Path

from stages.apps.command import parser
from stages.apps.demo_examples import evenly_spread_images, short_reviews
from stages.apps.image_models import ImageModels
from stages.apps.inputs import IMAGES, REVIEWS
from stages.apps.notes import sample_note
from stages.apps.review_models import ReviewModels
from stages.core.cli import exit_on_error
from stages.core.files import InputError
from stages.evaluation.titles import IMAGE_MODELS
from stages.inference.device import prepare
from stages.vision.reading.opening import MAX_BYTES

COUNT = 6  # reviews to click, at most, and images
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
    notes = {kind.name: sample_note(artifacts, kind.models) for kind in (REVIEWS, IMAGES)}
    page = demo(reviews, images, short_reviews(TEST_REVIEWS, COUNT), evenly_spread_images(TEST_IMAGES, COUNT), notes)
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
    command.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N; default: auto")
    with exit_on_error():
        show(**vars(command.parse_args(argv)))


if __name__ == "__main__":
    main()
