"""Write a trained model as one ONNX file, with everything that its user needs.

The command reads only artifacts/. It checks that the file gives the model's probabilities, and leaves no file if it
does not. A model of pictures is checked on pictures of the test split in data/, or without data/ on drawn ones.
"""

from pathlib import Path

from stages.apps.command import parser
from stages.apps.image_models import ImageFile, as_images
from stages.apps.onnx_images import CHECKED, export_image_model
from stages.apps.onnx_reviews import export_text_model
from stages.core.cli import exit_on_error
from stages.core.files import InputError
from stages.evaluation.titles import ENSEMBLE, IMAGE_MODELS, TEXT_MODELS
from stages.inference.device import prepare
from stages.sample.examples import example_images
from stages.vision.batches.images import Images, read_images

TEST_IMAGES = Path("data/hotdog/test.parquet")
EXAMPLES = """
  {prog} textcnn textcnn.onnx
  {prog} finetune finetune.onnx
"""


def export(model: str, file: Path, artifacts: Path) -> None:
    if model in ("linear", ENSEMBLE):
        raise InputError(
            f"{model}: not exported, as ONNX has no operator for its n-grams; "
            "export birnn or textcnn, or use sentidog predict"
        )
    hardware = prepare("cpu", "fp32", None)
    if model in TEXT_MODELS:
        count, difference = export_text_model(artifacts, model, file, hardware)
    else:
        count, difference = export_image_model(artifacts, model, file, hardware, images_to_check())
    size = file.stat().st_size / 1e6
    print(f"{file}: {size:.1f} MB, differs from {model} by at most {difference:.1g} on {count} examples")


def images_to_check() -> Images:
    if TEST_IMAGES.is_file():
        return read_images(TEST_IMAGES)
    return as_images([ImageFile(f"drawn {i}", png) for i, png in enumerate(example_images(CHECKED))])


def main(argv: list[str] | None = None, prog: str = "python -m stages.export") -> None:
    command = parser(prog, __doc__, EXAMPLES)
    command.add_argument("model", choices=[*TEXT_MODELS, ENSEMBLE, *IMAGE_MODELS])
    command.add_argument("file", type=Path, help="the ONNX file to write")
    with exit_on_error():
        export(**vars(command.parse_args(argv)))


if __name__ == "__main__":
    main()
