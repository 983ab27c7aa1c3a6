"""The page from its template: one file that needs nothing beside it."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.core.files import replacing

FOLDER = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = "report.html.jinja", "report.css", "report.js"


def write_page(path: Path, content: dict[str, Any]) -> None:
    """Fill the template with `content` and write it; what is not there is an error, not a gap."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {"figure": figure, "short": short, "signed": signed, "number": number, "duration": duration, "size": size}
    environment.filters.update(filters, as_yaml=as_yaml)
    style, script = (Markup((FOLDER / name).read_text(encoding="utf-8")) for name in (STYLE, SCRIPT))
    page = environment.get_template(TEMPLATE).render(content, style=style, script=script)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def figure(value: float) -> Markup:
    """A share or a loss to three places, .893, with all of them for machines."""
    return Markup('<data value="{}">{}</data>').format(value, short(value))


def short(value: float) -> str:
    """Three places, no zero before the point: .893, 1.250."""
    text = f"{abs(value):.3f}".removeprefix("0")
    return f"−{text}" if value < 0 and float(text) else text  # noqa: RUF001, a minus sign


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")  # noqa: RUF001, a minus sign


def number(value: float) -> str:
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Seconds, or minutes and hours where there are many."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def as_yaml(value: Any) -> str:
    """A value as params.yaml may have it."""
    return json.dumps(value).strip('"')


def size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"
