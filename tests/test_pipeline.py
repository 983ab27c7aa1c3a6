"""The whole pipeline by the real `dvc`, in a scratch copy of this working tree with small data and small models."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torchvision import models

from stages.sample.reviews import write_imdb
from tests.vision.tiny import ARCH, SHAPES, drawn

ROOT = Path(__file__).parents[1]
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
REVIEWS = {"train": 75, "test": 40}  # per class
PICTURES = {"train": 8, "test": 4}  # per class
FROM_VOCABULARY = {"build_vocab", "tensorize", "embed_glove", "train_birnn", "train_textcnn", "evaluate"}
FROM_AUGMENTATION = {"show_augmentation", "finetune", "scratch", "compare"}


def outs(*stages: str) -> list[str]:
    return [out if isinstance(out, str) else next(iter(out)) for name in stages for out in STAGES[name]["outs"]]


def in_git() -> list[str]:
    """The outs that git holds and DVC's cache does not."""
    return [next(iter(out)) for stage in STAGES.values() for out in stage["outs"] if not isinstance(out, str)]


def files(folder: Path, *paths: str) -> dict[str, bytes]:
    found = {}
    for path in paths:
        whole = folder / path
        for file in sorted(whole.rglob("*")) if whole.is_dir() else [whole]:
            if file.is_file():
                found[str(file.relative_to(folder))] = file.read_bytes()
    return found


class Project:
    """A copy of the project, and the commands in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.first_ran: list[str] = []  # by the first repro
        self.first_changed: set[str] = set()  # by the first repro, as git sees it
        self.said = ""  # by the experiment
        self.before: dict[str, bytes] = {}  # the BiRNN's files before the experiment

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def dvc(self, *arguments: str) -> str:
        done = self.run(sys.executable, "-m", "dvc", *arguments)
        assert done.returncode == 0, f"dvc {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def repro(self, *arguments: str) -> list[str]:
        """The stages that `dvc repro` runs."""
        return ran(self.dvc("repro", *arguments))

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

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
        self.dvc("checkout", "-q", "--force")


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


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


def write_small_hotdog(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for half, first in (("train", 0), ("test", 1000)):
            for name in list(SHAPES)[:2]:
                for i in range(PICTURES[half]):
                    archive.writestr(f"shapes/{half}/{name}/{i}.png", drawn(name, first + i))


def write_small_source_model(path: Path) -> None:
    torch.manual_seed(0)
    torch.save(models.get_model(ARCH, num_classes=5).state_dict(), path)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("surroundings")
    # Neither a hook's GIT_DIR nor a user's configuration; bytecode kept from stage to stage, or each compiles torch
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


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Project:
    """The scratch copy after its first `dvc repro`, committed before and after."""
    folder = tmp_path_factory.mktemp("project")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    given = tmp_path_factory.mktemp("archives")
    write_small_imdb(given / "imdb.tar.gz", given / "whole.tar.gz")
    write_small_hotdog(given / "hotdog.zip")
    write_small_source_model(given / "source.pth")
    project = Project(folder, environment)
    for name, file in (("imdb", "imdb.tar.gz"), ("hotdog", "hotdog.zip"), ("source_model", "source.pth")):
        project.edit({f"sources.{name}.sample.urls": [str(given / file)]})
    project.edit({"build_vocab.min_freq": 3, "tensorize.max_len": 60})
    project.edit({"pictures.arch": ARCH, "pictures.image_size.sample": 32, "pictures.batch_size.sample": 8})
    for name in ("train_birnn", "train_textcnn", "evaluate", "finetune", "scratch", "compare"):
        project.edit({f"{name}.threads": 1, f"{name}.device": "cpu"})
    for name in ("train_birnn", "train_textcnn", "finetune", "scratch"):
        project.edit({f"{name}.epochs": 1})
    for name in ("train_birnn", "train_textcnn"):
        project.edit({f"{name}.batch_size": 16})
    project.edit({"train_birnn.num_hiddens": 8, "train_birnn.num_layers": 1, "train_textcnn.num_channels": 4})
    project.git("init", "-q")
    for name, value in {"user.name": "tester", "user.email": "tester@example.org", "gc.auto": "0"}.items():
        project.git("config", name, value)
    project.git("add", ".")
    project.git("commit", "-q", "-m", "as it came")
    project.first_ran = project.repro()
    project.first_changed = project.changed()
    project.git("add", ".")
    project.git("commit", "-q", "-m", "reproduced")
    return project


@pytest.fixture
def project(ready: Project) -> Iterator[Project]:
    """The scratch copy, committed, with nothing to do."""
    yield ready
    ready.restore()


def test_the_first_repro_runs_every_stage_after_those_it_needs(ready: Project) -> None:
    assert sorted(ready.first_ran) == sorted(STAGES)
    made_by = {out: name for name in STAGES for out in outs(name)}
    for name, stage in STAGES.items():
        for dep in stage["deps"]:
            if dep in made_by:
                assert ready.first_ran.index(made_by[dep]) < ready.first_ran.index(name)


def test_every_declared_out_is_there(ready: Project) -> None:
    for out in outs(*STAGES):
        path = ready.folder / out
        assert any(path.iterdir()) if path.is_dir() else path.stat().st_size > 0, out


def test_a_repro_changes_nothing_that_git_holds_but_the_lock_and_the_figures(ready: Project) -> None:
    assert "dvc.lock" in ready.first_changed
    for path in ready.first_changed - {"dvc.lock"}:
        assert any(path == out or path.startswith(f"{out}/") for out in in_git()), path


def test_a_second_repro_runs_nothing(project: Project) -> None:
    assert project.repro() == []
    assert project.changed() == set()


def test_a_fresh_clone_has_nothing_to_do(project: Project, tmp_path: Path) -> None:
    project.git("clone", "-q", str(project.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", project.environment)
    said = clone.dvc("repro", "--dry", "--allow-missing")
    assert ran(said) == []
    assert "up to date" in said


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_gives_the_same_bytes_twice(
    ready: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # Once by dvc, in a process of its own; once here
    monkeypatch.chdir(ready.folder)
    here = outs(name)
    paths = [
        tmp_path / path if any(out == path or out.startswith(f"{path}/") for out in here) else Path(path)
        for path in STAGES[name]["cmd"].split()[3:]
    ]
    import_module(f"stages.{name}").main(*paths)
    torch.set_flush_denormal(False)
    expected = files(ready.folder, *here)
    assert len(expected) >= len(here)
    for path, content in expected.items():
        if not path.endswith("timing.json"):
            assert (tmp_path / path).read_bytes() == content, path


def test_another_lr_is_a_change_of_that_training_alone(project: Project) -> None:
    # What follows it, evaluate, the experiments below show
    project.edit({"train_textcnn.lr": 0.002})
    status = json.loads(project.dvc("status", "--json"))
    assert status == {"train_textcnn": [{"changed deps": {"params.yaml": {"train_textcnn.lr": "modified"}}}]}


def test_another_vocabulary_reruns_all_that_depends_on_it_and_no_download(project: Project) -> None:
    project.edit({"build_vocab.min_freq": 4})
    assert sorted(project.repro()) == sorted(FROM_VOCABULARY)


def test_another_augmentation_reruns_its_picture_both_trainings_and_their_comparison(project: Project) -> None:
    project.edit({"augment.hue": 0.1})
    assert sorted(project.repro()) == sorted(FROM_AUGMENTATION)


def test_an_edit_of_the_inactive_dataset_reruns_its_download_alone(project: Project) -> None:
    project.edit({"sources.imdb.full.urls": ["https://mirror.invalid/aclImdb.tar.gz"]})
    assert project.repro() == ["download_imdb"]


def test_a_parameter_of_the_wrong_type_ends_the_run_with_one_message(project: Project) -> None:
    before = files(project.folder, *outs(*STAGES))
    done = project.run(sys.executable, "-m", "dvc", "exp", "run", "-S", "train_birnn.epochs=2.5")
    assert done.returncode != 0
    assert ran(done.stdout) == ["train_birnn"]
    said = done.stdout + done.stderr
    assert said.count("train_birnn.epochs: 2.5 found, expected a whole number from 1") == 1
    assert "Traceback" not in said
    project.restore()
    assert files(project.folder, *outs(*STAGES)) == before


def test_an_experiment_in_a_folder_of_its_own_leaves_the_workspace_alone(project: Project) -> None:
    before = files(project.folder, *outs(*STAGES))
    said = project.dvc("exp", "run", "--temp", "--name", "apart", "-S", "train_textcnn.dropout=0.3")
    assert ran(said) == ["train_textcnn", "evaluate"]
    assert project.changed() == set()
    assert files(project.folder, *outs(*STAGES)) == before
    shown = experiments(project)["apart"]
    assert shown["params"]["params.yaml"]["data"]["train_textcnn"]["dropout"] == 0.3
    model = json.loads((project.folder / "artifacts/evaluation/metrics.json").read_text())["textcnn"]
    assert shown["metrics"]["artifacts/evaluation/metrics.json"]["data"]["textcnn"]["loss"] != model["loss"]


# An experiment in the workspace, and what DVC shows of it


@pytest.fixture(scope="module")
def experiment(ready: Project) -> Iterator[Project]:
    """The scratch copy after an experiment in the workspace."""
    ready.before = files(ready.folder, *outs("train_birnn"))
    ready.said = ready.dvc("exp", "run", "--name", "slow", "-S", "train_birnn.lr=1e-5")
    yield ready
    ready.restore()


def experiments(project: Project) -> dict[str, dict[str, Any]]:
    """The experiments by name: params and metrics of each."""
    found = {}
    for commit in json.loads(project.dvc("exp", "show", "--json")):
        for entry in commit["experiments"] or []:
            found[entry["name"]] = entry["revs"][0]["data"]
    return found


def test_an_experiment_takes_a_rate_that_dvc_writes_as_a_string(experiment: Project) -> None:
    assert ran(experiment.said) == ["train_birnn", "evaluate"]
    written = yaml.safe_load((experiment.folder / "params.yaml").read_text())["train_birnn"]["lr"]
    assert written == "1e-05"  # if DVC or PyYAML has mended it, the checker's special case can go
    model = "artifacts/birnn/model.safetensors"
    assert (experiment.folder / model).read_bytes() != experiment.before[model]


def test_params_diff_shows_the_new_rate_alone(experiment: Project) -> None:
    diff = json.loads(experiment.dvc("params", "diff", "--json", "HEAD"))
    assert diff.keys() == {"params.yaml"}
    assert diff["params.yaml"].keys() == {"train_birnn.lr"}
    assert diff["params.yaml"]["train_birnn.lr"]["old"] == 0.01
    assert float(diff["params.yaml"]["train_birnn.lr"]["new"]) == 1e-5


def test_metrics_diff_shows_the_figures_of_the_changed_model(experiment: Project) -> None:
    diff = json.loads(experiment.dvc("metrics", "diff", "--json", "HEAD"))
    assert "train.loss" in diff["artifacts/birnn/metrics.json"]
    changed = diff["artifacts/evaluation/metrics.json"]
    assert "birnn.loss" in changed
    assert not [name for name in changed if name.startswith("textcnn")]


def test_exp_show_has_the_experiment_with_its_params_and_metrics(experiment: Project) -> None:
    shown = experiments(experiment)["slow"]
    assert float(shown["params"]["params.yaml"]["data"]["train_birnn"]["lr"]) == 1e-5
    metrics = {path: entry["data"] for path, entry in shown["metrics"].items()}
    assert metrics.keys() == {
        *(f"artifacts/{name}/metrics.json" for name in ("evaluation", "birnn", "textcnn")),
        *(f"artifacts/{name}/metrics.json" for name in ("hotdog", "finetune", "scratch")),
    }
    assert 0 <= metrics["artifacts/evaluation/metrics.json"]["birnn"]["accuracy"] <= 1


def test_plots_diff_finds_its_files(experiment: Project) -> None:
    said = experiment.dvc("plots", "diff", "HEAD", "--out", "plots-page")
    page = experiment.folder / "plots-page" / "index.html"
    assert page.stat().st_size > 1000
    assert "Reviews: test accuracy by epoch" in page.read_text(encoding="utf-8")
    shutil.rmtree(page.parent)
    assert "index.html" in said


# The repository as committed


def test_the_committed_lock_fits_the_committed_code(environment: dict[str, str], tmp_path: Path) -> None:
    here = Project(ROOT, environment)
    watched = ("stages", "dvc.yaml", "dvc.lock", "params.yaml")
    if here.run("git", "cat-file", "-e", "HEAD:dvc.lock").returncode:
        pytest.skip("dvc.lock is not committed")
    if here.git("status", "--porcelain", "--", *watched):
        pytest.skip("uncommitted changes to the pipeline")
    here.git("clone", "-q", "--no-hardlinks", str(ROOT), str(tmp_path / "clone"))
    done = Project(tmp_path / "clone", environment).run(
        sys.executable, "-m", "dvc", "repro", "--dry", "--allow-missing"
    )
    assert ran(done.stdout) == [], "dvc.lock is older than the code: dvc repro, then commit it"
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout
