"""Count words over any number of reviews. Counts that do not fit into memory are kept on disk, sorted."""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from stages.core.files import read_row_groups
from stages.text.words.tokens import tokenizer

SCHEMA = pa.schema([("word", pa.string()), ("count", pa.int64())])
MEMORY = 1 << 24  # bytes of counts in memory
BLOCK = 1 << 14  # words of each file in memory
FAN_IN = 32  # files merged at a time


def count_words(words: pa.ListArray) -> pa.Table:
    """Return a table of each distinct word and its count."""
    found = compute.value_counts(words.flatten())
    return pa.table([found.field("values"), found.field("counts")], schema=SCHEMA)


def count_row_group(reviews: Path, group: int, *, name: str) -> pa.Table:
    """Return the words of a row group of reviews and their counts; `name` is that of the tokenizer."""
    (table,) = read_row_groups(reviews, ["text"], [group])
    return count_words(tokenizer(name)(table["text"].to_pylist()))


def add_up(counts: Iterable[pa.Table], folder: Path) -> Iterator[pa.Table]:
    """Yield the summed counts of all tables in blocks, each word once, in the order of UTF-8 bytes.

    This is an external merge sort (Knuth, The Art of Computer Programming, 5.4). Its files are in a temporary folder in
    `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".counts.", suffix=".tmp", dir=folder) as place:
        paths = (Path(place, str(number)) for number in count())
        files: list[Path] = []
        held: list[pa.Table] = []
        for table in counts:
            held.append(table)
            if _size(held) > MEMORY:
                held = [_sum(held)]
                if _size(held) > MEMORY // 2:
                    files.append(_write(next(paths), _blocks(held.pop())))
        while len(files) > FAN_IN:
            some, files = files[:FAN_IN], files[FAN_IN:]
            files.append(_write(next(paths), _merge([*map(_read, some)])))
            for file in some:
                file.unlink()
        yield from _merge([*map(_read, files), _blocks(_sum(held))])


def _size(tables: list[pa.Table]) -> int:
    return sum(table.nbytes for table in tables)


def _sum(tables: list[pa.Table]) -> pa.Table:
    """Return the sum of some tables, sorted by word."""
    table = pa.concat_tables([SCHEMA.empty_table(), *tables])
    found = table.group_by("word").aggregate([("count", "sum")])
    return pa.table([found["word"], found["count_sum"]], schema=SCHEMA).sort_by("word")


def _merge(runs: list[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Merge sorted runs: yield the sum of their counts in sorted blocks."""
    heads = [(block, run) for run in runs if (block := next(run, None)) is not None]
    while heads:
        last = min(block["word"][-1].as_py() for block, _ in heads)  # no later block has a word up to this one
        ends = [compute.sum(compute.less_equal(block["word"], last)).as_py() for block, _ in heads]
        yield _sum([block.slice(0, end) for (block, _), end in zip(heads, ends, strict=True)])
        rests = [(block.slice(end), run) for (block, run), end in zip(heads, ends, strict=True)]
        following = [(block if len(block) else next(run, None), run) for block, run in rests]
        heads = [(block, run) for block, run in following if block is not None]


def _blocks(table: pa.Table) -> Iterator[pa.Table]:
    return (table.slice(start, BLOCK) for start in range(0, len(table), BLOCK))


def _write(path: Path, blocks: Iterable[pa.Table]) -> Path:
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for block in blocks:
            writer.write_table(block)
    return path


def _read(path: Path) -> Iterator[pa.Table]:
    return read_row_groups(path, SCHEMA.names)
