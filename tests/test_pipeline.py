"""The whole pipeline by the real `dvc`, in a scratch copy of this working tree with small data and small models."""

import json
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml

from tests.project import ROOT, STAGES, FirstRepro, Project, arguments, files, metrics, outs, ran, timed

FROM_VOCABULARY = {"build_vocab", "tensorize", "embed_glove", "train_birnn", "train_textcnn", "evaluate", "report"}
FROM_AUGMENTATION = {"show_augmentation", "finetune", "scratch", "compare", "report"}


def test_the_first_repro_runs_every_stage_after_those_it_needs(first: FirstRepro) -> None:
    assert sorted(first.ran) == sorted(STAGES)
    made_by = {out: name for name in STAGES for out in outs(name)}
    for name, stage in STAGES.items():
        for dep in stage["deps"]:
            if dep in made_by:
                assert first.ran.index(made_by[dep]) < first.ran.index(name)


def test_every_declared_out_is_there(ready: Project) -> None:
    for out in outs(*STAGES):
        path = ready.folder / out
        assert any(path.iterdir()) if path.is_dir() else path.stat().st_size > 0, out


def test_a_repro_changes_nothing_that_git_holds_but_the_lock_and_the_figures(first: FirstRepro) -> None:
    assert "dvc.lock" in first.changed
    assert first.changed - {"dvc.lock"} <= set(metrics(*STAGES))


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
        for path in arguments(name)
    ]
    import_module(f"stages.{name}").main(*paths)
    torch.set_flush_denormal(False)
    expected = files(ready.folder, *here)
    assert len(expected) >= len(here)
    for path, content in expected.items():
        if not timed(path):
            assert (tmp_path / path).read_bytes() == content, path


def test_another_lr_is_a_change_of_that_training_and_of_the_report(project: Project) -> None:
    # What follows it, evaluate, the experiments below show; the report shows the params
    project.edit({"train_textcnn.lr": 0.002})
    status = json.loads(project.dvc("status", "--json"))
    change = [{"changed deps": {"params.yaml": {"train_textcnn.lr": "modified"}}}]
    assert status == {"train_textcnn": change, "report": change}


def test_another_vocabulary_reruns_all_that_depends_on_it_and_no_download(project: Project) -> None:
    project.edit({"build_vocab.min_freq": 4})
    assert sorted(project.repro()) == sorted(FROM_VOCABULARY)


def test_another_augmentation_reruns_its_picture_both_trainings_and_their_comparison(project: Project) -> None:
    project.edit({"augment.hue": 0.1})
    assert sorted(project.repro()) == sorted(FROM_AUGMENTATION)


def test_an_edit_of_the_inactive_dataset_reruns_its_download_and_the_page_with_its_cost(project: Project) -> None:
    project.edit({"sources.imdb.full.urls": ["https://mirror.invalid/aclImdb.tar.gz"]})
    assert project.repro() == ["download_imdb", "report"]


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
    assert ran(said) == ["train_textcnn", "evaluate", "report"]
    assert project.changed() == set()
    assert files(project.folder, *outs(*STAGES)) == before
    shown = experiments(project)["apart"]
    assert shown["params"]["params.yaml"]["data"]["train_textcnn"]["dropout"] == 0.3
    model = json.loads((project.folder / "artifacts/evaluation/metrics.json").read_text())["textcnn"]
    assert shown["metrics"]["artifacts/evaluation/metrics.json"]["data"]["textcnn"]["loss"] != model["loss"]


# An experiment in the workspace, and what DVC shows of it


class Experiment(NamedTuple):
    project: Project
    said: str
    before: dict[str, bytes]  # the BiRNN's files


@pytest.fixture(scope="module")
def experiment(ready: Project) -> Iterator[Experiment]:
    """The scratch copy after an experiment in the workspace."""
    before = files(ready.folder, *outs("train_birnn"))
    yield Experiment(ready, ready.dvc("exp", "run", "--name", "slow", "-S", "train_birnn.lr=1e-5"), before)
    ready.restore()


def experiments(project: Project) -> dict[str, dict[str, Any]]:
    """The experiments by name: params and metrics of each."""
    found = {}
    for commit in json.loads(project.dvc("exp", "show", "--json")):
        for entry in commit["experiments"] or []:
            found[entry["name"]] = entry["revs"][0]["data"]
    return found


def test_an_experiment_takes_a_rate_that_dvc_writes_as_a_string(experiment: Experiment) -> None:
    assert ran(experiment.said) == ["train_birnn", "evaluate", "report"]
    written = yaml.safe_load((experiment.project.folder / "params.yaml").read_text())["train_birnn"]["lr"]
    assert written == "1e-05"  # if DVC or PyYAML has mended it, the checker's special case can go
    model = "artifacts/birnn/model.safetensors"
    assert (experiment.project.folder / model).read_bytes() != experiment.before[model]


def test_params_diff_shows_the_new_rate_alone(experiment: Experiment) -> None:
    diff = json.loads(experiment.project.dvc("params", "diff", "--json", "HEAD"))
    assert diff.keys() == {"params.yaml"}
    assert diff["params.yaml"].keys() == {"train_birnn.lr"}
    assert diff["params.yaml"]["train_birnn.lr"]["old"] == 0.01
    assert float(diff["params.yaml"]["train_birnn.lr"]["new"]) == 1e-5


def test_metrics_diff_shows_the_figures_of_the_changed_model(experiment: Experiment) -> None:
    diff = json.loads(experiment.project.dvc("metrics", "diff", "--json", "HEAD"))
    assert "train.loss" in diff["artifacts/birnn/metrics.json"]
    changed = diff["artifacts/evaluation/metrics.json"]
    assert "birnn.loss" in changed
    assert not [name for name in changed if name.startswith("textcnn")]


def test_exp_show_has_the_experiment_with_its_params_and_metrics(experiment: Experiment) -> None:
    shown = experiments(experiment.project)["slow"]
    assert float(shown["params"]["params.yaml"]["data"]["train_birnn"]["lr"]) == 1e-5
    metrics = {path: entry["data"] for path, entry in shown["metrics"].items()}
    assert metrics.keys() == {
        *(f"artifacts/{name}/metrics.json" for name in ("evaluation", "birnn", "textcnn")),
        *(f"artifacts/{name}/metrics.json" for name in ("hotdog", "finetune", "scratch")),
    }
    assert 0 <= metrics["artifacts/evaluation/metrics.json"]["birnn"]["accuracy"] <= 1


def test_plots_diff_finds_its_files(experiment: Experiment) -> None:
    said = experiment.project.dvc("plots", "diff", "HEAD", "--out", "plots-page")
    page = experiment.project.folder / "plots-page" / "index.html"
    assert page.stat().st_size > 1000
    assert "Reviews: accuracy by epoch" in page.read_text(encoding="utf-8")
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
