import copy
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from stages.config.params import Params, load_params
from stages.core.files import InputError

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
VALUES = yaml.safe_load(TEXT)
SHA256 = "sha256:" + "0" * 64


def load(tmp_path: Path, text: str) -> Params:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return load_params(path)


def changed(place: str, value: Any) -> str:
    """The project's params.yaml with one value replaced."""
    values = copy.deepcopy(VALUES)
    *sections, key = place.split(".")
    section = values
    for name in sections:
        section = section[name]
    section[key] = value
    return yaml.safe_dump(values)


def without(place: str) -> str:
    values = copy.deepcopy(VALUES)
    *sections, key = place.split(".")
    section = values
    for name in sections:
        section = section[name]
    del section[key]
    return yaml.safe_dump(values)


def problems(tmp_path: Path, text: str) -> list[str]:
    """The message's lines after the first, which counts them."""
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    first, *lines = str(caught.value).split("\n  ")
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/params\.yaml: {len(lines)} problems?", first)
    return lines


def replaced(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: replaced(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, change) for inner in value]
    return change(value)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that a value of this type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation)
            yield from (model for extra in field.metadata for model in models(extra))
    for inner in get_args(annotation):
        yield from models(inner)


# What is right


def test_the_projects_own_file_is_valid() -> None:
    load_params(ROOT / "params.yaml")


def test_validation_returns_the_values_of_the_file() -> None:
    assert load_params(ROOT / "params.yaml").model_dump() == VALUES


@pytest.mark.parametrize("launcher", ["python", "torchrun", "torchrun --nproc-per-node 2 --rdzv-endpoint=[::1]:29400"])
def test_trainings_are_started_by_python_or_torchrun(tmp_path: Path, launcher: str) -> None:
    assert load(tmp_path, changed("launcher", launcher)).launcher == launcher


@pytest.mark.parametrize("launcher", ["", "python3", "torchrun; true", "torchrun $HOME", "python -m pdb", "torchrun2"])
def test_other_launchers_are_refused(tmp_path: Path, launcher: str) -> None:
    (line,) = problems(tmp_path, changed("launcher", launcher))
    assert line == f"launcher: {launcher!r} found, expected python, or torchrun and its options"


def test_a_float_may_be_written_as_a_string(tmp_path: Path) -> None:
    # What `dvc exp run -S lr=1e-5` leaves behind
    text = yaml.safe_dump(replaced(VALUES, lambda value: repr(value) if isinstance(value, float) else value))
    assert "'0.01'" in text
    assert load(tmp_path, text).model_dump() == VALUES


@pytest.mark.parametrize(
    ("written", "number"),
    [("1e-05", 1e-05), ("1e-5", 1e-05), ('"0.003"', 0.003), ("0.5", 0.5), ("1", 1.0), ("2E-3", 0.002)],
)
def test_a_rate_is_taken_in_every_way_of_writing_it(tmp_path: Path, written: str, number: float) -> None:
    text = re.sub(r"(?m)^  lr: 0\.01 ", f"  lr: {written} ", TEXT, count=1)
    assert text != TEXT
    rate = load(tmp_path, text).train_birnn.lr
    assert rate == number
    assert isinstance(rate, float)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("train_textcnn.dropout", 0),
        ("train_textcnn.dropout", "0.25"),
        ("train_birnn.pad_to", 500),
        ("train_birnn.device", "cuda:1"),
        ("train_birnn.seed", 2**32 - 1),
        ("engine.workers", 3),
        ("engine", {"backend": "dask", "workers": None, "address": "tcp://host:8786"}),
        ("own.split", "which split"),
        ("own.test_fraction", "1e-05"),
        ("sources.imdb.full.hash", SHA256),
        ("sources.imdb.full.hash", "sha1:" + "f" * 40),
        ("sources.imdb.full.hash", None),
        ("sources.imdb.full.urls", ["~/aclImdb.tar.gz", {"url": "https://x/y", "hash": None, "size": 3}]),
    ],
)
def test_what_a_value_may_be(tmp_path: Path, place: str, value: Any) -> None:
    load(tmp_path, changed(place, value))


def test_patience_goes_with_a_held_out_part(tmp_path: Path) -> None:
    text = TEXT.replace("  validation_fraction: 0.0 ", "  validation_fraction: 0.2 ")
    text = text.replace("  patience: null ", "  patience: 2 ")
    assert load(tmp_path, text).scratch.patience == 2
    (line,) = problems(tmp_path, text.replace("patience: 2", "patience: 0", 1))
    assert line.startswith("train_birnn.patience: 0 found, expected a whole number from 1")


def test_the_users_own_data_may_hold_a_validation_part(tmp_path: Path) -> None:
    text = TEXT.replace("  patience: null ", "  patience: 2 ").replace("  calibrate: false ", "  calibrate: true ")
    params = load(tmp_path, text.replace("dataset: sample ", "dataset: own "))
    assert (params.scratch.patience, params.train_linear.calibrate) == (2, True)
    assert len(problems(tmp_path, text)) == 9
    assert len(problems(tmp_path, text.replace("dataset: sample ", "dataset: [own] "))) == 10


# What is wrong


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        ("train_birnn.epochs", 2.5, "2.5 found, expected a whole number from 1"),
        ("train_birnn.epochs", True, "True found, expected a whole number from 1"),
        ("train_birnn.epochs", "5", "'5' found, expected a whole number from 1"),
        ("train_birnn.epochs", 0, "0 found, expected a whole number from 1"),
        ("train_birnn.epochs", None, "None found, expected a whole number from 1"),
        ("train_birnn.lr", -1, "-1 found, expected a number above 0"),
        ("train_birnn.lr", 0, "0 found, expected a number above 0"),
        ("train_birnn.lr", float("nan"), "nan found, expected a number above 0"),
        ("train_birnn.lr", "nan", "'nan' found, expected a number above 0"),
        ("train_birnn.lr", float("inf"), "inf found, expected a number above 0"),
        ("train_birnn.lr", "abc", "'abc' found, expected a number above 0"),
        ("train_birnn.lr", True, "True found, expected a number above 0"),
        ("train_birnn.seed", -1, "-1 found, expected a whole number from 0 to 4294967295"),
        ("train_birnn.freeze_vectors", "yes", "'yes' found, expected true or false"),
        ("train_birnn.freeze_vectors", 1, "1 found, expected true or false"),
        ("train_birnn.device", "gpu", "'gpu' found, expected auto, cpu, mps, cuda or cuda:N"),
        ("train_birnn.device", "cpu\n", "'cpu\\n' found, expected auto, cpu, mps, cuda or cuda:N"),
        (
            "finetune.patience",
            2,  # the file's validation_fraction is 0
            "2 found, expected a whole number from 1, or null; null where validation_fraction is 0, "
            "unless dataset is own",
        ),
        (
            "train_linear.calibrate",
            True,
            "True found, expected true or false; false where validation_fraction is 0, unless dataset is own",
        ),
        ("train_birnn.validation_fraction", 1, "1 found, expected a number from 0 to below 1"),
        ("train_birnn.threads", 0, "0 found, expected a whole number from 1, or null"),
        ("train_birnn.cell", "transformer", "'transformer' found, expected 'lstm', 'gru' or 'rnn'"),
        ("train_textcnn.dropout", 1, "1 found, expected a number from 0 to below 1"),
        ("train_textcnn.dropout", float("nan"), "nan found, expected a number from 0 to below 1"),
        ("train_textcnn.kernel_sizes", [], "[] found, expected a list of different whole numbers from 1"),
        ("train_textcnn.kernel_sizes", [3, 3], "[3, 3] found, expected a list of different whole numbers from 1"),
        ("train_textcnn.kernel_sizes", 3, "3 found, expected a list of different whole numbers from 1"),
        (
            "own.reviews",
            None,
            "None found, expected the path of a file or folder, without ~, which DVC would not resolve",
        ),
        ("own.text", "", "'' found, expected the name of a column"),
        ("own.label", 0, "0 found, expected the name of a column"),
        ("own.split", 0, "0 found, expected the name of a column, or null"),
        ("own.test_fraction", 0, "0 found, expected a number above 0 and below 1"),
        ("own.test_fraction", 1, "1 found, expected a number above 0 and below 1"),
        ("dataset", "tiny", "'tiny' found, expected 'sample', 'full' or 'own'"),
        (
            "sources.imdb.full.hash",
            "md5:7c2ac02c03563afcf9b574c7e56c153a",
            "'md5:7c2ac02c03563afcf9b574c7e56c153a' found, expected sha256:… or sha1:… in hexadecimal, or null",
        ),
        ("engine.workers", 0, "0 found, expected a whole number from 1, or null"),
        ("engine.address", "", "'' found, expected a scheduler's address, as tcp://host:8786, or null"),
        ("engine.backend", "ray", "'ray' found, expected 'loky' or 'dask'"),
        ("sources.imdb.full.size", 1.5, "1.5 found, expected a whole number from 1, or null"),
        ("sources.imdb.full.urls", [], "[] found, expected a list of at least one address, or embedded alone"),
        (
            "sources.imdb.full.urls",
            "https://x",
            "'https://x' found, expected a list of at least one address, or embedded alone",
        ),
        ("sources.imdb.full.urls", None, "None found, expected a list of at least one address, or embedded alone"),
        (
            "sources.glove.full.urls",
            ["/v.txt", "embedded"],
            "['/v.txt', 'embedded'] found, expected a list of at least one address, or embedded alone",
        ),
        *(
            (
                f"sources.{name}.own.urls",
                value,
                f"{value!r} found, expected one path without ~, data/example/embedded for what is made here; "
                "an http(s) address stands in download",
            )
            for name in ("glove", "source_model")
            for value in (["/a.vec", "/b.vec"], [], ["https://host/a.vec"], [""], ["embedded"], ["~/a.vec"])
        ),
        ("sources.glove.own.download", "/a.vec", "'/a.vec' found, expected an http(s) address, or null"),
        ("own.encoding", "klingon", "'klingon' found, expected an encoding, such as cp1252, or null"),
        ("own.delimiter", ";;", "';;' found, expected one letter, tab, or null"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(tmp_path: Path, place: str, value: Any, line: str) -> None:
    assert problems(tmp_path, changed(place, value)) == [f"{place}: {line}"]


def test_a_wrong_entry_of_a_list_is_named_by_its_place(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, changed("train_textcnn.kernel_sizes", [3, 0]))
    assert line.startswith("train_textcnn.kernel_sizes.1: 0 found, expected ")
    (line,) = problems(tmp_path, changed("sources.imdb.full.urls", ["https://x", 5]))
    assert line.startswith("sources.imdb.full.urls.1: 5 found, expected ")
    (line,) = problems(tmp_path, changed("sources.imdb.full.urls", [""]))
    assert re.fullmatch(
        r"sources\.imdb\.full\.urls\.0: '' found, expected (an|a list of at least one) .*address.*", line
    )


def test_a_mirror_with_a_file_of_its_own_is_checked_too(tmp_path: Path) -> None:
    place = "sources.glove.full.urls"
    mirror = {"url": "https://x/y.zip", "hash": SHA256, "size": 3}
    (line,) = problems(tmp_path, changed(place, [{key: mirror[key] for key in ("url", "size")}]))
    assert line == f"{place}.0.hash: missing; add it"
    (line,) = problems(tmp_path, changed(place, ["https://x", mirror | {"hash": "abc"}]))
    assert line == f"{place}.1.hash: 'abc' found, expected sha256:… or sha1:… in hexadecimal, or null"
    (line,) = problems(tmp_path, changed(place, [mirror | {"sise": 3}]))
    assert line == f"{place}.0.sise: unknown key; did you mean size?"


def test_an_unknown_key_comes_with_the_one_that_was_meant(tmp_path: Path) -> None:
    assert problems(tmp_path, changed("train_birnn.num_hidden", 50)) == [
        "train_birnn.num_hidden: unknown key; did you mean num_hiddens?"
    ]
    assert problems(tmp_path, changed("train_brnn", {})) == ["train_brnn: unknown key; did you mean train_birnn?"]


def test_an_unknown_key_like_no_other_comes_with_all_that_are_known(tmp_path: Path) -> None:
    assert problems(tmp_path, changed("build_vocab.xyz", 1)) == [
        "build_vocab.xyz: unknown key; known: tokenizer, min_freq"
    ]


def test_a_cluster_needs_an_address(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, changed("engine.backend", "dask"))
    assert line.startswith("engine: ")
    assert line.endswith(" found, expected an address where the backend is dask")


@pytest.mark.parametrize("place", ["train_birnn.lr", "sources.imdb.full.size", "train_textcnn", "dataset"])
def test_a_missing_key_or_section_is_named(tmp_path: Path, place: str) -> None:
    assert problems(tmp_path, without(place)) == [f"{place}: missing; add it"]


@pytest.mark.parametrize("value", [None, 3, "lr", [1, 2]])
def test_a_section_that_is_none_is_named_with_its_keys(tmp_path: Path, value: Any) -> None:
    assert problems(tmp_path, changed("embed_glove", value)) == [
        f"embed_glove: {value!r} found, expected a section with the keys dim"
    ]


def test_all_problems_come_in_one_error(tmp_path: Path) -> None:
    values = copy.deepcopy(VALUES)
    values["train_birnn"] |= {"lr": "abc", "epochs": 2.5, "epoch": 3}
    values["train_textcnn"]["dropout"] = 1.5
    values["sources"]["glove"]["sample"]["urls"] = []
    values["tensorize"] = None
    del values["evaluate"]["threads"], values["dataset"]
    assert problems(tmp_path, yaml.safe_dump(values)) == [
        "dataset: missing; add it",
        "evaluate.threads: missing; add it",
        "sources.glove.sample.urls: [] found, expected a list of at least one address, or embedded alone",
        "tensorize: None found, expected a section with the keys max_len, keep",
        "train_birnn.epoch: unknown key; did you mean epochs?",
        "train_birnn.epochs: 2.5 found, expected a whole number from 1",
        "train_birnn.lr: 'abc' found, expected a number above 0",
        "train_textcnn.dropout: 1.5 found, expected a number from 0 to below 1",
    ]


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    (line,) = problems(tmp_path, text)
    assert line.startswith("the file: None found, expected a section with the keys dataset, launcher, own, sources, ")


@pytest.mark.parametrize(
    "text", ["dataset: [sample\n", "a: b: c\n", "\tdataset: sample\n", "? [a]\n: b\n", "!!python/x 1"]
)
def test_broken_yaml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"params\.yaml is not YAML: "):
        load(tmp_path, text)


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"dataset: \xff\n")
    with pytest.raises(InputError, match=r"params\.yaml is not YAML: "):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("key", [1, True, None])
def test_a_key_that_is_no_string_is_refused(tmp_path: Path, key: Any) -> None:
    (line,) = problems(tmp_path, yaml.safe_dump(VALUES | {key: 1}))
    assert line.endswith("strings")


def test_a_missing_file_is_refused_with_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: No such file or directory; run from the project's folder"):
        load_params(tmp_path / "params.yaml")


# What can only check, never change a result


def test_every_section_forbids_extra_keys_and_no_key_has_a_default() -> None:
    found = set(models(Params))
    assert {"Params", "Source", "OtherFile", "TrainBirnn", "Compute"} <= {model.__name__ for model in found}
    for model in found:
        assert model.model_config.get("extra") == "forbid", model
        for name, field in model.model_fields.items():
            assert field.is_required(), f"{model.__name__}.{name} has a default"


def test_every_value_of_the_file_has_a_comment_on_its_line() -> None:
    lines = TEXT.splitlines()
    keys = []

    def look(node: yaml.Node) -> None:
        assert isinstance(node, yaml.MappingNode)
        for key, value in node.value:
            if isinstance(value, yaml.MappingNode):
                look(value)
            else:
                keys.append(key.value)
                # Of a list that goes on for some lines the key's own line counts
                last = value.end_mark.line if getattr(value, "flow_style", True) else key.start_mark.line
                assert re.search(r"\s# ?\S", lines[last]), lines[last]

    root = yaml.compose(TEXT)
    look(root)
    assert len(keys) > 40


# The command


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runpy; "]
    command[-1] += "runpy.run_module('stages.config.params', run_name='__main__', alter_sys=True)"
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_says_ok_in_the_project() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.config.params"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "params.yaml: ok\n", "")


def test_the_command_exits_1_with_all_problems_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(changed("train_birnn.epochs", 2.5))
    done = check(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: params.yaml: 1 problem\n  train_birnn.epochs: 2.5 found, expected a whole number from 1\n"
    )


def test_the_command_exits_1_without_a_file(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml: No such file")
