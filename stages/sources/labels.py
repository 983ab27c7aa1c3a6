"""Warnings about class names that are probably mistakes."""

import unicodedata
from collections import Counter
from collections.abc import Mapping

_NOTHING = {"nan", "null", "none", "nil", "na", "n/a", "#n/a", "<na>", "nat", "undefined", "-", "?"}
_BOOLEANS = {"true": "1", "false": "0"}
_QUOTES = "\"'`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"


def odd_classes(classes: Mapping[str, int]) -> list[str]:
    """Return warnings about class names, given with their counts: names that hardly differ, and names like "nan"."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(_key(name), []).append(name)
    found = [f"classes that may be one: {_shown(names, classes)}" for names in alike.values() if len(names) > 1]
    if nothing := [name for name in classes if name.casefold().strip(_QUOTES) in _NOTHING]:
        found.append(f"classes that may stand for a missing label: {_shown(nothing, classes)}")
    return found


def _key(name: str) -> str:
    """Return a key that ignores a name's case, blanks, invisible letters, quotes, and the way a number is written."""
    text = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(letter for letter in text if unicodedata.category(letter) not in ("Cf", "Cc"))
    text = "".join(text.split()).strip(_QUOTES)
    text = _BOOLEANS.get(text, text)
    try:
        return repr(float(text))
    except ValueError:
        return text


def _shown(names: list[str], classes: Mapping[str, int]) -> str:
    return ", ".join(f"{name!r} ({classes[name]:,})" for name in sorted(names))


def merged_labels(written: Counter[str]) -> str | None:
    """Return which labels became one class by stripping blanks, or None; `written` counts them before that."""
    sides: dict[str, list[str]] = {}
    for name in written:
        sides.setdefault(name.strip(), []).append(name)
    merged = [_shown(names, written) for names in sides.values() if len(names) > 1]
    return f"labels are read without the blanks around them: {'; '.join(merged)}" if merged else None
