"""What the benchmarks share: measurements in processes of their own, parts of an epoch, rows of ratios."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stages.inference.predict import Batch, Batches

CHILD = "--child"


class Some:
    """Every `step`-th batch of an epoch, at most `limit`: what a whole epoch would be like, sooner."""

    def __init__(self, batches: "Batches", step: int, limit: int) -> None:
        self.batches, self.step, self.limit = batches, step, limit
        self.examples = batches.examples

    def __len__(self) -> int:
        return min(self.limit, -(-len(self.batches) // self.step))

    def epoch(self, number: int, start: int = 0) -> "Iterator[Batch]":
        return islice(self.batches.epoch(number, start), 0, self.step * self.limit, self.step)


def child(benchmark: str, work: Path, task: str, *arguments: Any) -> dict[str, float]:
    """Run the function `task` of `benchmark` in a process of its own, in `work`, and return what it measured."""
    command = [sys.executable, "-m", benchmark, CHILD, json.dumps([task, *arguments])]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, cwd=work, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_here(call: str, tasks: dict[str, Any]) -> None:
    """Be the child: run the one of `tasks` that `call` names in the current folder, and print what it measured."""
    task, *arguments = json.loads(call)
    print(json.dumps(tasks[task](Path.cwd(), *arguments)))


def show(name: str, unit: str, peer: list[float], ours: list[float]) -> None:
    """Print the medians of both, and of the rounds' ratios with their range; above 1 we are faster."""
    ratios = sorted(a / b if unit == "s" else b / a for a, b in zip(peer, ours, strict=True))
    medians = f"{statistics.median(peer):9.1f} {statistics.median(ours):9.1f} {unit:10}"
    print(f"{name:44} {medians} {statistics.median(ratios):6.1f} x ({ratios[0]:.1f} to {ratios[-1]:.1f})", flush=True)
