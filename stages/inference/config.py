"""What using a trained model needs besides its weights: `config.json` in the model's folder."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from stages.core.files import InputError, read_json, write_json

FILE = "config.json"


@dataclass(frozen=True)
class TrainedOn:
    """How a model came about."""

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
    """What is subtracted from red, green and blue (0 to 1), and what they are divided by after that."""

    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class ModelConfig:
    """What every model's config holds."""

    model: str  # "birnn": the name of its folder and of its training stage's section
    classes: list[str]  # in the order of the logits
    dataset: str  # "sample" | "full" | "own"
    trained_on: TrainedOn
    temperature: float  # what logits are divided by before softmax; 1 unless it was fitted on a validation split

    def write(self, folder: Path) -> None:
        write_json(folder / FILE, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises InputError if the file is missing or has other keys."""
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
    keep: str  # "start" | "start_and_end": which of a longer one
    vectors: list[int] | None  # words, numbers per word; None: the model has none
    architecture: dict[str, Any]  # the arguments of the model's class
    padding: Padding


@dataclass(frozen=True)
class ImageConfig(ModelConfig):
    arch: str  # torchvision's name
    image_size: int  # pixels, both sides
    average_flips: bool  # a prediction is the mean over the image and its mirror image
    normalisation: Normalisation
