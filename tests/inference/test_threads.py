import threading
from collections.abc import Iterator

import pytest
import torch

from stages.inference.device import in_threads


@pytest.fixture(autouse=True)
def _restored_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("threads", "jobs", "share"), [(2, 2, 1), (6, 2, 3), (4, 3, 1), (1, 3, 1), (2, 1, 2)])
def test_each_job_has_a_thread_and_its_share_of_torchs(threads: int, jobs: int, share: int) -> None:
    torch.set_num_threads(threads)
    together = threading.Barrier(jobs, timeout=10)  # passed only by jobs that run at once

    def job(number: int) -> tuple[int, int]:
        together.wait()
        return number, torch.get_num_threads()

    assert in_threads(job, [(number,) for number in range(jobs)]) == [(number, share) for number in range(jobs)]
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("has_graph", [True, False])
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_jobs_have_the_callers_gradient_mode_and_precision(has_graph: bool, precision: torch.dtype) -> None:
    weight = torch.ones(2, 2, requires_grad=True)
    with torch.set_grad_enabled(has_graph), torch.autocast("cpu", enabled=precision == torch.bfloat16):
        found = in_threads(lambda: weight @ weight, [()] * 2)
    assert [(one.requires_grad, one.dtype) for one in found] == [(has_graph, precision)] * 2


def test_jobs_of_inference_are_inference() -> None:
    with torch.inference_mode():
        assert all(one.is_inference() for one in in_threads(lambda: torch.ones(1), [()] * 2))


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_any_job_is_raised(failing: int) -> None:
    torch.set_num_threads(2)

    def job(number: int) -> None:
        if number == failing:
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        in_threads(job, [(0,), (1,)])
    assert torch.get_num_threads() == 2
