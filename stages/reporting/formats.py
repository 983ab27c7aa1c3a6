"""How the report's template writes numbers and names."""

import json
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

MAX_NAMED = 8  # classes; more are only counted
LONGEST = 32  # letters of a class's name where there is little room


def figure(value: float) -> Markup:
    """A fraction or a loss to three places, .893, in an element that holds all places."""
    return Markup('<data value="{}">{}</data>').format(value, short(value))


def short(value: float) -> str:
    """Three places, no zero before the point: .893, 1.250."""
    text = f"{abs(value):.3f}".removeprefix("0")
    return f"−{text}" if value < 0 and float(text) else text  # noqa: RUF001, a minus sign


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")  # noqa: RUF001, a minus sign


def change(value: float) -> str:
    """A difference of fractions, to three places and with its sign: +.012."""
    return short(value) if value < 0 else f"+{short(value)}"


def p_value(value: float) -> str:
    return "< .001" if value < 0.001 else short(value)


def number(value: float) -> str:
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Seconds below a minute, minutes and seconds below an hour, else hours and minutes."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def as_yaml(value: Any) -> str:
    """A value in the form of params.yaml."""
    return json.dumps(value, ensure_ascii=False).strip('"')


def size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


def either(classes: Sequence[str]) -> str:
    """The names of the classes, or if they are many their number."""
    return " or ".join(classes) if len(classes) <= MAX_NAMED else f"{len(classes):,} classes"


def brief(name: str) -> str:
    """A class's name, shortened to LONGEST letters."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1].rstrip()}…"


FILTERS = {  # of the template
    "figure": figure,
    "short": short,
    "signed": signed,
    "change": change,
    "p_value": p_value,
    "number": number,
    "duration": duration,
    "size": size,
    "as_yaml": as_yaml,
    "either": either,
    "brief": brief,
}
