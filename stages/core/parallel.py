"""One training in several processes, which torchrun starts: each takes its share of every batch.

torchrun says by WORLD_SIZE, RANK and LOCAL_RANK how many there are and which this one is. Alone, with torchrun or
without it, everything here changes nothing.
"""

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from uuid import uuid4

# Before torch: it sets what torch reads when it is loaded
from stages.core import cli  # isort: split

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from stages.core.files import InputError
from stages.core.progress import hidden

Something = TypeVar("Something")

LOOK_AGAIN = 0.05  # seconds


def run(main: Callable[..., None]) -> None:
    """As cli.run, in each of the processes: whichever fails, all end, and one says why; the first writes its cost."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        cli.run(main)
    else:
        cli.run(_together(main), writes_cost=os.environ["RANK"] == "0")


def _together(main: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(main)
    def call(*arguments: object) -> None:
        store, rank, count = next(iter(dist.rendezvous("env://")))
        store = _of_this_start(store, rank, count)
        dist.init_process_group(store=store, rank=rank, world_size=count)
        try:
            with _quiet() if rank else ExitStack():
                main(*arguments)
        except BaseException:
            if store.add("failures", 1) > 1:  # the first has said it; without it, others can only break off
                sys.exit(1)
            raise
        dist.destroy_process_group()

    return call


def _of_this_start(store: dist.Store, rank: int, count: int) -> dist.Store:
    """Return a part of torchrun's store that these processes have for themselves.

    torchrun keeps it: it is there whichever process ends, and at the next start still holds all keys. How often
    torchrun has started is no name for a start: each machine counts its own failures, and begins again at 0.
    """
    if rank:
        me = uuid4().hex
        store.set(f"process {rank}", me)
        start = store.get(f"start of {me}").decode()
        store.set(f"{start} {rank}", "here")
    else:
        start = uuid4().hex
        while not store.check([f"{start} {other}" for other in range(1, count)]):
            for other in range(1, count):  # at first perhaps one of the last start, who answers no more
                store.set(f"start of {store.get(f'process {other}').decode()}", start)
            time.sleep(LOOK_AGAIN)
    return dist.PrefixStore(start, store)


@contextmanager
def _quiet() -> Iterator[None]:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), hidden():
        yield


@contextmanager
def written_by_first(out: Path) -> Iterator[Path]:
    """Yield where to write what belongs to `out`: there in the first process, where it is soon lost in the others."""
    if rank() == 0:
        yield out
        return
    with TemporaryDirectory() as folder:
        yield Path(folder) / out.name


def processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return which of the processes this is; 0 is the one that prints and writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def share(rows: Tensor) -> Tensor:
    """Return this process's share of a batch's `rows` (batch,): every so many-th, so that lengths are spread evenly.

    Of fewer rows than processes some have none.
    """
    return rows[rank() :: processes()]


def total(values: Tensor) -> Tensor:
    """Return the sum of `values` over the processes, the same bits in all of them."""
    if processes() > 1:
        dist.all_reduce(values := values.clone())
    return values


def together(values: Tensor, rows: Tensor, examples: int) -> Tensor:
    """Return `values` (share, …) of all processes in the order of their `rows` (share,) among so many `examples`."""
    whole = values.new_zeros(examples, *values.shape[1:])
    whole[rows] = values
    return total(whole)  # each row is one process's, and zeros in the others


def from_first(make: Callable[[], Something]) -> Something:
    """Return in all processes what `make` gives in the first, where alone it is called; tensors stay on the CPU."""
    if processes() == 1:
        return make()
    made = [make() if rank() == 0 else None]
    dist.broadcast_object_list(made, device=torch.device("cpu"))
    return made[0]  # type: ignore[return-value]


def check_same(facts: dict[str, Any]) -> None:
    """Raise InputError where a process has other `facts` than the first: their models would drift apart unseen."""
    first = from_first(lambda: facts)
    other = [name for name in facts if facts[name] != first[name]]
    if other:
        raise InputError(
            f"{' and '.join(other)} are not those of the first process; "
            "each machine needs the same params.yaml, files, code and packages"
        )


def sum_gradients(model: nn.Module) -> None:
    """Have every process hold the sum of all processes' gradients.

    In one bundle of one layout, where DistributedDataParallel makes up other bundles after its first step: sums of
    three or more numbers would come out otherwise in a training that goes on from a checkpoint.
    """
    if processes() == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    bundle = total(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = bundle.split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view_as(own) for part, own in zip(parts, gradients, strict=True)])


@contextmanager
def drawing(device: torch.device, *place: int) -> Iterator[None]:
    """Have dropout draw by the seed, `place` and the process alone: no two shares alike, wherever training goes on.

    Alone, it draws on from where torch's generators stand.
    """
    if processes() == 1:
        yield
        return
    drawn = np.random.SeedSequence([torch.initial_seed(), *place, rank()]).generate_state(1, np.uint64)
    with torch.random.fork_rng([] if device.type == "cpu" else [device]):
        torch.manual_seed(int(drawn[0]))
        yield
