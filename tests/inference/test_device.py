import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from stages.core.files import InputError
from stages.inference.device import Hardware, prepare

ROOT = Path(__file__).parents[2]


def prepared(device: str = "cpu", precision: str = "fp32", threads: int | None = 1) -> Hardware:
    return prepare(device, precision, threads)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends.cudnn, "deterministic", False)
        patch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
        yield
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


def test_denormal_numbers_are_zero_after_prepare() -> None:
    torch.set_flush_denormal(False)
    tiny = torch.tensor([1e-40])
    assert (tiny * 1).item() > 0
    prepared()
    product = tiny * 1
    torch.set_flush_denormal(False)  # with it even the comparison takes a denormal number for zero
    assert product.item() == 0


def test_denormal_numbers_are_zero_in_every_thread() -> None:
    code = (
        "import torch; from tests.inference.test_device import prepared\n"
        "prepared(threads=2)\n"
        "tiny = torch.full((4_000_000,), 71362, dtype=torch.int32).view(torch.float32)\n"  # the bits of 1e-40
        "product = tiny * 1\n"
        "torch.set_flush_denormal(False); torch.set_num_threads(1)\n"
        "print(int((product != 0).sum()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"amx_bf16": True, "cpu_name": "Intel Xeon"}, "bf16"),
        ({"amx_bf16": False, "avx512_bf16": True, "cpu_name": "Intel Xeon"}, "fp32"),
        ({"amx_bf16": False, "avx512_bf16": True, "cpu_name": "AMD EPYC"}, "bf16"),
        ({"amx_bf16": False, "avx512_bf16": False, "cpu_name": "AMD EPYC"}, "fp32"),
        ({}, "fp32"),
    ],
)
def test_auto_precision_is_bf16_where_the_cpu_is_fast_at_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool | str], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert prepared(precision="auto").precision == expected


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_forced_precision_stands_whatever_the_hardware(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    for able in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"amx_bf16": able})
        hardware = prepared(precision=precision)
        assert hardware.precision == precision
        square = torch.eye(2)
        with hardware.autocast():
            assert (square @ square).dtype == {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]


def test_auto_device_is_the_accelerator_if_there_is_one() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert prepared(device="auto").device.type == expected


def test_a_device_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(
        InputError, match=r"^device: cuda:99 is not on this machine, which has (.*, )?cpu; auto picks one"
    ):
        prepared(device="cuda:99")


def test_a_second_gpu_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert prepared(device="cuda:1").device == torch.device("cuda:1")
    assert chosen == [torch.device("cuda:1")]  # else the first one's random state is saved in checkpoints
    with pytest.raises(InputError, match="which has cuda, cuda:0, cuda:1, cpu;"):
        prepared(device="cuda:2")


def test_a_gpu_sums_in_the_same_order_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    prepared(device="cuda")
    assert torch.backends.cudnn.deterministic
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:2"


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun starts the second of two, on a machine that seems to have two GPUs."""
    for name, value in {"is_initialized": True, "get_rank": 1, "get_world_size": 2}.items():
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")


@pytest.mark.usefixtures("two_processes")
@pytest.mark.parametrize(("name", "expected"), [("auto", "cuda:1"), ("cuda", "cuda:1"), ("cpu", "cpu")])
def test_each_process_has_a_gpu_of_its_own(name: str, expected: str) -> None:
    hardware = prepared(device=name)
    assert hardware.device == torch.device(expected)
    assert (hardware.rank, hardware.world_size) == (1, 2)
    assert str(hardware).startswith(f"2 processes, each on {expected} (")


@pytest.mark.usefixtures("two_processes")
def test_a_gpu_for_two_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^device: cuda:0 is one for several processes; set it to auto, cuda or cpu"):
        prepared(device="cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"^device: a GPU for each process, but this machine has 1: torchrun --nproc"):
        prepared(device="cuda")


def test_the_number_of_threads_is_as_set() -> None:
    assert prepared(threads=1).threads == torch.get_num_threads() == 1
    assert prepared(threads=3).threads == torch.get_num_threads() == 3


def test_without_a_setting_the_number_of_threads_is_torchs_own() -> None:
    torch.set_num_threads(3)
    assert prepared(threads=None).threads == torch.get_num_threads() == 3


def test_hardware_describes_itself() -> None:
    assert str(Hardware(torch.device("cpu"), "bf16", 4)) == "cpu (4 threads, bf16)"
