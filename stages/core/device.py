"""Where the arithmetic runs: device, precision, threads."""

import ctypes
import os
import sys
from dataclasses import dataclass
from typing import Protocol

import torch

from stages.core import parallel
from stages.core.files import InputError

# <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


class Wishes(Protocol):
    """The keys of params.yaml that this module reads."""

    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def threads(self) -> int | None: ...


@dataclass(frozen=True)
class Hardware:
    device: torch.device
    precision: str  # "bf16" | "fp32"
    threads: int
    processes: int = 1  # that train together, each on such a device

    def autocast(self) -> torch.autocast:
        """Context in which matrix products run in this precision; weights and sums stay fp32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def __str__(self) -> str:
        place = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else f"{self.threads} threads"
        together = f"{self.processes} processes, each on " if self.processes > 1 else ""
        return f"{together}{self.device} ({place}, {self.precision})"


def prepare(wishes: Wishes) -> Hardware:
    """Set the process up for training or inference; call it before any tensor arithmetic.

    Raises InputError if the device that params.yaml names is not there, or not for each of several processes.
    """
    # Gradients through some hundred LSTM steps shrink to denormals, which cost a CPU 10 times as much. The flag
    # belongs to a thread and is inherited, hence before the first one starts.
    torch.set_flush_denormal(True)
    _keep_freed_memory()
    if wishes.threads is not None:
        torch.set_num_threads(wishes.threads)
    device = _device(wishes.device) if parallel.processes() == 1 else _own_device(wishes.device)
    if device.type == "cuda":
        _prepare_gpu(device)
    precision = wishes.precision
    if precision == "auto":
        precision = "bf16" if _fast_at_bf16(device) else "fp32"
    return Hardware(device, precision, torch.get_num_threads(), parallel.processes())


def _keep_freed_memory() -> None:
    """Have glibc keep freed memory: handing it back and faulting it in again takes 40 % of an LSTM step."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt:
            mallopt(_M_MMAP_MAX, 0)
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _prepare_gpu(device: torch.device) -> None:
    """Have this GPU be the one that torch means, and its libraries sum in the same order each time."""
    if device.index is not None:
        torch.cuda.set_device(device)  # where collectives put what they need, and whose random state is saved
    torch.backends.cudnn.deterministic = True  # convolutions; or training does not go on to the same bytes
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:2")  # recurrent layers, as torch's notes on them say


def _device(name: str) -> torch.device:
    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there[:0] = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        return torch.device(there[0])
    if name not in there:
        raise InputError(f"device: {name} is not on this machine, which has {', '.join(there)}; auto picks one")
    return torch.device(name)


def _own_device(name: str) -> torch.device:
    """Return the CPU, or the GPU that no other process of this machine has."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise InputError(f"device: {name} is one for several processes; set it to auto, cuda or cpu")
    number, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= there:
        raise InputError(
            f"device: a GPU for each process, but this machine has {there}: torchrun --nproc-per-node {there}"
        )
    return torch.device("cuda", number)


def _fast_at_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    able = torch.cpu.get_capabilities()
    # AMX is several times faster. AVX-512's bf16 instructions are too on AMD (Zen 4: ResNet-18 2.4 times, an LSTM
    # 1.4 times), and slower than fp32 where they were measured on another make.
    return able.get("amx_bf16", False) or (able.get("avx512_bf16", False) and "AMD" in able.get("cpu_name", ""))
