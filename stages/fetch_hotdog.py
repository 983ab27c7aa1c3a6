"""Read the images: source zip, or the user's own folder or zip -> train, test, and valid if there is one."""

from collections import Counter
from pathlib import Path

from stages.config.params import load_params
from stages.core.cli import run
from stages.sample.images import write_hotdog
from stages.sources.obtain import obtain
from stages.sources.user_data import user_path
from stages.vision.batches.images import write_images
from stages.vision.reading.class_folders import read_hotdog_archive, read_user_images


def main(out: Path) -> None:
    params = load_params()
    own = params.own
    if params.dataset == "own":
        source = user_path("own.pictures", own.pictures)
        splits = read_user_images(source, own.test_fraction, own.seed, own.skip_bad)
    else:
        source = getattr(params.sources.hotdog, params.dataset)
        splits = read_hotdog_archive(obtain("hotdog", params.dataset, source, write_hotdog))
    (out / "valid.parquet").unlink(missing_ok=True)  # left by another data set
    for split, table in splits.items():
        write_images(out / f"{split}.parquet", table)
        labels = Counter(table["label"].to_pylist())
        print(f"{split}: " + ", ".join(f"{count:,} {label}" for label, count in sorted(labels.items())))


if __name__ == "__main__":
    run(main)
