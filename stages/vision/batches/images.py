"""Labelled images: the table that every vision stage starts from.

Each split is one Parquet file of encoded images. An epoch of random crops over 2,000 images takes as long as from a zip
or a folder (2.5 s), and the file is the smallest (49 MB). Decoded pixels would save 1.1 s and take 11 times the bytes.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from stages.core.files import InputError, read_table, write_table

if TYPE_CHECKING:
    from torch import Tensor  # at run time it is imported only to read images: fetch_hotdog starts without torch

_THREADS = 4  # images decoded at a time

# An encoded image is RGB, upright and of bounded size: see stages.vision.reading.opening.plain
SCHEMA = pa.schema([("id", pa.string()), ("label", pa.string()), ("image", pa.large_binary())])


@dataclass(frozen=True)
class Images:
    ids: list[str]  # "train/hotdog/0.jpg", sorted
    labels: "Tensor"  # int64 (images,): indices of classes
    classes: list[str]
    encoded: pa.ChunkedArray  # large_binary (images,)

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, rows: "Tensor") -> "Images":
        """Return the images of `rows`, int64 (rows,), in that order."""
        ids = [self.ids[row] for row in rows.tolist()]
        return Images(ids, self.labels[rows], self.classes, self.encoded.take(pa.array(rows.numpy())))

    def decode(self, row: int) -> Image.Image:
        """Return one image, RGB. Several threads may call it at once."""
        return Image.open(io.BytesIO(self.encoded[row].as_py())).convert("RGB")

    def contents(self) -> Iterator[bytes]:
        """Yield a hash of each image's size and pixels. Equal images stay together in a draw."""
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(lambda row: pixel_digest(self.decode(row)), range(len(self)))

    def decoded_bytes(self) -> int:
        """Return the bytes that all images would take decoded, by the sizes in their headers."""
        sizes = (Image.open(io.BytesIO(encoded.as_py())).size for encoded in self.encoded)
        return sum(3 * width * height for width, height in sizes)


def pixel_digest(image: Image.Image) -> bytes:
    """Return a hash of an RGB image's size and pixels."""
    return hashlib.sha256(b"%d " % image.width + image.tobytes()).digest()


def image_table(
    ids: list[str], labels: list[str], encoded: pa.ChunkedArray, classes: list[str], skipped: Sequence[str] = ()
) -> pa.Table:
    """Return the table of one split, in SCHEMA, with `classes` in its metadata, and the `skipped` files if any are."""
    metadata = {"classes": json.dumps(classes)} | ({"skipped": json.dumps(list(skipped))} if skipped else {})
    return pa.table([ids, labels, encoded], schema=SCHEMA.with_metadata(metadata))


def read_skipped(path: Path) -> list[str]:
    """Return the names of the files beside a split's images that could not be read as such."""
    return json.loads((pq.read_schema(path).metadata or {}).get(b"skipped", b"[]"))


def write_images(path: Path, table: pa.Table) -> None:
    # Small row groups and pages need only small buffers. A page ends only between batches of write_batch_size
    layout = {"row_group_size": 1024, "write_batch_size": 16}  # images
    write_table(path, table, use_dictionary=["label"], write_statistics=["id", "label"], **layout)


def read_images(path: Path) -> Images:
    """Read the images of a split; raises InputError if the file does not hold images."""
    import torch

    table = read_table(path)
    try:
        classes = json.loads((table.schema.metadata or {})[b"classes"])
        ids, names, encoded = table.cast(SCHEMA).columns
        labels = torch.tensor([classes.index(name) for name in names.to_pylist()], dtype=torch.int64)
    except (KeyError, ValueError, pa.ArrowException) as problem:
        raise InputError(f"{path}: not images ({problem}); make it again with: dvc repro fetch_hotdog") from problem
    return Images(ids.to_pylist(), labels, classes, encoded)
