"""Examples to click in the demo: from the test split, or made up if there is none."""

from pathlib import Path

from stages.core.files import read_table
from stages.sample.examples import EXAMPLE_REVIEWS, example_images
from stages.vision.batches.images import read_images


def short_reviews(test: Path, count: int) -> list[str]:
    """Return at most `count` of the shortest reviews, equally many of each class; of many classes, one of the first."""
    if not test.is_file():
        return list(EXAMPLE_REVIEWS)
    rows = sorted(read_table(test, ["text", "label"]).to_pylist(), key=lambda row: len(row["text"]))
    of_class: dict[str, list[str]] = {label: [] for label in sorted({row["label"] for row in rows})}
    for row in rows:
        of_class[row["label"]].append(row["text"])
    each = max(1, count // len(of_class))
    return [text for texts in of_class.values() for text in texts[:each]][:count]


def evenly_spread_images(test: Path, count: int) -> list[bytes]:
    """Return at most `count` encoded images, evenly spread over the classes."""
    if not test.is_file():
        return example_images(count)
    encoded = read_images(test).encoded
    count = min(count, len(encoded))
    return [encoded[len(encoded) * place // count].as_py() for place in range(count)]
