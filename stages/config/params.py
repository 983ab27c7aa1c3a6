"""The sections of params.yaml, and their validation; also the command `sentidog check`.

No section has a default that determines a result. So this module can refuse a file, but not change a result, and no
stage has it among its deps.
"""

import argparse
import difflib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
)
from pydantic.fields import FieldInfo

from stages.core.cli import exit_on_error
from stages.core.files import InputError

PARAMS = Path("params.yaml")


def _number(value: Any) -> Any:
    # `dvc exp run -S lr=1e-5` writes 1e-05, which YAML 1.1 reads as a string.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _with_validation(asked: Any, found: ValidationInfo) -> Any:
    """Refuse what needs a validation split where there is none; only the training knows whether the user gives one."""
    if asked and found.data.get("validation_fraction") == 0 and found.context != "own":
        raise ValueError("a validation split")
    return asked


def _ascending(values: list[float]) -> list[float]:
    if values[0] > values[1]:
        raise ValueError("the smaller one first")
    return values


def _distinct(values: list[int]) -> list[int]:
    if len(set(values)) != len(values):
        raise ValueError("no value twice")
    return values


def _with_address(engine: "Engine") -> "Engine":
    if engine.backend == "dask" and engine.address is None:
        raise ValueError("an address")
    return engine


def _without_tilde(path: str) -> str:
    if path.startswith("~"):
        raise ValueError("a whole path")
    return path


def _embedded_alone(urls: list[Any]) -> list[Any]:
    if "embedded" in urls and len(urls) > 1:  # it is always there: no other would be tried
        raise ValueError("embedded alone")
    return urls


def _one_path(urls: list[str]) -> list[str]:
    if any(url in ("", "embedded") or "://" in url or url.startswith("~") for url in urls):  # DVC takes it as it is
        raise ValueError("a path")
    return urls


def _known_encoding(name: str | None) -> str | None:
    try:
        "".encode(name or "utf-8")
    except LookupError as problem:
        raise ValueError("an encoding that Python knows") from problem
    return name


def _allowed(text: str, **limits: Any) -> Any:
    return Field(description=text, **limits)


Count = Annotated[int, _allowed("a whole number from 1", ge=1)]
CountOrZero = Annotated[int, _allowed("a whole number from 0", ge=0)]
CountOrNull = Annotated[int | None, _allowed("a whole number from 1, or null", ge=1)]
Seed = Annotated[int, _allowed("a whole number from 0 to 4294967295", ge=0, lt=2**32)]
Rate = Annotated[float, BeforeValidator(_number), _allowed("a number above 0", gt=0, allow_inf_nan=False)]
RateOrNull = Annotated[
    Annotated[float, Field(gt=0, allow_inf_nan=False)] | None,
    BeforeValidator(_number),
    _allowed("a number above 0, or null"),
]
Share = Annotated[float, BeforeValidator(_number), _allowed("a number from 0 to below 1", ge=0, lt=1)]
Fraction = Annotated[float, BeforeValidator(_number), _allowed("a number above 0 and below 1", gt=0, lt=1)]
Probability = Annotated[float, BeforeValidator(_number), _allowed("a number from 0 to 1", ge=0, le=1)]
Part = Annotated[float, BeforeValidator(_number), _allowed("a number above 0, up to 1", gt=0, le=1)]
Strength = Annotated[float, BeforeValidator(_number), _allowed("a number from 0", ge=0, allow_inf_nan=False)]
Hue = Annotated[float, BeforeValidator(_number), _allowed("a number from 0 to 0.5", ge=0, le=0.5)]
Mean = Annotated[list[Share], _allowed("three numbers from 0 to below 1", min_length=3, max_length=3)]
Std = Annotated[list[Part], _allowed("three numbers above 0, up to 1", min_length=3, max_length=3)]
Switch = Annotated[bool, _allowed("true or false")]
Patience = Annotated[
    int | None,
    _allowed("a whole number from 1, or null; null where validation_fraction is 0, unless dataset is own", ge=1),
    AfterValidator(_with_validation),
]
Calibrate = Annotated[
    bool,
    _allowed("true or false; false where validation_fraction is 0, unless dataset is own"),
    AfterValidator(_with_validation),
]
Device = Annotated[str, _allowed("auto, cpu, mps, cuda or cuda:N", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]
Launcher = Annotated[
    str, _allowed("python, or torchrun and its options", pattern=r"^(python|torchrun( [\w.,:=/@\[\]-]+)*)$")
]
HashOrNull = Annotated[
    str | None,
    _allowed("sha256:… or sha1:… in hexadecimal, or null", pattern=r"^(sha256:[0-9a-f]{64}|sha1:[0-9a-f]{40})$"),
]
FilePath = Annotated[
    str,
    AfterValidator(_without_tilde),
    _allowed("the path of a file or folder, without ~, which DVC would not resolve", min_length=1),
]
Column = Annotated[str, _allowed("the name of a column", min_length=1)]
Address = Annotated[str, _allowed("an http(s) address, a path or embedded", min_length=1)]
SchedulerOrNull = Annotated[str | None, _allowed("a scheduler's address, as tcp://host:8786, or null", min_length=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class OtherFile(Section):
    """A mirror that has another file than the mirrors before it, with its own hash and size."""

    url: Address
    hash: HashOrNull
    size: CountOrNull


# pydantic puts the tags into the locations of its errors; _describe removes them
UrlEntry = Annotated[
    Annotated[Address, Tag("<address>")] | Annotated[OtherFile, Tag("<file>")],
    Discriminator(lambda value: "<file>" if isinstance(value, dict | OtherFile) else "<address>"),
]


class Source(Section):
    urls: Annotated[
        list[UrlEntry],
        AfterValidator(_embedded_alone),
        _allowed("a list of at least one address, or embedded alone", min_length=1),
    ]
    hash: HashOrNull
    size: CountOrNull


class Datasets(Section):
    sample: Source
    full: Source


class OwnSource(Section):
    """A file of the user. DVC watches the path in `urls`; an http(s) address goes into `download` instead."""

    urls: Annotated[
        list[str],
        AfterValidator(_one_path),
        _allowed(
            "one path without ~, data/example/embedded for what is made here; an http(s) address stands in download",
            min_length=1,
            max_length=1,
        ),
    ]
    download: Annotated[str | None, _allowed("an http(s) address, or null", pattern=r"^https?://")]
    hash: HashOrNull
    size: CountOrNull


class Vectors(Datasets):
    own: OwnSource


class SourceModel(Source):
    mean: Mean
    std: Std


class OwnSourceModel(OwnSource):
    mean: Mean
    std: Std


class SourceModels(Section):
    sample: SourceModel
    full: SourceModel
    own: OwnSourceModel


class Sources(Section):
    imdb: Datasets
    glove: Vectors
    hotdog: Datasets
    source_model: SourceModels


class Own(Section):
    """The user's own data: their paths, and how to read them."""

    reviews: FilePath
    text: Column
    label: Column
    split: Annotated[str | None, _allowed("the name of a column, or null", min_length=1)]
    encoding: Annotated[str | None, AfterValidator(_known_encoding), _allowed("an encoding, such as cp1252, or null")]
    delimiter: Annotated[str | None, _allowed("one letter, tab, or null", pattern=r"^(tab|[^\n\r\"])$")]
    pictures: FilePath
    skip_bad: Switch
    test_fraction: Fraction
    seed: Seed


class Engine(Section):
    backend: Literal["loky", "dask"]
    workers: CountOrNull
    address: SchedulerOrNull


class BuildVocab(Section):
    tokenizer: Literal["whitespace", "basic_english", "characters"]
    min_freq: Count


class Tensorize(Section):
    max_len: Count
    keep: Literal["start", "start_and_end"]


class EmbedGlove(Section):
    dim: Count


class Compute(Section):
    """Where the arithmetic runs."""

    device: Device
    precision: Literal["auto", "bf16", "fp32"]
    threads: CountOrNull


class Training(Compute):
    """The params that all training sections have."""

    seed: Seed
    epochs: Count
    lr: Rate
    schedule: Literal["constant", "one_cycle"]
    clip_norm: RateOrNull
    label_smoothing: Share
    average_epochs: CountOrZero
    validation_fraction: Share
    patience: Patience
    calibrate: Calibrate


class TrainText(Training):
    batch_size: Count
    word_dropout: Share
    embedding_dropout: Share
    vector_eps: Rate
    freeze_vectors: Switch
    mask_padding: Switch
    pad_to: CountOrNull


class TrainBirnn(TrainText):
    dropout: Share
    pooling: Literal["ends", "mean_max"]
    cell: Literal["lstm", "gru", "rnn"]
    num_hiddens: Count
    num_layers: Count


class TrainTextcnn(TrainText):
    kernel_sizes: Annotated[
        list[Count],
        AfterValidator(_distinct),
        _allowed("a list of different whole numbers from 1", min_length=1),
    ]
    num_channels: Count
    dropout: Share
    pooling: Literal["max", "mean_max"]


class TrainLinear(Section):
    seed: Seed
    ngrams: Annotated[int, _allowed("a whole number from 1 to 5", ge=1, le=5)]
    min_reviews: Count
    c: Rate
    validation_fraction: Share
    calibrate: Calibrate


class ImageSize(Section):
    sample: Annotated[int, _allowed("a whole number from 32", ge=32)]
    full: Annotated[int, _allowed("a whole number from 32", ge=32)]
    own: Annotated[int, _allowed("a whole number from 32", ge=32)]


class BatchSize(Section):
    sample: Count
    full: Count
    own: Count


class Pictures(Section):
    arch: Annotated[str, _allowed("the name of a torchvision classification model")]
    image_size: ImageSize
    batch_size: BatchSize


class Augment(Section):
    scale: Annotated[
        list[Part],
        _allowed("two numbers above 0, up to 1, the smaller one first", min_length=2, max_length=2),
        AfterValidator(_ascending),
    ]
    ratio: Annotated[
        list[Rate],
        _allowed("two numbers above 0, the smaller one first", min_length=2, max_length=2),
        AfterValidator(_ascending),
    ]
    horizontal_flip: Probability
    vertical_flip: Probability
    brightness: Strength
    contrast: Strength
    saturation: Strength
    hue: Hue


class TrainImages(Training):
    momentum: Share
    weight_decay: Strength
    average_flips: Switch


class Scratch(TrainImages):
    mean: Mean
    std: Std


class Finetune(TrainImages):
    output_lr_factor: Rate
    freeze: Literal["none", "features"]


class Params(Section):
    dataset: Literal["sample", "full", "own"]
    launcher: Launcher
    own: Own
    sources: Sources
    engine: Annotated[Engine, AfterValidator(_with_address), _allowed("an address where the backend is dask")]
    build_vocab: BuildVocab
    tensorize: Tensorize
    embed_glove: EmbedGlove
    train_birnn: TrainBirnn
    train_textcnn: TrainTextcnn
    train_linear: TrainLinear
    evaluate: Compute
    pictures: Pictures
    augment: Augment
    finetune: Finetune
    scratch: Scratch
    compare: Compute
    report: Compute


def load_params(path: Path = PARAMS) -> Params:
    """Read and check the whole file.

    Raises InputError with every problem of the file, each with its path, what was found and what is allowed.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(f"{path}: {problem.strerror}; run from the project's folder, which holds it") from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:  # a date 2001-99-99 is a ValueError
        raise InputError(f"{path} is not YAML: {problem}") from None
    try:
        return Params.model_validate(values, context=values.get("dataset") if isinstance(values, dict) else None)
    except ValidationError as problem:
        lines = sorted({_describe(error) for error in problem.errors()})
        plural = "problem" if len(lines) == 1 else "problems"
        raise InputError("\n  ".join([f"{path}: {len(lines)} {plural}", *lines])) from None


def load_engine() -> Engine:
    """Return the section engine. Without a params.yaml, which predict does not need, return this machine's cores."""
    if PARAMS.exists():
        return load_params().engine
    return Engine(backend="loky", workers=None, address=None)


def _describe(error: Any) -> str:
    """Return one problem as a line: path, what was found, what is allowed."""
    # In a list, the location has the union's tag after the index: leave it out
    parts: list[Any] = [None, *error["loc"]]
    place = [key for before, key in pairwise(parts) if not isinstance(before, int)]
    shown = [key if (key := str(part)) and key.isprintable() else repr(key) for part in place]
    name = ".".join(shown) or "the file"
    if error["type"] == "missing":
        return f"{name}: missing; add it"
    section, field = _look_up(place)
    keys = list(section.model_fields)
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(place[-1]), keys, n=1)
        return f"{name}: unknown key; " + (f"did you mean {close[0]}?" if close else f"known: {', '.join(keys)}")
    if error["type"] == "model_type":
        return f"{name}: {error['input']!r} found, expected a section with the keys {', '.join(keys)}"
    allowed = field.description if field and field.description else error["msg"].removeprefix("Input should be ")
    return f"{name}: {error['input']!r} found, expected {allowed}"


def _look_up(place: list[str | int]) -> tuple[type[Section], FieldInfo | None]:
    """Return the innermost section on the path `place`, and the field at its end, if there is one."""
    section: type[Section] = Params
    field = None
    for key in place:
        if isinstance(key, int):
            section = OtherFile  # the only sections in a list; for another item the message is the whole list's
            continue
        field = section.model_fields.get(key)
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, Section):
            section = inner
    return section, field


def main(argv: list[str] | None = None, prog: str = "python -m stages.config.params") -> None:
    argparse.ArgumentParser(prog=prog, description="Check params.yaml without running anything.").parse_args(argv)
    with exit_on_error():
        load_params()
    print("params.yaml: ok")
    here = Path.cwd()
    if not any((folder / ".git").exists() for folder in (here, *here.parents)):
        print("note: no git repository: run `dvc config core.no_scm true`, then `dvc repro`; `dvc exp` needs git")


if __name__ == "__main__":
    main()
