"""The table of labelled reviews that every text stage starts from."""

import pyarrow as pa

from stages.sources.tables import Row
from stages.text.reading.breaks import one_line
from stages.text.special import VALIDATION

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("label", pa.string()), ("rating", pa.int8())])


def review_table(split: str, rows: list[Row]) -> pa.Table:
    """Return the user's rows as a table, sorted by id: id ("train/000012" is line 12), text, label, rating (null).

    The ids of rows that the user holds out of the training split begin with VALIDATION.
    """
    places = {"validation": VALIDATION}
    table = [
        (f"{places.get(row.split or split, f'{split}/')}{row.number:06}", one_line(row.text), row.label, None)
        for row in rows
    ]
    return pa.table(list(zip(*table, strict=True)), schema=SCHEMA).sort_by("id")
