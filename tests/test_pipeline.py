"""The whole pipeline by the real `dvc`, in a scratch copy of this working tree with small data and small models."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from stages.evaluation.titles import TITLES
from tests.project import ROOT, STAGES, FirstRepro, Project, files, is_inside, metrics, outs, ran

FROM_VOCABULARY = {
    "build_vocab", "tensorize", "embed_glove", "train_birnn", "train_textcnn", "train_linear", "evaluate", "report",
}  # fmt: skip
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


def test_another_lr_is_a_change_of_that_training_and_of_the_report(project: Project) -> None:
    # What follows it, evaluate, the experiments below show; the report shows the params
    project.edit({"train_textcnn.lr": 0.002})
    status = json.loads(project.dvc("status", "--json"))
    change = [{"changed deps": {"params.yaml": {"train_textcnn": "modified"}}}]
    assert status == {"train_textcnn": change, "report": change}


def test_an_edit_of_textcnn_reruns_its_training_what_follows_and_nothing_else(project: Project) -> None:
    append_comment(project, "stages/text/models/textcnn.py")
    assert project.repro() == ["train_textcnn", "evaluate", "report"]


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("stages/text/models/birnn.py", ["train_birnn", "evaluate", "report"]),
        ("stages/sources/fetch.py", ["download_imdb", "fetch_glove", "fetch_hotdog", "fetch_source_model"]),
        ("stages/training/trainer.py", ["train_birnn", "train_textcnn", "fetch_source_model", "finetune", "scratch"]),
        ("stages/reporting/report.html.jinja", ["report"]),
        ("stages/evaluation/metrics.py", ["evaluate", "compare", "report"]),
        ("stages/apps/predictions.py", []),
        ("stages/config/params.py", []),
    ],
)
def test_an_edit_of_code_changes_the_stages_that_use_it(project: Project, file: str, stages: list[str]) -> None:
    append_comment(project, file)
    assert sorted(json.loads(project.dvc("status", "--json"))) == sorted(stages)


def append_comment(project: Project, file: str) -> None:
    with (project.folder / file).open("a", encoding="utf-8") as code:
        code.write("{# an edit #}\n" if file.endswith(".jinja") else "# an edit\n")


def followers(stages: set[str]) -> set[str]:
    """These stages, and all that read what they write."""
    made = outs(*stages)
    more = {
        name
        for name, stage in STAGES.items()
        if any(is_inside(made_, dep) or is_inside(dep, made_) for made_ in made for dep in stage["deps"])
    }
    return stages if more <= stages else followers(stages | more)


@pytest.mark.parametrize(
    ("values", "changed", "reruns"),
    [
        ({"build_vocab.min_freq": 4}, {"build_vocab", "report"}, FROM_VOCABULARY),
        ({"augment.hue": 0.1}, {"show_augmentation", "finetune", "scratch", "report"}, FROM_AUGMENTATION),
    ],
)
def test_another_value_changes_the_stages_that_read_it_and_no_download(
    project: Project, values: dict[str, Any], changed: set[str], reruns: set[str]
) -> None:
    # That DVC runs what follows a change, the edit of textcnn.py shows
    project.edit(values)
    assert set(json.loads(project.dvc("status", "--json"))) == changed
    assert followers(changed) == reruns


def test_an_edit_of_the_inactive_dataset_reruns_its_download_and_no_training(project: Project) -> None:
    project.edit({"sources.imdb.full.urls": ["https://mirror.invalid/aclImdb.tar.gz"]})
    assert project.repro("evaluate") == ["download_imdb"]


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
    said = project.dvc("exp", "run", "--temp", "--name", "apart", "-S", "train_linear.c=1", "evaluate")
    assert ran(said) == ["train_linear", "evaluate"]
    assert project.changed() == set()
    assert files(project.folder, *outs(*STAGES)) == before
    shown = experiments(project)["apart"]
    assert shown["params"]["params.yaml"]["data"]["train_linear"]["c"] == 1
    metrics = "artifacts/metrics/linear.json"
    assert shown["metrics"][metrics]["data"]["loss"] != json.loads((project.folder / metrics).read_text())["loss"]


# An experiment in the workspace, and what DVC shows of it


class Experiment(NamedTuple):
    project: Project
    said: str
    before: dict[str, bytes]  # the BiRNN's files


@pytest.fixture(scope="module")
def experiment(ready: Project) -> Iterator[Experiment]:
    """The scratch copy after an experiment in the workspace."""
    before = files(ready.folder, *outs("train_birnn"))
    yield Experiment(ready, ready.dvc("exp", "run", "--name", "slow", "-S", "train_birnn.lr=1e-5", "evaluate"), before)
    ready.restore()


def experiments(project: Project) -> dict[str, dict[str, Any]]:
    """The experiments by name: params and metrics of each."""
    found = {}
    for commit in json.loads(project.dvc("exp", "show", "--json")):
        for entry in commit["experiments"] or []:
            found[entry["name"]] = entry["revs"][0]["data"]
    return found


def test_an_experiment_takes_a_rate_that_dvc_writes_as_a_string(experiment: Experiment) -> None:
    assert ran(experiment.said) == ["train_birnn", "evaluate"]
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
    assert diff.keys() == {f"artifacts/metrics/{name}.json" for name in ("birnn", "ensemble")}
    assert "loss" in diff["artifacts/metrics/birnn.json"]


def test_exp_show_has_the_experiment_with_its_params_and_metrics(experiment: Experiment) -> None:
    shown = experiments(experiment.project)["slow"]
    assert float(shown["params"]["params.yaml"]["data"]["train_birnn"]["lr"]) == 1e-5
    metrics = {path: entry["data"] for path, entry in shown["metrics"].items()}
    assert metrics.keys() == {f"artifacts/metrics/{name}.json" for name in TITLES}
    assert 0 <= metrics["artifacts/metrics/birnn.json"]["accuracy"] <= 1


def test_metrics_show_is_a_table_without_an_empty_cell(ready: Project) -> None:
    header, *rows = (line.split() for line in ready.dvc("metrics", "show").splitlines())
    assert header == ["Path", "accuracy", "ci_high", "ci_low", "ece", "f1", "loss", "roc_auc"]
    assert [row[0] for row in rows] == [f"artifacts/metrics/{name}.json" for name in TITLES]
    for row in rows:
        assert all(float(value) >= 0 for value in row[1:])
        assert len(row) == len(header)


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
