"""Show what augmentation does: training pictures -> a sheet of originals and what training sees of them."""

from pathlib import Path

from PIL import Image

from stages.core.cli import run
from stages.core.params import load_params
from stages.vision.augmentation import augmented_view
from stages.vision.batches import Views
from stages.vision.pictures import read_pictures
from stages.vision.sheets import Row, write_sheet

ORIGINALS = 8
VERSIONS = 6  # as many epochs with seed 0


def main(train_pictures: Path, sheet: Path) -> None:
    params = load_params()
    pictures = read_pictures(train_pictures)
    transform = augmented_view(params.augment, getattr(params.pictures.image_size, params.dataset))
    views = Views(pictures, transform, seed=0)
    count = min(ORIGINALS, len(pictures))
    rows = []
    for place in range(count):
        row = len(pictures) * place // count
        versions = [Image.fromarray(views[epoch, row].numpy()) for epoch in range(VERSIONS)]
        captions = ["original", *(f"epoch {epoch + 1}" for epoch in range(VERSIONS))]
        rows.append(Row(pictures.ids[row], [pictures.decode(row), *versions], captions))
    write_sheet(sheet, rows)


if __name__ == "__main__":
    run(main)
