"""The text stages give the same bytes whatever the row groups, the engine and the number of workers."""

import json
from contextlib import chdir
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from stages.core.files import write_table
from stages.engine import row_groups as engine
from stages.sample.reviews import write_glove, write_imdb
from stages.text.reading.imdb import read_imdb_archive
from stages.text.vectors.glove import read_vectors
from stages.text.words import counts
from tests.cluster import ROOT, Cluster

STAGES = {  # stage -> its arguments, as in dvc.yaml
    "build_vocab": ". vocab.parquet",
    "tensorize": ". vocab.parquet .",
    "embed_glove": "vocab.parquet glove.parquet glove.safetensors coverage.json",
}
OUTS = ("vocab.parquet", "train.safetensors", "test.safetensors", "glove.safetensors", "coverage.json")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    folder = tmp_path_factory.mktemp("sample")
    write_imdb(folder / "imdb.tar.gz")
    write_glove(folder / "glove.zip")
    splits = read_imdb_archive(folder / "imdb.tar.gz")
    some = {split: table.take(list(range(0, len(table), 20))) for split, table in splits.items()}  # of both labels
    return {**some, "glove": read_vectors(folder / "glove.zip", 100)}


def prepare(folder: Path, tables: dict[str, pa.Table], rows: int, **values: Any) -> dict[str, bytes]:
    """Run the stages in this process, over row groups of so many rows; return what they write."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["engine"] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    for name, table in tables.items():
        write_table(folder / f"{name}.parquet", table, rows)
    with chdir(folder):
        for name, arguments in STAGES.items():
            import_module(f"stages.{name}").main(*map(Path, arguments.split()))
    assert not list(folder.glob(".*"))  # nothing is left of what waited on disk
    return {out: (folder / out).read_bytes() for out in OUTS}


@pytest.fixture(scope="module")
def expected(tables: dict[str, pa.Table], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a single row group gives."""
    return prepare(tmp_path_factory.mktemp("whole"), tables, 1 << 20, workers=1)


@pytest.mark.slow
def test_the_bytes_are_the_same_whatever_the_row_groups_and_the_workers(
    tables: dict[str, pa.Table], expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json.loads(expected["coverage.json"])["words_without_vector"] > 0
    assert prepare(tmp_path, tables, 7, workers=1) == expected
    monkeypatch.setattr(engine, "INLINE_LIMIT", 1)
    for workers in (2, 3):
        assert prepare(tmp_path, tables, 7, workers=workers) == expected


def test_the_bytes_of_a_cluster_are_the_same(
    tables: dict[str, pa.Table], expected: dict[str, bytes], tmp_path: Path, dask: Cluster
) -> None:
    assert prepare(tmp_path, tables, 30, backend="dask", address=dask.address) == expected


def test_the_bytes_are_the_same_where_counts_wait_on_disk(
    tables: dict[str, pa.Table], expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MEMORY", 10_000)
    monkeypatch.setattr(counts, "BLOCK", 50)
    monkeypatch.setattr(counts, "FAN_IN", 3)
    assert prepare(tmp_path, tables, 10, workers=1) == expected
