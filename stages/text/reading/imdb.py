"""Read the reviews in the archive of the Large Movie Review Dataset."""

import re
import tarfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from stages.core.files import InputError
from stages.core.progress import progress
from stages.sources.gzip import GZIP_ERRORS, GzipFile
from stages.sources.user_data import SPLITS
from stages.text.reading.table import SCHEMA

LABELS = {"neg": "negative", "pos": "positive"}  # folder -> class
MAX_REVIEW_BYTES = 1 << 24  # a thousand times the longest real review

_MEMBER = re.compile(rf"(?:\./)?[^/]+/({'|'.join(SPLITS)})/({'|'.join(LABELS)})/([^/]+)")
_NAME = re.compile(r"(\d+_(\d+))\.txt")


def read_imdb_archive(archive: Path) -> dict[str, pa.Table]:
    """Read the archive as a stream, without unpacking it to disk.

    Returns train and test, each sorted by id: id ("train/pos/0_9"), text as published, label, rating. Members outside
    {train,test}/{pos,neg} are skipped.

    Raises InputError if the archive is no complete tar.gz, if a review's name, size or encoding is wrong, or if a class
    has no review.
    """
    rows: dict[str, list[tuple[str, str, str, int]]] = {split: [] for split in SPLITS}
    try:
        with GzipFile(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in progress(tar, total=None, desc="reading reviews", unit="file"):
                place = _MEMBER.fullmatch(member.name)
                if place and not member.isdir():
                    split, folder, name = place.groups()
                    rows[split].append(_read_review(tar, member, split, folder, name))
            while stream.read(1 << 20):  # read to the end, so that gzip's checksum is checked
                pass
    except (tarfile.TarError, *GZIP_ERRORS, EOFError, OSError) as problem:
        raise InputError(f"{archive}: not a whole tar.gz archive ({problem}); get it again") from problem
    return {split: _table(archive, split, rows[split]) for split in SPLITS}


def _read_review(
    tar: tarfile.TarFile, member: tarfile.TarInfo, split: str, folder: str, name: str
) -> tuple[str, str, str, int]:
    parts = _NAME.fullmatch(name)
    if parts is None or not 1 <= int(parts[2]) <= 10:
        raise InputError(f"{member.name}: not a review's name, expected ID_RATING.txt with a rating from 1 to 10")
    file = tar.extractfile(member) if member.isreg() else None
    if file is None:
        raise InputError(f"{member.name}: not a regular file")
    if member.size > MAX_REVIEW_BYTES:
        raise InputError(f"{member.name}: {member.size:,} bytes; expected a review of at most {MAX_REVIEW_BYTES:,}")
    try:
        text = file.read().decode("utf-8")
    except UnicodeDecodeError as problem:
        raise InputError(f"{member.name}: not UTF-8 at byte {problem.start}") from problem
    return f"{split}/{folder}/{parts[1]}", text, LABELS[folder], int(parts[2])


def _table(archive: Path, split: str, rows: list[tuple[str, str, str, int]]) -> pa.Table:
    counts = Counter(label for _, _, label, _ in rows)
    for folder, label in LABELS.items():
        if not counts[label]:
            raise InputError(
                f"{archive}: no review in {split}/{folder}; expected aclImdb/{split}/{folder}/ID_RATING.txt"
            )
    rows.sort()
    for (name, *_), (following, *_) in pairwise(rows):
        if name == following:
            raise InputError(f"{archive}: {name} is there twice")
    return pa.table(list(zip(*rows, strict=True)), schema=SCHEMA)
