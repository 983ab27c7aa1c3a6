"""One training in several processes, started by torchrun. Without torchrun everything here does nothing.

torchrun tells each process its RANK and the WORLD_SIZE; torch.distributed connects them.
"""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

# Imported before torch, because it sets an environment variable that torch reads when it is loaded
from stages.core import cli  # isort: split

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from stages.core.files import InputError
from stages.core.progress import hidden
from stages.inference.device import Hardware

T = TypeVar("T")

Main = Callable[..., dict[str, Any] | None]


def run(main: Main) -> None:
    """Do as cli.run in each of torchrun's processes. If one fails, all end. Only process 0 prints and writes."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        cli.run(main)
    else:
        cli.run(_in_group(main), writes_cost=os.environ["RANK"] == "0")


def _in_group(main: Main) -> Main:
    @functools.wraps(main)
    def call(*arguments: Path) -> dict[str, Any] | None:
        store, rank, world_size = next(iter(dist.rendezvous("env://")))
        if os.environ.get("GROUP_WORLD_SIZE") == "1":
            # On one machine torchrun keeps the store after a restart, with the old processes' addresses in it
            store = dist.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
        dist.init_process_group(store=store, rank=rank, world_size=world_size)
        try:
            with _silent() if rank else ExitStack():
                details = main(*arguments)
        except BaseException:
            if store.add("failures", 1) > 1:  # the first process to fail prints its error, the others end quietly
                sys.exit(1)
            raise
        dist.destroy_process_group()
        return details

    return call


@contextmanager
def _silent() -> Iterator[None]:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), hidden():
        yield


def data_parallel(model: nn.Module, hardware: Hardware) -> nn.Module:
    """Return the module to call in training: `model`, or with several processes its DistributedDataParallel wrapper.

    On GPUs, batch norm layers in `model` are replaced by SyncBatchNorm, whose statistics are over all processes.
    """
    if hardware.world_size == 1:
        return model
    if hardware.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # torch implements it only for GPUs
        return DistributedDataParallel(model, device_ids=[hardware.device])
    return DistributedDataParallel(model)


def all_reduce_sum(values: Tensor) -> Tensor:
    """Return the sum of `values` over all processes, bitwise equal in each."""
    if dist.is_initialized():
        dist.all_reduce(values := values.clone())
    return values


def gather(rows: Tensor) -> Tensor:
    """Return the `rows` of all processes, (rows, …), in the order of the processes."""
    if not dist.is_initialized():
        return rows
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, rows.cpu())
    return torch.cat([part for part in parts if len(part)])


def broadcast(value: T) -> T:
    """Return the `value` of process 0 in all processes; its tensors are on the CPU."""
    if not dist.is_initialized():
        return value
    values = [value]
    dist.broadcast_object_list(values, device=torch.device("cpu"))
    return values[0]


def broadcast_buffers(model: nn.Module) -> None:
    """Copy the buffers of process 0 to every process. On CPUs each has batch norm statistics of its own shards."""
    if dist.is_initialized():
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


def check_same(facts: dict[str, Any]) -> None:
    """Raise InputError if a process has other `facts` than process 0: the models would differ unnoticed."""
    first = broadcast(facts)
    other = [name for name in facts if facts[name] != first[name]]
    if other:
        raise InputError(
            f"{' and '.join(other)} are not those of the first process; "
            "each machine needs the same params.yaml, files, code and packages"
        )


@contextmanager
def shard_random_state(hardware: Hardware, *place: int) -> Iterator[None]:
    """With several processes, seed torch by its initial seed, `place` and the rank, so that shards draw differently.

    The checkpoint then needs no random state of each process. With a single process, the random state is not changed.
    """
    if hardware.world_size == 1:
        yield
        return
    seed = np.random.SeedSequence([torch.initial_seed(), *place, hardware.rank]).generate_state(1, np.uint64)
    with torch.random.fork_rng([] if hardware.device.type == "cpu" else [hardware.device]):
        torch.manual_seed(int(seed[0]))
        yield
