"""Render the report from its template, as one self-contained HTML file."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.core.files import replacing
from stages.reporting.formats import FILTERS

FOLDER = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = "report.html.jinja", "report.css", "report.js"


def write_page(path: Path, content: dict[str, Any]) -> None:
    """Render the template with `content` and write it to `path`. A value that is missing is an error."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    style, script = (Markup((FOLDER / name).read_text(encoding="utf-8")) for name in (STYLE, SCRIPT))
    page = environment.get_template(TEMPLATE).render(content, style=style, script=script)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
