"""Tables of reviews are classified as their texts alone, by however many workers."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from stages.core.files import write_table
from stages.engine import row_groups as engine
from tests.apps.test_predict import Ask, ask  # noqa: F401, the fixture
from tests.cluster import ROOT
from tests.conftest import TEST

TEXTS = [f"{text} {'great ' * (i % 5)}{'bad ' * (i % 3)}" for i in range(3) for text in TEST]
REFUSED = {4: "", 11: " \n", 13: None}


def set_engine(**values: object) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["engine"] |= values
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


@pytest.fixture
def table(tmp_path: Path) -> str:
    texts = [REFUSED.get(row, text) for row, text in enumerate(TEXTS, 1)]
    write_table(tmp_path / "reviews.parquet", pa.table({"id": range(len(texts)), "text": texts}), 4)
    return "reviews.parquet"


def test_a_table_is_classified_as_its_texts_are_alone(ask: Ask, table: str) -> None:  # noqa: F811
    set_engine(workers=1)
    answer = ask(table, "--json")
    assert answer.code == 1
    for row in REFUSED:
        assert f"error: reviews.parquet, row {row} is empty; expected a review" in answer.error
    rows = [row for row in range(1, len(TEXTS) + 1) if row not in REFUSED]
    alone = [json.loads(line) for line in ask("--json", *(TEXTS[row - 1] for row in rows)).lines]
    found = [json.loads(line) for line in answer.lines]
    assert [(one["file"], one["line"], one["text"]) for one in found] == [(table, row, TEXTS[row - 1]) for row in rows]
    for one, other in zip(found, alone, strict=True):
        for model, prediction in one["models"].items():
            assert prediction["probabilities"] == pytest.approx(other["models"][model]["probabilities"], abs=2e-6)


def test_the_predictions_of_workers_are_the_same(ask: Ask, table: str) -> None:  # noqa: F811
    set_engine(workers=1)
    expected = ask(table, "--json")
    set_engine(workers=2)
    assert ask(table, "--json") == expected


def test_without_a_params_yaml_the_predictions_are_the_same(ask: Ask, tmp_path: Path) -> None:  # noqa: F811
    write_table(tmp_path / "reviews.parquet", pa.table({"text": TEST}))
    found = ask("reviews.parquet")
    assert not Path("params.yaml").exists()
    set_engine(workers=1)
    assert ask("reviews.parquet") == found
    assert (found.code, len(found.lines)) == (0, len(TEST))


def test_a_wrong_params_yaml_is_one_error(ask: Ask, table: str) -> None:  # noqa: F811
    set_engine(workers="many")
    answer = ask(table)
    assert (answer.code, answer.lines) == (1, [])
    expected = "engine.workers: 'many' found, expected a whole number from 1, or null"
    assert answer.error == f"error: params.yaml: 1 problem\n  {expected}\n"


def test_a_row_group_is_classified_here(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(engine, "_on_this_machine", None)
    write_table(tmp_path / "reviews.parquet", pa.table({"text": TEST}))
    set_engine(workers=2)
    assert len(ask("reviews.parquet").lines) == len(TEST)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": [1]}, "no column 'text' (--column); it has 'id'"),
        ({"text": [1]}, "its column text holds int64; expected strings"),
    ],
)
def test_a_table_of_something_else_is_named_and_the_rest_classified(
    ask: Ask,  # noqa: F811
    tmp_path: Path,
    columns: dict[str, list[int]],
    message: str,
) -> None:
    write_table(tmp_path / "a.parquet", pa.table(columns))
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    write_table(tmp_path / "c.parquet", pa.table({"text": ["great"]}))
    set_engine(workers=1)
    answer = ask("a.parquet", "b.parquet", "missing.parquet", "c.parquet")
    assert (answer.code, len(answer.lines)) == (1, 1)
    for part in ("a.parquet: ", message, "b.parquet: ", "missing.parquet: no such file"):
        assert part in answer.error


def test_tables_and_other_reviews_in_one_command_are_refused(ask: Ask) -> None:  # noqa: F811
    answer = ask("a.parquet", "a great film")
    assert (answer.code, answer.lines) == (1, [])
    assert answer.error == "error: a.parquet and other reviews in one command; expected Parquet files alone, or none\n"


def test_a_folder_of_tables_is_classified(ask: Ask, tmp_path: Path, table: str) -> None:  # noqa: F811
    (tmp_path / "folder").mkdir()
    shutil.copy(table, tmp_path / "folder")
    set_engine(workers=1)
    assert ask("folder", "--model", "birnn").lines == ask(table, "--model", "birnn").lines
