from pathlib import Path

from stages.core.files import write_json
from stages.reporting.costs import STAGES, read_costs

SMALL = {"seconds": 1.5, "cpu_seconds": 2.0, "peak_mb": 300}
LARGE = {"seconds": 60.0, "cpu_seconds": 100.25, "peak_mb": 900}


def test_costs_are_added_up_and_the_largest_peak_is_found(tmp_path: Path) -> None:
    for name in STAGES:
        write_json(tmp_path / f"{name}.json", LARGE if name == "finetune" else SMALL)
    found = read_costs(tmp_path)
    assert list(found["stages"]) == list(STAGES)
    assert found["stages"]["finetune"] == LARGE
    others = len(STAGES) - 1
    assert found["total"] == {"seconds": 60 + 1.5 * others, "cpu_seconds": 100.25 + 2 * others, "peak_mb": 900}
    assert found["missing"] == []


def test_what_was_not_measured_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "compare.json", {"seconds": 1.5, "cpu_seconds": 2.0})  # by a system that tells no peak
    found = read_costs(tmp_path)
    assert found["stages"] == {"compare": found["total"]}
    assert found["missing"] == list(STAGES[:-1])


def test_without_any_the_sums_are_nothing(tmp_path: Path) -> None:
    assert read_costs(tmp_path / "missing")["total"] == {"seconds": 0, "cpu_seconds": 0}
