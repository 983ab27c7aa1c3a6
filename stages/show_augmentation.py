"""Show what augmentation does: training images -> a sheet of originals and their augmented versions."""

from pathlib import Path

from PIL import Image

from stages.config.params import load_params
from stages.core.cli import run
from stages.vision.batches.augmentation import augmented_view
from stages.vision.batches.image_batches import Views
from stages.vision.batches.images import read_images
from stages.vision.sheets import SheetRow, write_sheet

ORIGINALS = 8
VERSIONS = 6  # of each: what training with seed 0 sees in its first epochs


def main(images_folder: Path, sheet: Path) -> None:
    params = load_params()
    images = read_images(images_folder / "train.parquet")
    transform = augmented_view(params.augment, getattr(params.pictures.image_size, params.dataset))
    views = Views(images, transform, seed=0)
    count = min(ORIGINALS, len(images))
    rows = []
    for place in range(count):
        row = len(images) * place // count
        versions = [Image.fromarray(views[epoch, row].numpy()) for epoch in range(VERSIONS)]
        captions = ["original", *(f"epoch {epoch + 1}" for epoch in range(VERSIONS))]
        rows.append(SheetRow(images.ids[row], [images.decode(row), *versions], captions))
    write_sheet(sheet, rows)


if __name__ == "__main__":
    run(main)
