"""A trained model's `config.json`: everything besides the weights that is needed to use the model."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from stages.core.files import InputError, read_json, write_json

FILE = "config.json"


@dataclass(frozen=True)
class TrainedOn:
    """The hardware of the training, and the epoch that was kept."""

    device: str  # "cpu" | "cuda" | "mps"
    precision: str  # "bf16" | "fp32"
    threads: int
    kept_epoch: int | None  # from 1: the best on the validation split; None: the last, nothing was chosen


@dataclass(frozen=True)
class Padding:
    """How reviews of different lengths share a batch: see ReviewBatches."""

    mask_padding: bool
    pad_to: int | None  # words


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of red, green and blue (0 to 1): the network gets (x - mean) / std."""

    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class ModelConfig:
    """The part of the config that every model has."""

    model: str  # "birnn": the name of its folder in artifacts/
    classes: list[str]  # in the order of the logits
    dataset: str  # "sample" | "full" | "own"
    trained_on: TrainedOn
    temperature: float  # logits are divided by it before softmax; 1 unless it was fitted on a validation split

    def write(self, folder: Path) -> None:
        write_json(folder / FILE, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder's config; raises InputError if the file is missing or has other keys."""
        values: dict[str, Any] = read_json(folder / FILE)
        sections = {"trained_on": TrainedOn, "padding": Padding, "normalisation": Normalisation}
        try:
            for name, section in sections.items():
                if name in values:
                    values[name] = section(**values[name])
            return cls(**values)
        except TypeError as problem:
            raise InputError(
                f"{folder / FILE}: not a model's config ({problem}); make it again with: dvc repro"
            ) from problem


@dataclass(frozen=True)
class TextConfig(ModelConfig):
    tokenizer: str
    max_len: int  # words that are read of a review
    keep: str  # "start" | "start_and_end": which words of a longer review are read
    vectors: list[int] | None  # words, numbers per word; None: the model has none
    architecture: dict[str, Any]  # the arguments of the model's class
    padding: Padding


@dataclass(frozen=True)
class ImageConfig(ModelConfig):
    arch: str  # torchvision's name
    image_size: int  # pixels, both sides
    average_flips: bool  # true: logits are the mean over the image and its mirror image
    normalisation: Normalisation
