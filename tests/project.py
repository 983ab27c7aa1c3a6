"""A scratch copy of this working tree with small data and small models, and commands that run in it."""

import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torchvision import models

from stages.sample.reviews import write_imdb
from tests.vision.tiny import ARCH, SHAPES, drawn

ROOT = Path(__file__).parents[1]
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
TO_EVALUATE = list(STAGES)[: list(STAGES).index("evaluate") + 1]  # the stages of the reviews
TO_TEXTCNN = ("download_imdb", "build_vocab", "tensorize", "fetch_glove", "embed_glove", "train_textcnn")
REVIEWS = {"train": 75, "test": 40}  # per class
IMAGES = {"train": 8, "test": 4}  # per class
EPOCHS = {"train_birnn": 10, "train_textcnn": 10, "finetune": 2, "scratch": 2}


def outs(*stages: str) -> list[str]:
    """Return everything that these stages write."""
    return [out for name in stages for out in STAGES[name]["outs"]] + metrics(*stages)


def metrics(*stages: str) -> list[str]:
    """Return the outputs that are in git; all others are in DVC's cache."""
    return [next(iter(out)) for name in stages for out in STAGES[name].get("metrics", [])]


def arguments(name: str) -> list[str]:
    """Return the paths that a stage's `main` gets, without that of --cost."""
    return STAGES[name]["cmd"].split(" --cost ")[0].split()[3:]


def is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def files(folder: Path, *paths: str) -> dict[str, bytes]:
    found = {}
    for path in paths:
        whole = folder / path
        for file in sorted(whole.rglob("*")) if whole.is_dir() else [whole]:
            if file.is_file():
                found[str(file.relative_to(folder))] = file.read_bytes()
    return found


def timed(path: str) -> bool:
    """Return whether a file holds seconds, which differ from run to run."""
    return path.startswith("artifacts/costs/")


def clocked(path: str) -> bool:
    """Return whether a file differs from run to run: it holds seconds, or it is the report, which shows them."""
    return timed(path) or path == "artifacts/report.html"


class FirstRepro(NamedTuple):
    ran: list[str]  # stages, in this order
    changed: set[str]  # files that git lists as changed


class Project:
    """A copy of the project, and commands that run in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.ran_stages = False  # since the last restore

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        self.ran_stages |= not {"repro", "exp"}.isdisjoint(command)
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def dvc(self, *arguments: str) -> str:
        done = self.run(sys.executable, "-m", "dvc", *arguments)
        assert done.returncode == 0, f"dvc {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def repro(self, *arguments: str) -> list[str]:
        """Return the stages that `dvc repro` runs."""
        return ran(self.dvc("repro", *arguments))

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def configure_git(self) -> None:
        for name, value in {"user.name": "tester", "user.email": "tester@example.org", "gc.auto": "0"}.items():
            self.git("config", name, value)

    def clone(self, folder: Path, revision: str = "HEAD") -> "Project":
        """Return a clone in `folder`, without outputs and with its own cache."""
        self.git("clone", "-q", "--no-hardlinks", str(self.folder), str(folder))
        clone = Project(folder, self.environment)
        clone.git("checkout", "-q", "-B", "main", revision)
        clone.configure_git()
        return clone

    def edit(self, values: dict[str, Any]) -> None:
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        for place, value in values.items():
            section = params
            *sections, key = place.split(".")
            for name in sections:
                section = section[name]
            assert key in section
            section[key] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    def changed(self) -> set[str]:
        return {line[3:] for line in self.git("status", "--porcelain", "--untracked-files=all").splitlines()}

    def restore(self) -> None:
        self.git("checkout", "-q", ".")
        if self.ran_stages:
            self.dvc("checkout", "-q", "--force")
            self.ran_stages = False


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


def cached(project: Project, path: str) -> Path:
    """Return the object in DVC's cache of a file that is an out, or lies in one."""
    locked = yaml.safe_load((project.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    outs = [out for stage in locked.values() for out in stage["outs"]]

    def place(md5: str) -> Path:
        return project.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]

    (out,) = [out for out in outs if path == out["path"] or path.startswith(f"{out['path']}/")]
    if path == out["path"]:
        return place(out["md5"])
    listed = json.loads(place(out["md5"]).read_text(encoding="utf-8"))
    (md5,) = {file["md5"] for file in listed if f"{out['path']}/{file['relpath']}" == path}
    return place(md5)


def write_small_imdb(path: Path, whole: Path) -> None:
    write_imdb(whole)
    counts: dict[str, int] = {}
    with tarfile.open(whole) as source, tarfile.open(path, "w:gz") as small:
        for member in source:
            folder = str(Path(member.name).parent)
            counts[folder] = counts.get(folder, 0) + 1
            file = source.extractfile(member)
            if file and counts[folder] <= REVIEWS.get(folder.split("/")[1] if "/" in folder else "", 0):
                small.addfile(member, io.BytesIO(file.read()))


def write_small_glove(path: Path, imdb: Path) -> None:
    """Write a vector of 100 random numbers for each word of the reviews in `imdb`."""
    with tarfile.open(imdb) as archive:
        texts = [file.read().decode() for member in archive if (file := archive.extractfile(member))]
    draw = random.Random(0)
    words = sorted(set(" ".join(texts).lower().split()))
    lines = (" ".join([word, *(f"{draw.gauss(0, 0.5):.4f}" for _ in range(100))]) for word in words)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_small_hotdog(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for split, first in (("train", 0), ("test", 1000)):
            for name in list(SHAPES)[:2]:
                for i in range(IMAGES[split]):
                    archive.writestr(f"shapes/{split}/{name}/{i}.png", drawn(name, first + i))


def write_small_source_model(path: Path) -> None:
    torch.manual_seed(0)
    torch.save(models.get_model(ARCH, num_classes=5).state_dict(), path)


def surroundings(folder: Path) -> dict[str, str]:
    """Return the environment of a user without any configuration; DVC's own folders are in `folder`."""
    # Without a hook's GIT_DIR and without PYTHONDONTWRITEBYTECODE: otherwise each stage would compile torch
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "PYTHON"))}
    return kept | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "OMP_NUM_THREADS": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(folder / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(folder / "system"),
        "DVC_SITE_CACHE_DIR": str(folder / "site"),
        "DVC_NO_ANALYTICS": "1",
    }


def copy_of_this_project(folder: Path, archives: Path, environment: dict[str, str]) -> Project:
    """Copy the working tree into `folder`, with small data and small models, and commit it there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    write_small_imdb(archives / "imdb.tar.gz", archives / "whole.tar.gz")
    write_small_glove(archives / "glove.txt", archives / "imdb.tar.gz")
    write_small_hotdog(archives / "hotdog.zip")
    write_small_source_model(archives / "source.pth")
    project = Project(folder, environment)
    data = {"imdb": "imdb.tar.gz", "glove": "glove.txt", "hotdog": "hotdog.zip", "source_model": "source.pth"}
    for name, file in data.items():
        project.edit({f"sources.{name}.sample.urls": [str(archives / file)]})
    project.edit({"build_vocab.min_freq": 3, "tensorize.max_len": 60})
    project.edit({"pictures.arch": ARCH, "pictures.image_size.sample": 32, "pictures.batch_size.sample": 8})
    for name in ("train_birnn", "train_textcnn", "evaluate", "finetune", "scratch", "compare", "report"):
        project.edit({f"{name}.threads": 1, f"{name}.device": "cpu"})
    for name, epochs in EPOCHS.items():
        project.edit({f"{name}.epochs": epochs})
    for name in ("train_birnn", "train_textcnn"):
        project.edit({f"{name}.batch_size": 16})
    project.edit({"train_birnn.num_hiddens": 8, "train_birnn.num_layers": 1, "train_textcnn.num_channels": 4})
    project.git("init", "-q")
    project.configure_git()
    project.git("add", ".")
    project.git("commit", "-q", "-m", "as it came")
    return project
