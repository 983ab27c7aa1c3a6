"""The demo as people use it: its own process, a real browser, tiny models."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import torch
from playwright.sync_api import Browser, Page, expect, sync_playwright

from stages.apps.image_models import ImageFile, ImageModels
from stages.apps.predictions import top_class
from stages.apps.review_lines import Review
from stages.apps.review_models import ReviewModels
from stages.demo import main
from stages.evaluation.titles import ENSEMBLE, IMAGE_MODELS, TEXT_MODELS
from stages.inference.device import Hardware
from stages.vision.batches.images import read_images
from stages.vision.reading.opening import MAX_BYTES
from tests.vision.tiny import Folder

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE = 120  # seconds: Gradio alone takes ten to import on a busy machine
WORD = ".score-token"
REVIEW, IMAGE = ("Linear", "BiRNN", "TextCNN", "Ensemble"), ("ResNet, fine-tuned", "ResNet, from scratch")
EXPLAINED = 3  # models whose words are shaded


class Demo(NamedTuple):
    address: str
    port: int
    artifacts: Path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "stages.demo", "--device", "cpu", *arguments]


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


@pytest.fixture(scope="module")
def artifacts(trained: Path, trained_images: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "artifacts"
    shutil.copytree(trained / "artifacts", folder)
    for name in ("finetune", "scratch"):
        shutil.copytree(trained_images.path / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def demo(artifacts: Path) -> Iterator[Demo]:
    pytest.importorskip("gradio", reason="the extra demo is not installed")
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # Where nothing but artifacts/ is
    with subprocess.Popen(command("--port", str(port)), cwd=artifacts.parent, env=environment) as server:
        address, end = f"http://127.0.0.1:{port}/", time.monotonic() + PATIENCE
        try:
            while True:
                try:
                    urlopen(address).close()
                    break
                except URLError:
                    assert server.poll() is None, "the demo ended"
                    assert time.monotonic() < end, "the demo does not answer"
                    time.sleep(0.2)
            yield Demo(address, port, artifacts)
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium on this machine; apt-get install chromium")
    expect.set_options(timeout=1000 * PATIENCE / 2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


class Visit:
    """A page of the demo, and all that it asked for and said."""

    def __init__(self, browser: Browser, demo: Demo, **context: Any) -> None:
        self.demo = demo
        self.page: Page = browser.new_context(**context).new_page()
        self.page.set_default_timeout(1000 * PATIENCE / 2)
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.goto(demo.address)
        self.text = self.page.get_by_role("textbox", name="Review")

    def ask(self, text: str) -> None:
        self.text.fill(text)
        self.page.get_by_role("button", name="Ask").click()

    def images(self) -> None:
        self.page.get_by_role("tab", name="Picture").click()

    def drop(self, file: Path) -> None:
        self.page.locator("input[type=file]").last.set_input_files(file)

    def predictions(self, *titles: str) -> dict[str, tuple[str, list[int]]]:
        """Each model's class, and its probabilities in percent, largest first, once they are there."""
        found = {}
        for title in titles:
            block = self.page.locator(".block", has=self.page.get_by_text(title, exact=True)).last
            label = block.get_by_test_id("label-output-value")
            expect(label).to_be_visible()
            shares = re.findall(r"(\d+)%", block.inner_text())
            found[title] = (label.inner_text().strip(), [int(share) for share in shares])
        return found

    def message(self) -> str:
        toast = self.page.get_by_test_id("toast-body")
        expect(toast.first).to_be_visible()
        return toast.first.inner_text()


@pytest.fixture
def visit(browser: Browser, demo: Demo) -> Iterator[Visit]:
    visit = Visit(browser, demo)
    yield visit
    visit.page.context.close()


def opened(file: Path) -> ImageFile:
    return ImageFile(file.name, file.read_bytes())


def expected(demo: Demo, example: Review | ImageFile) -> list[tuple[str, list[int]]]:
    """What the models predict, in the form of Visit.predictions."""
    hardware = Hardware(torch.device("cpu"), "fp32", 1)
    kind, names = (
        (ReviewModels, (*TEXT_MODELS, ENSEMBLE)) if isinstance(example, Review) else (ImageModels, tuple(IMAGE_MODELS))
    )
    (prediction,) = kind(demo.artifacts, names, hardware).predict([example])
    return [
        (top_class(shares), [round(100 * share) for share in sorted(shares.values(), reverse=True)])
        for shares in prediction.models.values()
    ]


def test_a_review_is_classified_as_by_the_models_and_its_words_shaded(visit: Visit) -> None:
    visit.ask("a truly great film with xyzzy")
    expect(visit.page.locator(WORD).first).to_be_visible()
    assert list(visit.predictions(*REVIEW).values()) == expected(visit.demo, Review("a truly great film with xyzzy"))
    spans = visit.page.locator(WORD)
    assert [word.strip() for word in spans.all_inner_texts()] == EXPLAINED * [
        "a",
        "truly",
        "great",
        "film",
        "with",
        "xyzzy",
    ]
    colours = [style.evaluate("node => getComputedStyle(node).backgroundColor") for style in spans.all()]
    for model in range(EXPLAINED):
        assert len(set(colours[6 * model : 6 * model + 6])) > 2


def test_a_click_on_an_example_classifies_it(visit: Visit) -> None:
    visit.page.get_by_role("button", name="this movie is so great").click()
    expect(visit.page.locator(WORD)).to_have_count(5 * EXPLAINED)
    expect(visit.text).to_have_value("this movie is so great")
    assert list(visit.predictions(*REVIEW).values()) == expected(visit.demo, Review("this movie is so great"))


@pytest.mark.parametrize(
    ("bad", "why"), [("  ", "The review is empty: type one first."), ("x" * 1_100_000, "More than 1,048,576 letters")]
)
def test_a_bad_review_gets_a_message_and_the_next_a_prediction(visit: Visit, bad: str, why: str) -> None:
    visit.ask(bad)
    assert why in visit.message()
    visit.ask("bad and dull")
    expect(visit.page.locator(WORD)).to_have_count(3 * EXPLAINED)
    assert list(visit.predictions(*REVIEW).values()) == expected(visit.demo, Review("bad and dull"))


def test_unknown_words_alone_get_a_warning(visit: Visit) -> None:
    visit.ask("xyzzy")
    assert "no word of 'xyzzy' is in the vocabulary" in visit.message()


def test_what_is_typed_is_text_and_nothing_else(visit: Visit) -> None:
    visit.ask("great <img src=x onerror=alert(1)> <b>film</b>")
    expect(visit.page.locator(WORD)).to_have_count(5 * EXPLAINED)
    assert visit.page.locator("img[src='x']").count() == 0
    assert visit.said == []


def test_an_image_is_classified_as_by_the_models_and_explained(
    visit: Visit, trained_images: Folder, tmp_path: Path
) -> None:
    read_images(trained_images.test).decode(0).save(tmp_path / "a.png")
    visit.images()
    visit.drop(tmp_path / "a.png")
    assert list(visit.predictions(*IMAGE).values()) == expected(visit.demo, opened(tmp_path / "a.png"))
    heat = visit.page.locator(".block", has=visit.page.get_by_text("Where it looks")).locator("img")
    expect(heat).to_have_count(2)
    for image in heat.all():
        visit.page.wait_for_function("image => image.complete && image.naturalWidth == 256", arg=image.element_handle())


def test_a_click_on_an_example_image_classifies_it(visit: Visit) -> None:
    visit.images()
    visit.page.locator("button.gallery-item:has(img)").first.click()
    assert len(visit.predictions(*IMAGE)) == 2


def damaged(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[:90])


def no_image(path: Path, _: bytes) -> None:
    path.write_text("<html>404</html>", encoding="utf-8")


def huge(path: Path, whole: bytes) -> None:
    with path.open("wb") as file:
        file.write(whole)
        file.truncate(MAX_BYTES + 1)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (damaged, "This file: a damaged picture"),
        (no_image, "cannot identify image file"),
        (huge, "exceed the maximum allowed size of 64.0 Mb"),
    ],
)
def test_a_bad_image_gets_a_message_and_the_next_a_prediction(
    visit: Visit, trained_images: Folder, tmp_path: Path, spoil: Callable[[Path, bytes], None], why: str
) -> None:
    read_images(trained_images.test).decode(1).save(tmp_path / "whole.png")
    spoil(tmp_path / "bad.png", (tmp_path / "whole.png").read_bytes())
    visit.images()
    visit.drop(tmp_path / "bad.png")
    assert why in visit.message()
    visit.page.reload()
    visit.images()
    visit.drop(tmp_path / "whole.png")
    assert list(visit.predictions(*IMAGE).values()) == expected(visit.demo, opened(tmp_path / "whole.png"))


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_request_leaves_this_machine_and_nothing_is_cut_off(
    browser: Browser, demo: Demo, scheme: str, width: int
) -> None:
    visit = Visit(browser, demo, color_scheme=scheme, viewport={"width": width, "height": 800})
    visit.ask("great film")
    expect(visit.page.locator(WORD)).to_have_count(2 * EXPLAINED)
    visit.images()
    assert len(visit.asked) > 10
    assert [url for url in visit.asked if not url.startswith((demo.address, "data:", "blob:"))] == []
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.said == []
    visit.page.context.close()


# Without a browser


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/net")
def test_it_listens_on_loopback_alone(demo: Demo) -> None:
    tables = [Path("/proc/net", name).read_text(encoding="utf-8").splitlines()[1:] for name in ("tcp", "tcp6")]
    fields = [line.split() for table in tables for line in table]
    listening = [place for _, place, _, state, *_ in fields if state == "0A" and place.endswith(f":{demo.port:04X}")]
    assert listening == [f"0100007F:{demo.port:04X}"]


def refusal(folder: Path, *arguments: str) -> str:
    """The one message with which the demo ends."""
    with chdir(folder), pytest.raises(SystemExit) as end:
        main(["--device", "cpu", *arguments])
    torch.set_flush_denormal(False)
    return str(end.value)


def test_missing_artifacts_are_one_error(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="the extra demo is not installed")
    assert refusal(tmp_path) == "error: artifacts/vocab.parquet: no such file\nmake it again with: dvc repro"


def test_a_port_that_is_taken_is_one_error(demo: Demo) -> None:
    error = refusal(demo.artifacts.parent, "--port", str(demo.port))
    assert error.startswith(f"error: 127.0.0.1, port {demo.port}: ")


def test_without_gradio_one_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "stages.apps.demo", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    error = refusal(tmp_path)
    assert error.startswith("error: import of gradio halted")
    assert error.endswith("; get it with: uv run --extra demo sentidog demo")
