"""The report of a small pipeline, opened in the system's Chromium as a reader opens it: from disk, offline."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from stages.core.files import read_table, write_table
from stages.evaluation.titles import ENSEMBLE, TEXT_MODELS, TITLES
from stages.reporting.formats import duration
from stages.vision.batches.images import write_images
from tests.project import STAGES, Project, cached

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
MINUS = "\N{MINUS SIGN}"
WIDTHS = {"desktop": 1280, "tablet": 820, "phone": 390}
TEXTS = (*TEXT_MODELS, ENSEMBLE)
ROWS = {title: name for name, title in TITLES.items()}


@pytest.fixture(scope="module")
def report(ready: Project) -> Path:
    return ready.folder / "artifacts/report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium on this machine; apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


class Watched:
    """A page of the report, and all that it said and asked for."""

    def __init__(self, browser: Browser, report: Path, width: int = 1280, **context: Any) -> None:
        viewport = {"width": width, "height": 900}
        self.page: Page = browser.new_context(viewport=viewport, offline=True, **context).new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(report.as_uri())
        self.page.wait_for_load_state()


@pytest.fixture(scope="module")
def watched(browser: Browser, report: Path) -> Watched:
    return Watched(browser, report)


def figures_of(report: Path) -> dict[str, Any]:
    """The figures of the models, and the differences of the pairs, of both tasks."""
    found: dict[str, Any] = {"models": {}, "pairs": []}
    for part in ("evaluation", "comparison"):
        figures = json.loads((report.parent / part / "figures.json").read_text())
        found["models"] |= figures["models"]
        found["pairs"] += figures["pairs"]
    return found


# Without a browser


def test_the_page_names_no_address(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert not re.search(r"@import|url\((?!#)", page)


def test_ids_are_unique_and_links_lead_somewhere(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    ids = Counter(re.findall(r'\bid="([^"]+)"', page))
    assert [name for name, count in ids.items() if count > 1] == []
    named = re.findall(r'(?:href="#|aria-labelledby="|aria-describedby="|\bfor=")([^"]+)"', page)
    assert set(named) <= set(ids)


def test_the_data_has_the_hashes_of_dvcs_cache(ready: Project, report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    shown = re.findall(r'<th scope="row">(data/\S+)</th>.*?<code>([0-9a-f]{32})</code>', page)
    assert len(shown) == 6
    for path, md5 in shown:
        assert cached(ready, path).parts[-2:] == (md5[:2], md5[2:])


def test_every_stage_before_it_stands_with_its_cost(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    _, table = page.split('<table class="costs">')
    rows = re.findall(r'<th scope="row">(.+?)</th>\s*<td>(.+?)</td>\s*<td>(.+?)</td>\s*<td>(.+?)</td>', table)
    shown = {name: figures for name, *figures in rows}
    for name in set(STAGES) - {"report"}:
        cost = json.loads((report.parent / f"costs/{name}.json").read_text(encoding="utf-8"))
        times = [duration(cost[key]) for key in ("seconds", "cpu_seconds")]
        assert shown[name] == [*times, f"{cost['peak_mb']:,} MB"]
        assert cost["seconds"] > 0.1
        assert cost["peak_mb"] > 30


def test_it_comes_out_where_stages_were_run_by_hand(
    ready: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ready.folder)
    artifacts = tmp_path / "artifacts"
    shutil.copytree(ready.folder / "artifacts", artifacts, ignore=shutil.ignore_patterns("costs"))
    import_module("stages.report").main(Path("data"), artifacts, tmp_path / "report.html")
    assert "Run by hand and not measured: download_imdb, build_vocab," in (tmp_path / "report.html").read_text("utf-8")


def test_test_reviews_that_occur_in_training_are_counted(
    ready: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ready.folder)
    data = tmp_path / "data"
    shutil.copytree("data", data)
    train, test = (read_table(data / f"imdb/{split}.parquet") for split in ("train", "test"))
    write_table(data / "imdb/train.parquet", pa.concat_tables([train, test.slice(0, 2)]))
    import_module("stages.report").main(data, Path("artifacts"), tmp_path / "report.html")
    line = f"2 of the {len(test):,} test reviews occur in the training split"
    assert line in (tmp_path / "report.html").read_text("utf-8")
    assert line[5:] not in (ready.folder / "artifacts/report.html").read_text("utf-8")


def test_pictures_that_were_skipped_are_listed(ready: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ready.folder)
    data = tmp_path / "data"
    shutil.copytree("data", data)
    for split, count in (("train", 101), ("test", 2)):
        path = data / f"hotdog/{split}.parquet"
        table = read_table(path)
        skipped = json.dumps([f"{split}/disc/<{i:03}>.png" for i in range(count)])
        write_images(path, table.replace_schema_metadata({**table.schema.metadata, "skipped": skipped}))
    import_module("stages.report").main(data, Path("artifacts"), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "103 files that cannot be read as pictures were left out" in page
    for line in ("<li>test/disc/&lt;001&gt;.png</li>", "<li>train/disc/&lt;097&gt;.png</li>", "<li>and 3 more</li>"):
        assert line in page
    assert "&lt;098&gt;" not in page
    assert "were left out" not in (ready.folder / "artifacts/report.html").read_text("utf-8")


@pytest.mark.parametrize("place", ["train", "valid"])
def test_test_pictures_that_occur_in_training_are_counted(
    ready: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(ready.folder)
    data = tmp_path / "data"
    shutil.copytree("data", data)
    train, test = (read_table(data / f"hotdog/{split}.parquet") for split in ("train", "test"))
    again = test.slice(0, 3)
    write_images(data / f"hotdog/{place}.parquet", pa.concat_tables([train, again]) if place == "train" else again)
    import_module("stages.report").main(data, Path("artifacts"), tmp_path / "report.html")
    line = f"3 of the {len(test):,} test pictures occur in the training split, pixel for pixel"
    assert line in (tmp_path / "report.html").read_text("utf-8")
    assert "test pictures occur" not in (ready.folder / "artifacts/report.html").read_text("utf-8")


# In a browser


def test_it_opens_without_an_error_or_a_request(watched: Watched, report: Path) -> None:
    assert watched.said == []
    assert [url for url in watched.asked if not url.startswith("data:")] == [report.as_uri()]
    assert watched.page.title() == "sentidog: the report"


def test_the_table_holds_the_figures_of_the_metrics_files(watched: Watched, report: Path) -> None:
    expected = figures_of(report)["models"]
    rows = watched.page.locator(".results tbody tr:not(.group)").all()
    assert len(rows) == len(TITLES)
    for row in rows:
        title = row.locator("th").evaluate("cell => cell.firstChild.textContent.trim()")
        figures = expected[ROWS[title]]
        keys = ["accuracy", "ci_low", "ci_high", "loss"]
        if ROWS[title] in TEXTS:
            keys += ["precision", "recall", "f1", "roc_auc"]
        recalls = [] if ROWS[title] in TEXTS else list(figures["recall_by_class"].values())
        values = [*(figures[key] for key in keys), *recalls, figures["ece"]]
        cells = row.locator("data").all()
        assert [float(cell.get_attribute("value") or "") for cell in cells] == values
        for cell, value in zip(cells, values, strict=True):
            assert float(cell.inner_text().replace(MINUS, "-")) == pytest.approx(value, abs=0.0006)


def test_the_differences_are_those_of_the_paired_comparison(watched: Watched, report: Path) -> None:
    pairs = figures_of(report)["pairs"]
    rows = watched.page.locator(".differences tbody tr").all()
    assert len(rows) == len(pairs) == 7  # of four text models, and of two image models
    for row, pair in zip(rows, pairs, strict=True):
        shown = re.findall(rf"[+{MINUS}][\d.]+", row.inner_text())
        values = [pair[key] for key in ("accuracy", "ci_low", "ci_high")]
        assert [float(text.replace(MINUS, "-")) for text in shown] == pytest.approx(values, abs=0.0006)


def test_every_image_is_there_and_every_one_is_described(watched: Watched) -> None:
    images = watched.page.locator("img")
    assert images.count() > 10
    assert images.evaluate_all("all => all.every(picture => picture.naturalWidth > 0 && picture.alt)")
    charts = watched.page.locator("figure.chart svg")
    assert charts.count() == 8
    assert charts.evaluate_all("all => all.every(svg => svg.getBoundingClientRect().height > 100)")


def test_the_attributions_are_those_that_the_page_speaks_of(watched: Watched) -> None:
    # The words with a shade make most of the difference between the two log odds
    shares = watched.page.locator(".review").evaluate_all(
        r"""all => all.map(review => {
            const number = text => parseFloat(text.replace("\u2212", "-"));
            const [low, high] = review.querySelector(".sum").textContent.match(/[+\u2212]\d+\.\d+/g).map(number);
            const words = [...review.querySelectorAll("[title]")].map(word => number(word.title));
            return [words.reduce((sum, word) => sum + word, 0), high - low, Math.max(...words.map(Math.abs))];
        })"""
    )
    assert len(shares) >= 4
    for shaded, whole, strongest in shares:
        assert shaded == pytest.approx(whole, abs=6 * strongest)


def search(page: Page, words: str) -> list[str]:
    """Type into the field; return the reviews that are left."""
    page.fill("#word", words)
    return [review.inner_text().lower() for review in page.locator(".review:visible").all()]


def test_the_search_leaves_the_reviews_with_the_word_and_marks_it(watched: Watched) -> None:
    page = watched.page
    every = search(page, "")
    texts = page.locator(".words").all_inner_texts()
    counts = Counter(word for text in texts for word in set(text.split()) if word.isalpha() and len(word) > 4)
    word = next(word for word, count in sorted(counts.items()) if count < len(every))
    expected = sum(word in text for text in texts)
    left = search(page, word.upper())
    assert 0 < len(left) == expected < len(every)
    assert all(word in text for text in left)
    assert page.locator("#found").inner_text() == f"in {expected} of {len(every)} reviews"
    hits = page.locator(".hit").all_inner_texts()
    assert hits
    assert all(word in hit for hit in hits)
    assert search(page, f"{word} zzzz") == []
    assert search(page, "") == every
    assert page.locator(".hit").count() == 0
    assert watched.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=list(WIDTHS))
def test_it_fits_every_screen(browser: Browser, report: Path, tmp_path: Path, width: int, scheme: str) -> None:
    watched = Watched(browser, report, width, color_scheme=scheme)
    page = watched.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for cell in page.locator(".results tbody strong").all():
        box = cell.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    ground, ink = (page.evaluate(f"getComputedStyle(document.body).{key}") for key in ("backgroundColor", "color"))
    dark, light = sorted((ground, ink), key=lambda colour: sum(map(int, re.findall(r"\d+", colour))))
    assert ground == (light if scheme == "light" else dark)
    page.screenshot(path=tmp_path / "whole.png", full_page=True)
    assert (tmp_path / "whole.png").stat().st_size > 50_000
    assert watched.said == []
    page.context.close()


def test_in_print_every_word_is_on_paper(browser: Browser, report: Path) -> None:
    page = Watched(browser, report, 720).page
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator("nav").is_visible()
    assert not page.locator("#search").is_visible()
    assert page.locator(".words").evaluate_all("all => all.every(text => text.scrollHeight <= text.clientHeight + 1)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) >= 3
    page.context.close()


def test_without_scripts_everything_but_the_search_is_there(browser: Browser, report: Path) -> None:
    page = Watched(browser, report, java_script_enabled=False).page
    assert not page.locator("#search").is_visible()
    assert all(review.is_visible() for review in page.locator(".review").all())
    page.context.close()
