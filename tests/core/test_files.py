import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from colorama.ansitowin32 import AnsiToWin32, StreamWrapper
from safetensors import safe_open

from stages.core.cli import cost, exit_on_error, run
from stages.core.files import (
    ROWS,
    InputError,
    read_json,
    read_row_groups,
    read_table,
    replacing,
    row_groups,
    some,
    write_csv,
    write_json,
    write_table,
)
from stages.core.tensors import read_tensors, write_tensors

ROOT = Path(__file__).parents[2]
VALUE = {"word": "naïve", "loss": 0.1, "list": [1, None, True]}
TABLE = pa.table({"text": ["a", "b", None], "label": [0, 1, 1]})
TENSORS = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor([1, 2], dtype=torch.int32), "c": torch.tensor(1.5)}
ABOUT = {"classes": ["negative", "positive"], "tokenizer": "whitespace", "max_len": 500, "z": None, "a": "ü"}

WRITERS: dict[str, Callable[[Path], None]] = {
    "json": lambda path: write_json(path, VALUE),
    "parquet": lambda path: write_table(path, TABLE),
    "csv": lambda path: write_csv(path, TABLE),
    "safetensors": lambda path: write_tensors(path, TENSORS, ABOUT),
}
READERS: dict[str, Callable[[Path], object]] = {
    "json": read_json,
    "parquet": read_table,
    "safetensors": read_tensors,
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# replacing


def write_half(path: Path, problem: type[BaseException]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise problem


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_half(tmp_path / "new" / "file", ZeroDivisionError)
    assert names(tmp_path / "new") == []


def test_a_block_that_raises_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path, KeyboardInterrupt)
    assert names(tmp_path) == ["file"]
    assert path.read_text() == "old"


def test_the_old_file_is_whole_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent  # else the last step would be a copy
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file"]


def test_a_block_that_writes_nothing_raises_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_an_old_file_that_is_a_hard_link_is_replaced_and_not_written_into(tmp_path: Path) -> None:
    # What DVC leaves with cache.type hardlink: writing in place would damage its cache
    cached, path = tmp_path / "cached", tmp_path / "file.json"
    cached.write_text("old")
    path.hardlink_to(cached)
    write_json(path, VALUE)
    assert cached.read_text() == "old"
    assert read_json(path) == VALUE


@pytest.mark.parametrize("kind", WRITERS)
def test_a_value_that_cannot_be_written_leaves_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    broken: dict[str, Callable[[], None]] = {
        "json": lambda: write_json(path, {"a": object()}),
        "parquet": lambda: write_table(path, TABLE, no_such_option=1),
        "csv": lambda: write_csv(path, pa.table({"a": [[1]]})),
        "safetensors": lambda: write_tensors(path, TENSORS, {"a": object()}),
    }
    with pytest.raises((TypeError, pa.ArrowException)):
        broken[kind]()
    assert names(tmp_path) == []


# The same bytes


@pytest.mark.parametrize("kind", WRITERS)
def test_written_twice_it_is_the_same_bytes(tmp_path: Path, kind: str) -> None:
    for name in ("one", "two"):
        WRITERS[kind](tmp_path / name / f"file-{name}")
    assert (tmp_path / "one/file-one").read_bytes() == (tmp_path / "two/file-two").read_bytes()


def test_safetensors_are_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    # Its metadata is a hash map, whose order may differ from process to process
    code = (
        "import sys; from pathlib import Path; from tests.core.test_files import *;"
        "[write_tensors(Path(sys.argv[1]) / f'{i}', TENSORS, ABOUT) for i in range(20)]"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, check=False)
    assert done.returncode == 0
    write_tensors(tmp_path / "here", TENSORS, ABOUT)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    for kind, write in WRITERS.items():
        write(tmp_path / kind)
    assert read_json(tmp_path / "json") == VALUE
    assert (tmp_path / "json").read_text(encoding="utf-8").endswith("}\n")
    assert read_table(tmp_path / "parquet").equals(TABLE)
    assert read_table(tmp_path / "parquet", ["label"]).column_names == ["label"]
    assert (tmp_path / "csv").read_text().splitlines()[0] == '"text","label"'
    tensors, about = read_tensors(tmp_path / "safetensors")
    assert about == ABOUT
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == TENSORS[name].dtype
        assert tensor.equal(TENSORS[name])


def test_a_slice_or_a_parameter_is_written_as_its_own_values_alone(tmp_path: Path) -> None:
    whole = torch.arange(1000.0).requires_grad_()
    write_tensors(tmp_path / "file", {"slice": whole[10:30:2]})
    assert read_tensors(tmp_path / "file") == ({"slice": pytest.approx(torch.arange(10.0, 30.0, 2))}, {})
    assert (tmp_path / "file").stat().st_size < 300


def test_tensors_of_another_program_are_read_without_metadata(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, tmp_path / "file")
    tensors, about = read_tensors(tmp_path / "file")
    assert tensors["a"].tolist() == [1, 1]
    assert about == {}


def test_the_metadata_is_json_under_one_key(tmp_path: Path) -> None:
    write_tensors(tmp_path / "file", TENSORS, ABOUT)
    with safe_open(tmp_path / "file", framework="pt") as file:
        assert {key: json.loads(value) for key, value in file.metadata().items()} == {"about": ABOUT}


# Missing and damaged


@pytest.mark.parametrize("kind", READERS)
def test_a_missing_file_is_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        READERS[kind](tmp_path / "lost")
    assert str(caught.value) == f"{tmp_path / 'lost'}: no such file\nmake it again with: dvc repro"


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "folder"])
@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_is_named(tmp_path: Path, kind: str, damage: str) -> None:
    path = tmp_path / "file"
    WRITERS[kind](path)
    content = path.read_bytes()
    path.unlink()
    match damage:
        case "folder":
            path.mkdir()
            (path / "x").write_bytes(b"\x00")
        case _:
            path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "garbage": b"\xff" * 99}[damage])
    with pytest.raises(InputError) as caught:
        READERS[kind](path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith("make it again with: dvc repro")


def test_a_table_without_a_wanted_column_is_named_with_the_column(tmp_path: Path) -> None:
    write_table(tmp_path / "file", TABLE)
    with pytest.raises(InputError, match=r"file: .*\brating\b"):
        read_table(tmp_path / "file", ["text", "rating"])


def test_a_row_group_has_so_many_rows_at_most(tmp_path: Path) -> None:
    write_table(tmp_path / "file", pa.table({"number": range(ROWS + 1)}))
    assert [len(table) for table in read_row_groups(tmp_path / "file", ["number"])] == [ROWS, 1]


def test_row_groups_are_read_one_by_one(tmp_path: Path) -> None:
    write_table(tmp_path / "file", TABLE, 2)
    assert row_groups(tmp_path / "file") == 2
    assert [table.to_pydict() for table in read_row_groups(tmp_path / "file", ["label"])] == [
        {"label": [0, 1]},
        {"label": [1]},
    ]
    assert [len(table) for table in read_row_groups(tmp_path / "file", ["text"], [1])] == [1]
    with pytest.raises(InputError, match=r"file: no column rating\nmake it again"):
        list(read_row_groups(tmp_path / "file", ["text", "rating"]))
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes()[:-9])
    for path in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(InputError, match=rf"{path}: (?s:.*)make it again"):
            list(read_row_groups(path, ["text"]))
        with pytest.raises(InputError, match=rf"{path}: (?s:.*)make it again"):
            row_groups(path)


# The scripts' guard


def script(tmp_path: Path, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "script.py"
    path.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from stages.core.cli import run\n"
        "from stages.core.files import InputError, read_json\n"
        f"def main(reviews: Path, out: Path) -> None:\n    {body}\n"
        "run(main)\n"
    )
    return subprocess.run([sys.executable, path, *arguments], capture_output=True, text=True, check=False)


def test_a_script_gets_its_arguments_as_paths(tmp_path: Path) -> None:
    done = script(tmp_path, "print(repr(reviews), repr(out))", "a/b", "c d")
    assert (done.returncode, done.stdout, done.stderr) == (0, "PosixPath('a/b') PosixPath('c d')\n", "")


def test_a_script_ends_with_all_that_it_printed_and_its_workers_shut_down(tmp_path: Path) -> None:
    body = "from stages.core.cli import ending; ending.callback(print, 'shut down'); print('said', flush=False)"
    done = script(tmp_path, body, "a", "b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "said\nshut down\n", "")


def test_an_input_error_is_one_message_on_stderr_and_exit_code_1(tmp_path: Path) -> None:
    done = script(tmp_path, "raise InputError('reviews: empty')", "a", "b")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: reviews: empty\n")


def test_a_missing_input_is_an_input_error_without_a_traceback(tmp_path: Path) -> None:
    done = script(tmp_path, "read_json(reviews)", "lost.json", "b")
    assert done.returncode == 1
    assert done.stderr == "error: lost.json: no such file\nmake it again with: dvc repro\n"


@pytest.mark.parametrize("arguments", [[], ["a"], ["a", "b", "c"]])
def test_a_wrong_number_of_arguments_shows_the_usage(tmp_path: Path, arguments: list[str]) -> None:
    done = script(tmp_path, "print('ran')", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: script.py [-h] [--cost FILE] REVIEWS OUT\n")


def test_what_a_script_cost_is_written_with_its_childrens_part(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    body = f"import subprocess; held = b'x' * 300_000_000; subprocess.run([sys.executable, '-c', {busy!r}])"
    assert script(tmp_path, body, "a", "b", "--cost", str(tmp_path / "costs/script.json")).returncode == 0
    written = read_json(tmp_path / "costs/script.json")
    assert written.keys() == {"seconds", "cpu_seconds", "peak_mb"}
    assert min(written["seconds"], written["cpu_seconds"]) >= 0.5
    assert 300 <= written["peak_mb"] < 600


def test_a_script_that_fails_writes_no_cost(tmp_path: Path) -> None:
    done = script(tmp_path, "raise InputError('reviews: empty')", "a", "b", "--cost", str(tmp_path / "cost.json"))
    assert (done.returncode, done.stderr) == (1, "error: reviews: empty\n")
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def test_where_the_system_does_not_tell_the_peak_the_cost_is_without(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cost().keys() == {"seconds", "cpu_seconds", "peak_mb"}
    monkeypatch.setattr("stages.core.cli.resource", None)
    assert cost().keys() == {"seconds", "cpu_seconds"}


def test_any_other_error_keeps_its_traceback(tmp_path: Path) -> None:
    done = script(tmp_path, "raise ValueError('a bug')", "a", "b")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ValueError: a bug" in done.stderr


def test_ctrl_c_is_exit_code_130_without_a_traceback() -> None:
    with pytest.raises(SystemExit) as caught, exit_on_error():
        raise KeyboardInterrupt
    assert caught.value.code == 130


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_letter_that_the_log_cannot_spell_is_an_escape(monkeypatch: pytest.MonkeyPatch, wrapped: bool) -> None:
    log = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    # As libraries do that colour a terminal
    monkeypatch.setattr(sys, "stdout", StreamWrapper(log, AnsiToWin32(log)) if wrapped else log)
    with exit_on_error():
        print("très bon", flush=True)
    assert log.buffer.getvalue() == b"tr\\xe8s bon\n"


def test_run_passes_the_arguments_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def main(only: Path) -> None:
        seen.append(only)

    monkeypatch.setattr(sys, "argv", ["script.py", "x"])
    run(main)
    assert seen == [Path("x")]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["b", "a"], "'b', 'a'"),
        ([3], "3"),
        (list("abcde"), "'a', 'b', 'c', 'd', 'e'"),
        (list(range(1, 2007)), "1, 2, 3, 4, 5 and 2,001 more"),
        ([], ""),
    ],
)
def test_a_message_lists_a_few_values_and_counts_the_rest(values: list[object], text: str) -> None:
    assert some(values) == text
