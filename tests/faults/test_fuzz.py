"""Params, vectors and reviews that no one would think of: a result that is right, or one error that names the place."""

import contextlib
import io
import math
import re
import struct
import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import csv

from stages.config.params import load_params
from stages.core.files import InputError
from stages.text.models.birnn import BiRNN
from stages.text.models.textcnn import TextCNN
from stages.text.special import UNK, UNK_INDEX
from stages.text.training import train_text_model
from stages.text.vectors.glove import _BLANKS, _other_format, _split, read_vectors
from stages.text.vectors.table import vectors_of
from stages.text.words.tokens import tokenizer
from tests.project import ROOT
from tests.text.written import encode_texts

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
PARAMS = yaml.safe_load(TEXT)
TOKENIZERS = ["whitespace", "basic_english", "characters"]


def examples(count: int) -> settings:
    """So many examples, the same ones each time."""
    calm = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=calm)


def outcome(act: Callable[[], Any]) -> tuple[Any, str]:
    """What `act` returns, or the message of its InputError; any other error is a failure."""
    try:
        return act(), ""
    except InputError as problem:
        return None, str(problem)


def places(section: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key of params.yaml, sections too, as a path."""
    items = section.items() if isinstance(section, dict) else enumerate(section) if isinstance(section, list) else ()
    return [place for key, value in items for place in [(*above, key), *places(value, (*above, key))]]


plain = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["1e-05", "-1", "0", "nan", ".inf", "auto", "cuda:0", "lstm", "embedded", "1_000", "0x10", ""])
)  # fmt: skip
anything = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain, inner, max_size=3))


def loaded(values: Any) -> Any:
    """The parameters of a file with these values; raises InputError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
        return load_params(path)


def as_number(value: Any) -> Any:
    """Numbers that YAML 1.1 takes for strings are the one thing that the check mends."""
    if isinstance(value, dict):
        return {key: as_number(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_number(inner) for inner in value]
    if isinstance(value, str | int) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            return number if math.isfinite(number := float(value)) else value  # a file may be called "nan"
    return value


@examples(400)
@given(st.sampled_from(places(PARAMS)), anything)
@example(("own", "reviews"), "NAN")
@example(("own",), {"\r": None})
@example(("own",), {"<": None})
@example(("own",), {"": None})
@example(("own",), {1: None})
def test_another_value_anywhere_is_taken_as_it_is_or_refused_by_its_key(place: tuple[Any, ...], value: Any) -> None:
    values = deepcopy(PARAMS)
    section = values
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value
    params, said = outcome(lambda: loaded(values))
    if params is not None:
        assert as_number(params.model_dump()) == as_number(values)
        return
    first, *lines = said.splitlines()
    assert re.search(r"params\.yaml: \d+ problems?$", first)
    key = ".".join(takewhile(lambda part: isinstance(part, str), place))  # what follows may name the list or an item
    assert lines
    assert all(line.startswith(f"  {key}") for line in lines)


@examples(100)
@given(st.sampled_from([place for place in places(PARAMS) if all(isinstance(part, str) for part in place)]))
def test_a_key_that_goes_or_is_misspelt_is_named(place: tuple[Any, ...]) -> None:
    values = deepcopy(PARAMS)
    section = values
    for key in place[:-1]:
        section = section[key]
    section[f"{place[-1]}x"] = section.pop(place[-1])
    name = ".".join(place)
    said = outcome(lambda: loaded(values))[1]
    assert f"{name}: missing" in said
    assert f"{name}x: unknown key; did you mean {place[-1]}?" in said


@examples(300)
@given(
    st.integers(0, len(TEXT)), st.integers(0, 40), st.text(max_size=8) | st.sampled_from(["[" * 3000, "&a *a", "!!x"])
)
@example(0, 0, "2001-99-99: 1\n")
@example(0, 0, "{" * 5000)
@example(TEXT.index("epochs: 5") + 8, 1, "9" * 5000)
def test_a_file_with_a_hole_or_a_patch_is_read_or_refused_with_one_error(start: int, gone: int, patch: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_bytes((TEXT[:start] + patch + TEXT[start + gone :]).encode("utf-8", "surrogatepass"))
        outcome(lambda: load_params(path))


# Sections that are allowed, on the tiny reviews


@dataclass(frozen=True)
class Section:
    seed: int
    epochs: int
    batch_size: int
    vector_eps: float
    lr: float
    schedule: str
    clip_norm: float | None
    label_smoothing: float
    average_epochs: int
    validation_fraction: float
    patience: int | None
    calibrate: bool
    mask_padding: bool
    pad_to: int | None
    device: str = "cpu"
    precision: str = "fp32"
    threads: int | None = 1


parts = st.just(0.0) | st.floats(0, 0.9)
sections = st.builds(
    Section,
    seed=st.integers(0, 2**32 - 1),
    epochs=st.integers(1, 2),
    batch_size=st.integers(1, 30),
    vector_eps=st.floats(1e-12, 1e3),
    lr=st.floats(1e-12, 1e30),
    schedule=st.sampled_from(["constant", "one_cycle"]),
    clip_norm=st.none() | st.floats(1e-6, 1e6),
    label_smoothing=parts,
    average_epochs=st.integers(0, 3),
    # A subnormal fraction is flushed to 0 in training
    validation_fraction=st.just(0.0) | st.floats(0, 1, exclude_max=True, allow_subnormal=False),
    patience=st.none() | st.integers(1, 3),
    calibrate=st.booleans(),
    mask_padding=st.booleans(),
    pad_to=st.none() | st.integers(1, 40),
    precision=st.sampled_from(["fp32", "bf16"]),
)
birnn = st.fixed_dictionaries(
    {
        "cell": st.sampled_from(["lstm", "gru", "rnn"]),
        "num_hiddens": st.integers(1, 9),
        "num_layers": st.integers(1, 3),
        "pooling": st.sampled_from(["ends", "mean_max"]),
        "dropout": parts,
        "freeze_vectors": st.booleans(),
        "word_dropout": parts,
        "embedding_dropout": parts,
    }
)
textcnn = st.fixed_dictionaries(
    {
        "kernel_sizes": st.lists(st.integers(1, 60), min_size=1, max_size=3, unique=True),
        "num_channels": st.integers(1, 5),
        "dropout": st.floats(0, 1, exclude_max=True),
        "pooling": st.sampled_from(["max", "mean_max"]),
        "freeze_vectors": st.booleans(),
        "word_dropout": parts,
        "embedding_dropout": parts,
    }
)


@examples(40)
@given(sections, st.tuples(st.just(BiRNN), birnn) | st.tuples(st.just(TextCNN), textcnn))
def test_a_section_that_is_allowed_trains_or_says_why_not(
    trained: Path, section: Section, model: tuple[Any, dict[str, Any]]
) -> None:
    artifacts = trained / "artifacts"
    inputs = (artifacts / "reviews", artifacts / "glove.safetensors")
    with tempfile.TemporaryDirectory() as folder:
        said = outcome(lambda: train_text_model(*model, section, "sample", *inputs, Path(folder) / "model"))[1]
        torch.set_flush_denormal(False)
        if said:
            expected = r"epoch \d, (batch \d+|(test|validation) pass): the loss is |validation_fraction: "
            assert re.match(rf"{expected}|.*(patience|calibrate): there is no validation split", said)
            return
        curves = csv.read_csv(Path(folder) / "model/curves.csv").to_pylist()
    for split in ("train", "validation" if section.validation_fraction else "test"):
        assert all(math.isfinite(row[f"{split}_loss"]) for row in curves)
        assert all(0 <= row[f"{split}_accuracy"] <= 1 for row in curves)


# The parsers

BLANKS = "\t\x0b\x0c\0\x1f"  # tabs, what Python takes for blanks, NULs and Arrow's separator: see test_vector_files
numbers = st.one_of(
    st.floats(width=32).map(repr), st.integers(-(10**40), 10**40).map(str),
    st.sampled_from(["", "1_0", "nan", "inf", "-", "1e40", "1e-50", "0x1", "1.", ".5", "+1", "--1", "é", '"1"', "1,5"]),
)  # fmt: skip
words = st.text(
    st.characters(exclude_characters=" \r\n" + BLANKS, exclude_categories=["Cs"]), max_size=5
) | st.sampled_from(['"', "null", "nan", "1", "#", ",", "\\", "a"])
rows = st.tuples(words, st.lists(numbers, min_size=1, max_size=3)).map(lambda row: " ".join([row[0], *row[1]]))


def header(lines: list[bytes]) -> int:
    """How many of the lines are one that says how many words and numbers follow: one or none."""
    return int(re.fullmatch(rb"[0-9]+ [0-9]+\r?", lines[0]) is not None)


def expected(lines: list[bytes]) -> dict[bytes, tuple[float, ...]] | int:
    """Two-dimensional vectors by Python alone: the words with their numbers, or the first bad line."""
    found: dict[bytes, tuple[float, ...]] = {}
    rows = lines[header(lines) :]
    while rows and not rows[-1].strip(_BLANKS):  # empty lines at the end are none
        rows.pop()
    for number, line in enumerate(rows, 1 + header(lines)):
        word, texts = _split(line, 2)  # tested by examples, in test_vector_files
        try:
            word.decode()
            values = [float(text) for text in texts if b"_" not in text]
            if len(texts) != 2 or len(values) != 2 or any(text != text.strip() for text in texts):
                return number
            row = struct.unpack("2f", struct.pack("2f", *values))
        except (ValueError, OverflowError):
            return number
        if not all(map(math.isfinite, row)):
            return number
        found.setdefault(word, row)
    return found


@examples(400)
@given(
    st.lists(
        rows.map(str.encode) | st.binary(max_size=9).map(lambda line: line.translate(None, b"\r\n" + BLANKS.encode())),
        min_size=1,
    )
)
@example([b"a nan 1"])
@example([b"3 2"])
@example([b"3 2", b"", b" "])
@example([b"a 1 2", b"b 1e40 1"])
@example([b"a 1 2", b"", b""])
@example([b"a 1 2", b"", b"b 1 2"])
def test_vectors_are_what_python_reads_or_the_first_bad_line_is_named(lines: list[bytes]) -> None:
    is_other = _other_format(b"\n".join(lines) + b"\n", 2)  # a pickle, UTF-16: tested by examples, in test_vector_files
    mark = b"\xef\xbb\xbf"
    want = expected([lines[0].removeprefix(mark), *lines[1:]])
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "vectors.txt"
        path.write_bytes(b"\n".join(lines) + b"\n")
        table, said = outcome(lambda: read_vectors(path, 2))
    if is_other:
        assert said
        return
    if said:
        lines = [lines[0].removeprefix(mark), *lines[1:]]
        empty = not b"".join(lines[header(lines) :]).strip()
        assert "empty" in said if empty else f"line {want} " in said
        return
    assert isinstance(want, dict), f"line {want} was taken"
    found = zip(table["word"].to_pylist(), map(tuple, vectors_of(table).tolist()), strict=True)
    assert {word.encode(): row for word, row in found} == want


@examples(200)
@given(st.lists(st.text(), min_size=1), st.integers(1, 9), st.sampled_from(TOKENIZERS))
def test_any_review_becomes_indices_of_its_words(texts: list[str], longest: int, name: str) -> None:
    found = tokenizer(name)(texts).to_pylist()
    vocabulary = ["<unk>", "<pad>", *sorted({word for tokens in found for word in tokens} - {"<unk>", "<pad>"})[::2]]
    ids, offsets = encode_texts(texts, vocabulary, longest, name)
    assert len(offsets) == len(texts) + 1
    known = {word: index for index, word in enumerate(vocabulary)}
    for place, tokens in enumerate(found):
        row = ids[offsets[place] : offsets[place + 1]].tolist()
        assert row == [known.get(word, UNK_INDEX) for word in (tokens or [UNK])[:longest]]
