"""Examples of the test split to click in the demo."""

from pathlib import Path

from stages.core.files import read_table
from stages.vision.batches.images import read_images


def short_reviews(test: Path, count: int) -> list[str]:
    """Return at most `count` of the shortest reviews, as many of each class; of more classes than that, some."""
    rows = sorted(read_table(test, ["text", "label"]).to_pylist(), key=lambda row: len(row["text"]))
    of_class: dict[str, list[str]] = {label: [] for label in sorted({row["label"] for row in rows})}
    for row in rows:
        of_class[row["label"]].append(row["text"])
    each = max(1, count // len(of_class))
    return [text for texts in of_class.values() for text in texts[:each]][:count]


def evenly_spread_images(test: Path, count: int) -> list[bytes]:
    """Return at most `count` encoded images, evenly spread over the classes."""
    encoded = read_images(test).encoded
    count = min(count, len(encoded))
    return [encoded[len(encoded) * place // count].as_py() for place in range(count)]
