"""Charts as SVG for an HTML page. Text and lines take the page's colours, light or dark."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

# Placeholder colours for matplotlib, which CSS_COLOURS replaces by those of the page's style sheet
INK, GREY, PAPER = "#010101", "#010102", "#010103"
MODEL_COLOURS = ("#010104", "#010105", "#010106", "#010107", "#010108")
CSS_COLOURS = {
    INK: "currentColor",
    GREY: "var(--line)",
    PAPER: "var(--paper)",
    **{drawn: f"var(--model{number})" for number, drawn in enumerate(MODEL_COLOURS)},
}
RC_PARAMS = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GREY,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "text.parse_math": False,  # a class's name may hold dollars
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


class Line(NamedTuple):
    label: str
    x: Sequence[float]
    y: Sequence[float]
    model: int  # number of its colour, from 0
    dashed: bool = False


class Bars(NamedTuple):
    """Fractions with their intervals, one for each group."""

    label: str
    model: int  # number of its colour, from 0
    fractions: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


def lines(what: str, series: list[Line], x_label: str, y_label: str, logarithmic: bool = False) -> Markup:
    """Return a line chart of `series`; `what` is its description for screen readers."""
    with _chart(what, 2.9) as (axes, done):
        for line in series:
            dashes = "--" if line.dashed else "-"
            axes.plot(line.x, line.y, dashes, marker=".", color=MODEL_COLOURS[line.model], label=line.label)
        if logarithmic:
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5) if high < 1000 * low else (1,)))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        return done()


def curves(what: str, series: list[Line], x_label: str, y_label: str, diagonal: str) -> Markup:
    """Return a chart of curves in the unit square; `diagonal` is the label of its diagonal."""
    with _chart(what, 3.6) as (axes, done):
        for line in series:
            axes.plot(line.x, line.y, color=MODEL_COLOURS[line.model], label=line.label)
        axes.plot([0, 1], [0, 1], ":", color=INK, linewidth=1, label=diagonal)
        axes.set_aspect("equal")
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        return done()


def intervals(what: str, groups: list[str], series: list[Bars], x_label: str, y_label: str) -> Markup:
    """Return a chart of fractions with their intervals: one of each series for each of `groups`."""
    with _chart(what, 2.9) as (axes, done):
        places = np.arange(len(groups))
        for number, bars in enumerate(series):
            fractions = np.array(bars.fractions)
            errors = np.stack([fractions - bars.lows, bars.highs - fractions])
            at = places + 0.16 * (number - (len(series) - 1) / 2)
            colour = MODEL_COLOURS[bars.model]
            axes.errorbar(at, fractions, errors, fmt="o", color=colour, label=bars.label, capsize=2.5)
        axes.set_xticks(places, groups)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        return done()


def _plain(value: float, _position: int | None = None) -> str:
    return f"{value:.4g}".removeprefix("0") or "0"


@contextmanager
def _chart(what: str, height: float) -> Iterator[tuple[Axes, Callable[[], Markup]]]:
    """Yield axes, and a function that returns them as SVG. The same chart gives the same bytes."""
    with matplotlib.rc_context({**RC_PARAMS, "svg.hashsalt": what}):
        figure = Figure((4.6, height), layout="constrained")  # inches; the page scales them
        axes = figure.subplots()

        def done() -> Markup:
            figure.legend(loc="outside upper left", ncols=2, handlelength=2.4)
            file = io.StringIO()
            figure.savefig(file, format="svg", transparent=True, metadata=NO_METADATA)
            return _for_a_page(what, file.getvalue())

        yield axes, done


def _for_a_page(what: str, svg: str) -> Markup:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</defs>", "", svg, count=1, flags=re.DOTALL)  # it would style the whole page
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)  # the same ids in each chart, but a page's ids must be unique
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)  # the page's font instead
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for drawn, themed in CSS_COLOURS.items():
        svg = svg.replace(drawn, themed)
    label = Markup('<svg role="img" aria-label="{}"').format(what)
    return Markup(re.sub(r'<svg xmlns:xlink="\S+" width="\S+" height="\S+"', lambda _: str(label), svg, count=1))
