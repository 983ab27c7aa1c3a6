import re
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from stages.reporting.charts import CSS_COLOURS, Bars, Line, curves, intervals, lines

SERIES = [Line("A, test", [1, 2, 3], [0.5, 0.7, 0.9], 0), Line("A & B", [1, 2, 3], [20.0, 0.2, 0.1], 1, dashed=True)]
BARS = [Bars("A", 0, [0.5, 0.8], [0.4, 0.7], [0.6, 0.9]), Bars("B", 1, [0.6, 0.7], [0.5, 0.6], [0.7, 0.8])]


def every() -> dict[str, Markup]:
    return {
        "lines": lines("Loss of <A>", SERIES, "epoch", "loss", logarithmic=True),
        "curves": curves("ROC of A", [Line("A", [0, 0.1, 1], [0, 0.8, 1], 0)], "false", "true", "by chance"),
        "intervals": intervals("Accuracy of A", ["1\nto 2", "3\nto 4"], BARS, "words", "accuracy"),
    }


@pytest.mark.parametrize("name", ["lines", "curves", "intervals"])
def test_a_chart_is_well_formed_takes_the_pages_colours_and_needs_nothing_else(name: str) -> None:
    svg = every()[name]
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["viewBox"].split()[:2] == ["0", "0"]
    assert "width" not in root.attrib
    colours = set(re.findall(r"#[0-9a-fA-F]{6}\b", svg))
    assert colours.isdisjoint(CSS_COLOURS)
    assert colours == set()
    assert "var(--model0)" in svg
    assert "currentColor" in svg
    assert "<style" not in svg  # it would reach the whole page
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", svg)


def test_what_it_shows_is_said() -> None:
    root = ElementTree.fromstring(every()["lines"])
    assert root.attrib["aria-label"] == "Loss of <A>"
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"A, test", "A & B", "epoch", "loss"} <= set(texts)


def test_the_same_chart_is_the_same_bytes() -> None:
    assert every() == every()


def test_charts_share_no_id() -> None:
    ids = [name for svg in every().values() for name in set(re.findall(r' id="([^"]+)"', svg))]
    assert len(ids) == len(set(ids)) > 0


def test_every_reference_has_its_target() -> None:
    for svg in every().values():
        wanted = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
        assert wanted <= set(re.findall(r' id="([^"]+)"', svg))


def test_ticks_of_a_loss_are_few_however_far_it_goes() -> None:
    near, far = (
        lines("x", [Line("down", [1, 2], [first, last], 0)], "epoch", "loss", logarithmic=True)
        for first, last in ((0.7, 0.2), (300.0, 0.0002))
    )
    ticks = [set(re.findall(r">([.\d]+)</text>", svg)) for svg in (near, far)]
    assert {".2", ".3", ".5"} <= ticks[0]
    assert ".3" not in ticks[1]
    assert len(ticks[1]) < 10


def test_a_line_goes_where_its_numbers_are() -> None:
    svg = lines("x", [Line("up", [1, 2], [0.1, 0.9], 0)], "epoch", "accuracy")
    (path,) = re.findall(r'<path d="([^"]+)"[^>]*stroke: var\(--model0\); stroke-width: 1\.8', svg)[:1]
    (_, low), (_, high) = re.findall(r"[ML] ([\d.]+) ([\d.]+)", path)
    assert float(low) > float(high)  # SVG counts from the top


def test_dollars_are_no_formula() -> None:
    svg = curves(
        "ROC", [Line("A", [0, 1], [0, 1], 0)], "not $5 to $10, taken for it", "$5 to $10, recognised", "by chance"
    )
    assert ">$5 to $10, recognised<" in svg
