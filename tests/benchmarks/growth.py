"""Seconds and memory of the text stages on 1, 4 and 16 times the reviews; a table, a CSV and a plot.

    uv run python -m tests.benchmarks.growth [aclImdb_v1.tar.gz glove.zip] [--times 1,4,16] [--workers 1,2]

Without files: the sample's reviews and vectors. Each copy of the reviews has words of its own: a share of the words is
spelled anew, so large that distinct words grow as in the reviews themselves (Heaps' law, its exponent measured there).
Each measurement is a process of its own; imports are left out. Several workers are started at every size, also where a
stage would do without: else their memory would look like growth. Peak memory is that of the process with its workers,
libraries that they share counted in each. predict reads one row in fifty, with a TextCNN of random weights.
"""

import argparse
import csv
import io
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pyarrow import compute

from tests.benchmarks.harness import CHILD, child, measure_here

BENCHMARK = "tests.benchmarks.growth"  # not __name__, which is __main__ here
STAGES = {  # stage -> its arguments, as in dvc.yaml
    "build_vocab": ". vocab.parquet",
    "tensorize": ". vocab.parquet .",
    "embed_glove": "vocab.parquet ../glove.parquet glove.safetensors coverage.json",
}
ASKED = 50  # predict reads one test review in so many
ROWS = 256  # of a row group that predict reads
INTERVAL = 0.1  # seconds between two looks at the memory
SPLITS = ("train", "test")
COLUMNS = ("stage", "workers", "times", "items", "seconds", "cpu_seconds", "peak_mb")


# The reviews


class Copies:
    """Copies of a table of reviews, each with words of its own."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        words = compute.split_pattern(table["text"].combine_chunks(), " ")
        self.offsets = words.offsets
        coded = words.flatten().dictionary_encode()
        self.codes, self.words = coded.indices, coded.dictionary
        half = len(coded.indices.slice(0, len(coded.indices) // 2).unique())
        self.exponent = float(np.log2(len(self.words) / half))
        self.order = np.random.default_rng(0).permutation(len(self.words))

    def copy(self, number: int) -> pa.Table:
        """Return copy `number`, from 0, which is the table itself."""
        new = round(len(self.words) * ((number + 1) ** self.exponent - number**self.exponent)) if number else 0
        anew = np.zeros(len(self.words), bool)
        anew[self.order[:new]] = True
        spelled = compute.binary_join_element_wise(self.words, f"{number}", "")
        words = compute.if_else(pa.array(anew), spelled, self.words).take(self.codes)
        texts = compute.binary_join(pa.ListArray.from_arrays(self.offsets, words), " ")
        table = self.table.set_column(1, "text", texts)
        return table.set_column(0, "id", compute.binary_join_element_wise(table["id"], f"_{number}", ""))


def write_sets(work: Path, archive: str | None, vectors: str | None, times: list[int]) -> dict[str, float]:
    """Write train and test of each size, the vectors once, and the table that predict reads."""
    from stages.core.files import write_table
    from stages.sample.reviews import write_glove, write_imdb
    from stages.text.reading.imdb import read_imdb_archive
    from stages.text.vectors.glove import read_vectors

    if archive is None or vectors is None:
        archive, vectors = str(work / "imdb.tar.gz"), str(work / "glove.zip")
        write_imdb(Path(archive))
        write_glove(Path(vectors))
    write_table(work / "glove.parquet", read_vectors(Path(vectors), 100), use_dictionary=False)
    exponents = {}
    for split, table in read_imdb_archive(Path(archive)).items():
        copies = Copies(table)
        exponents[split] = copies.exponent
        writers = {size: pq.ParquetWriter(work / f"{size}/{split}.parquet", table.schema) for size in times}
        for number in range(max(times)):
            some = copies.copy(number)
            for size, writer in writers.items():
                if number < size:
                    writer.write_table(some, 4096)
        for size, writer in writers.items():
            writer.close()
            if split == "test":
                texts = pq.read_table(work / f"{size}/test.parquet", columns=["text"])[::ASKED]
                write_table(work / f"{size}/asked.parquet", texts, ROWS)
    return exponents


def write_model(work: Path) -> dict[str, float]:
    """Write a TextCNN of random weights over the smallest set's vocabulary."""
    import shutil

    import torch

    from stages.core.tensors import read_tensors, write_tensors
    from stages.inference.config import Padding, TextConfig, TrainedOn
    from stages.text.models.textcnn import TextCNN

    artifacts = work.parent / "artifacts"
    torch.manual_seed(0)
    vectors = read_tensors(work / "glove.safetensors")[0]["vectors"]
    section = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["train_textcnn"]
    architecture = {key: section[key] for key in ("kernel_sizes", "num_channels", "dropout", "freeze_vectors")}
    write_tensors(artifacts / "textcnn/model.safetensors", TextCNN(vectors, 2, **architecture).state_dict())
    TextConfig(
        model="textcnn",
        classes=["negative", "positive"],
        dataset="full",
        trained_on=TrainedOn("cpu", "fp32", 1, None),
        temperature=1.0,
        tokenizer="whitespace",
        max_len=500,
        keep="start",
        vectors=list(vectors.shape),
        architecture=architecture,
        padding=Padding(mask_padding=True, pad_to=None),
    ).write(artifacts / "textcnn")
    shutil.copy(work / "vocab.parquet", artifacts)
    return {}


# The measurements


@contextmanager
def measured(found: dict[str, float]) -> Iterator[None]:
    """Measure this process and those below it while the block runs: seconds, CPU seconds, peak memory."""
    me, over = psutil.Process(), threading.Event()
    cpu: dict[int, float] = {}

    def look() -> None:
        total = 0.0
        for process in (me, *me.children(recursive=True)):
            try:
                total += process.memory_info().rss
                cpu[process.pid] = sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
        found["peak_mb"] = max(found.get("peak_mb", 0), total / 1e6)

    def watch() -> None:
        while not over.wait(INTERVAL):
            look()
        found["watching"] = time.thread_time()

    look()
    before, watcher, start = sum(cpu.values()), threading.Thread(target=watch), time.perf_counter()
    watcher.start()
    try:
        yield
        found["seconds"] = time.perf_counter() - start
    finally:
        over.set()  # or the process would not end after an error
        watcher.join()
    look()
    found["cpu_seconds"] = sum(cpu.values()) - before - found.pop("watching")


def stage(work: Path, name: str) -> dict[str, float]:
    from importlib import import_module

    import torchtext.vocab  # noqa: F401, else the first to need it loads it while the clock runs

    from stages.engine import row_groups as engine

    vars(engine)["INLINE_LIMIT"] = 0
    main, found = import_module(f"stages.{name}").main, {}
    with measured(found):
        main(*map(Path, STAGES[name].split()))
    outs = {"build_vocab": "train", "tensorize": "train", "embed_glove": "vocab"}
    found["items"] = pq.read_metadata(f"{outs[name]}.parquet").num_rows * (2 if name == "tensorize" else 1)
    return found


def predict(work: Path) -> dict[str, float]:
    from stages.apps.classify import classify

    found: dict[str, float] = {}
    with measured(found), redirect_stdout(io.StringIO()):
        classify(["asked.parquet"], "textcnn", Path("../artifacts"), "cpu", json=True)
    return found | {"items": pq.read_metadata("asked.parquet").num_rows}


# The report


def show(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'stage':12} {'workers':>7} {'times':>5} {'items':>9} {'s':>7} {'CPU s':>7} {'MB':>6}   per item, memory: x"
    )
    first: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        base = first.setdefault((row["stage"], row["workers"]), row)
        pace = row["seconds"] / row["items"] / (base["seconds"] / base["items"])
        print(
            f"{row['stage']:12} {row['workers']:7} {row['times']:5} {row['items']:9,} {row['seconds']:7.1f} "
            f"{row['cpu_seconds']:7.1f} {row['peak_mb']:6.0f}   {pace:4.2f} {row['peak_mb'] / base['peak_mb']:5.2f}"
        )


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "growth"
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, workers in dict.fromkeys((row["stage"], row["workers"]) for row in rows):
        some = [row for row in rows if (row["stage"], row["workers"]) == (name, workers)]
        times, style = [row["times"] for row in some], {"marker": "o", "ls": "-" if workers == 1 else "--"}
        label = f"{name}, {workers} worker" + "s" * (workers > 1)
        left.plot(times, [row["seconds"] for row in some], label=label, **style)
        right.plot(times, [row["peak_mb"] for row in some], **style)
    sizes = sorted({row["times"] for row in rows})
    left.set(xscale="log", yscale="log", ylabel="seconds", title="Time")
    right.set(xscale="log", ylabel="MB", ylim=(0, None), title="Peak memory, workers with it")
    for axes in (left, right):
        axes.set_xlabel("times the reviews")
        axes.set_xticks(sizes, map(str, sizes))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def main(archive: Path | None, vectors: Path | None, times: list[int], workers: list[int], out: Path) -> None:
    sources = [str(path.resolve()) if path else None for path in (archive, vectors)]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
        for size in times:
            (work / str(size)).mkdir()
        print("exponents of Heaps' law:", child(BENCHMARK, work, "write_sets", *sources, times), flush=True)
        for number in workers:
            params["engine"] = {"backend": "loky", "workers": number, "address": None}
            for name in (*STAGES, "predict"):
                for size in times:
                    place = work / str(size)
                    (place / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
                    if name == "predict" and not (work / "artifacts").exists():
                        child(BENCHMARK, place, "write_model")
                    task = ("predict",) if name == "predict" else ("stage", name)
                    rows.append({"stage": name, "workers": number, "times": size, **child(BENCHMARK, place, *task)})
                    show(rows[-1:])
    show(rows)
    with out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(
            {key: round(row[key], 2) if isinstance(row[key], float) else row[key] for key in COLUMNS} for row in rows
        )
    plot(rows, out.with_suffix(".svg"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, nargs="?", help="the reviews, a tar.gz in aclImdb's layout")
    parser.add_argument("vectors", type=Path, nargs="?", help="a zip with 100-dimensional vectors in GloVe's format")
    parser.add_argument("--times", default="1,4,16")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--out", type=Path, default=Path("docs/growth"), help="the CSV and the plot, without a suffix")
    parser.add_argument(CHILD, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        measure_here(given.child, globals())
    else:
        times, workers = ([int(number) for number in text.split(",")] for text in (given.times, given.workers))
        main(given.archive, given.vectors, times, workers, given.out)
