"""The hardware of a process: device, precision, threads, and its rank among the processes of torchrun."""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from stages.core.files import InputError

# <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8

T = TypeVar("T")

_pool = ThreadPoolExecutor()


@dataclass(frozen=True)
class Hardware:
    device: torch.device
    precision: str  # "bf16" | "fp32"
    threads: int
    rank: int = 0  # of this process, from 0; only process 0 prints and writes
    world_size: int = 1  # number of processes that train together

    def autocast(self) -> torch.autocast:
        """Return a context in which matrix products run in this precision; weights and sums stay fp32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def shard(self, rows: Tensor) -> tuple[Tensor, float]:
        """Return this process's rows of a batch (batch,), and the weight of their mean loss in the batch's mean.

        The rows are rank, rank + world_size, …: every process gets similar lengths. Every process takes part in every
        step: if a batch has fewer rows than there are processes, the others get its first row with weight 0.
        """
        shard = rows[self.rank :: self.world_size]
        if not len(shard):
            return rows[:1], 0.0
        return shard, len(shard) * self.world_size / len(rows)

    def __str__(self) -> str:
        place = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else f"{self.threads} threads"
        together = f"{self.world_size} processes, each on " if self.world_size > 1 else ""
        return f"{together}{self.device} ({place}, {self.precision})"


def prepare(device: str, precision: str, threads: int | None) -> Hardware:
    """Set up the process for training or inference; call it before any tensor arithmetic.

    The arguments are the values of those keys in params.yaml. Raises InputError if the machine lacks the device, or
    lacks one for each process.
    """
    # Gradients through hundreds of LSTM steps become denormals, with which a CPU is 10 times slower. New threads
    # inherit the flag, so it is set before the first one starts.
    torch.set_flush_denormal(True)
    _keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    rank, world_size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    chosen = _device(device) if world_size == 1 else _device_of_this_process(device)
    if chosen.type == "cuda":
        _prepare_gpu(chosen)
    if precision == "auto":
        precision = "bf16" if _fast_at_bf16(chosen) else "fp32"
    return Hardware(chosen, precision, torch.get_num_threads(), rank, world_size)


def in_threads(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> list[T]:
    """Call `function` with the arguments of each job, each in a thread of its own; return the results in order.

    The first job runs in the calling thread. Each thread has its share of torch's number of threads, and the caller's
    gradient mode and autocast. The threads meet once, at the end; OpenMP's meet several times in each layer.
    """
    threads = torch.get_num_threads()
    is_inference, has_graph = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    # autocast's cache of weights in bf16 is off, because all threads would share it
    autocast = {
        "dtype": torch.get_autocast_dtype("cpu"),
        "enabled": torch.is_autocast_enabled("cpu"),
        "cache_enabled": False,
    }

    def call(job: tuple[Any, ...]) -> T:
        torch.set_num_threads(max(1, threads // len(jobs)))  # of this thread alone
        with torch.inference_mode(is_inference), torch.set_grad_enabled(has_graph), torch.autocast("cpu", **autocast):
            return function(*job)

    others = [_pool.submit(call, job) for job in jobs[1:]]
    try:
        return [call(jobs[0]), *(other.result() for other in others)]
    finally:
        torch.set_num_threads(threads)


def _keep_freed_memory() -> None:
    """Make glibc keep freed memory. To return it to the kernel and get it again takes 40 % of an LSTM step."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt:
            mallopt(_M_MMAP_MAX, 0)
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
            mallopt(_M_ARENA_MAX, 1)  # memory that a thread frees can be another thread's


def _prepare_gpu(device: torch.device) -> None:
    """Make this GPU the current one, and its libraries deterministic."""
    if device.index is not None:
        torch.cuda.set_device(device)  # for collectives, and because the current device's random state is saved
    torch.backends.cudnn.deterministic = True  # for convolutions: a resumed training must end with the same bytes
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:2")  # recurrent layers, see torch's notes on randomness


def _device(name: str) -> torch.device:
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available[:0] = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        return torch.device(available[0])
    if name not in available:
        raise InputError(f"device: {name} is not on this machine, which has {', '.join(available)}; auto picks one")
    return torch.device(name)


def _device_of_this_process(name: str) -> torch.device:
    """Return the device of one of several processes: the CPU, or a GPU of its own."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise InputError(f"device: {name} is one for several processes; set it to auto, cuda or cpu")
    number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= count:
        raise InputError(
            f"device: a GPU for each process, but this machine has {count}: torchrun --nproc-per-node {count}"
        )
    return torch.device("cuda", number)


def _fast_at_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    features = torch.cpu.get_capabilities()
    # With AMX, bf16 is several times faster than fp32. With AVX-512's bf16 instructions it is faster on AMD (Zen 4:
    # ResNet-18 2.4 times, an LSTM 1.4 times), and slower on the other make of CPU that was measured.
    return features.get("amx_bf16", False) or (
        features.get("avx512_bf16", False) and "AMD" in features.get("cpu_name", "")
    )
