"""dvc.yaml says what the code does: deps hold what a stage imports, params what it reads, outs what it writes."""

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from stages.config.params import Params, load_params
from stages.evaluation.titles import IMAGE_MODELS, TEXT_MODELS
from stages.reporting.costs import STAGES as STAGES_WITH_COSTS
from stages.text.models.registry import NETWORKS
from tests.project import ROOT, STAGES, Project, arguments, is_inside

APPS = {"predict", "export", "demo", "__init__"}  # scripts that are no stages
CHECKER = "stages/config/params.py"  # can refuse a file, never change a result: no stage's dep
TRAININGS = ["train_birnn", "train_textcnn", "finetune", "scratch"]
NO_STAGES_SECTIONS = {"engine", "launcher"}  # change where a stage runs, never its result
UNREAD = {"fetch_glove": {"build_vocab"}}  # of the sample: only the user's own reviews are tokenized there
# A room may import from those further right, and from its own level what stands behind it
LEVELS = [
    {"scripts"},
    {"apps", "reporting", "sample", "explain"},
    {"text", "vision"},
    {"training", "evaluation"},
    {"inference", "engine", "sources"},
    {"config", "core"},
]
BESIDE = {
    "apps": {"explain", "sample"},
    "reporting": {"explain"},
    "config": {"core"},
}  # rooms of one level that may be used


def paths(entries: Any) -> list[str]:
    """The paths of a list of deps or outs, some of which are mappings of a path to its options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries or []]


def code_deps(name: str) -> list[str]:
    return [path for path in paths(STAGES[name]["deps"]) if path.startswith("stages/")]


def data_deps(name: str) -> list[str]:
    return [path for path in paths(STAGES[name]["deps"]) if not path.startswith(("stages/", "$"))]


def outs(name: str) -> list[str]:
    return paths(STAGES[name].get("outs")) + paths(STAGES[name].get("metrics"))


# Code


def sources() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "stages").rglob("*.py"))


@cache
def imports(path: str) -> frozenset[str]:
    """The project's files that a file imports at run time, at its top or inside a function."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = (f"{module.replace('.', '/')}.py" for module in found)
    return frozenset(file for file in files if file.startswith("stages/") and (ROOT / file).is_file())


def closure(path: str) -> set[str]:
    """A script and everything that it imports, directly or not."""
    found, ahead = set(), [path]
    while ahead:
        here = ahead.pop()
        if here not in found and here != CHECKER:
            found.add(here)
            ahead += imports(here)
    return found


@pytest.mark.parametrize("name", STAGES)
def test_the_code_that_a_stage_imports_is_among_its_deps_and_no_dep_is_idle(name: str) -> None:
    used, deps = closure(f"stages/{name}.py"), code_deps(name)
    assert {path for path in used if not any(is_inside(path, dep) for dep in deps)} == set()
    assert {dep for dep in deps if not any(is_inside(path, dep) for path in used)} == set()
    assert CHECKER not in deps


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_reruns_for_no_file_that_it_does_not_import(name: str) -> None:
    used = closure(f"stages/{name}.py")
    idle = {path for path in sources() if any(is_inside(path, dep) for dep in code_deps(name))} - used
    assert idle == set()


def test_the_package_itself_does_nothing() -> None:
    # Every stage imports it, and none has it among its deps
    (node,) = ast.parse((ROOT / "stages/__init__.py").read_text(encoding="utf-8")).body
    assert isinstance(node, ast.Expr)
    assert sorted(path.parent.name for path in (ROOT / "stages").rglob("__init__.py")) == ["stages"]


@pytest.mark.parametrize("path", sources())
def test_imports_point_one_way(path: str) -> None:
    def room(file: str) -> str:
        parts = Path(file).parts
        return parts[1] if len(parts) > 2 else "scripts"

    def level(name: str) -> int:
        (found,) = (number for number, rooms in enumerate(LEVELS) if name in rooms)
        return found

    here = room(path)
    for other in map(room, imports(path)):
        allowed = other == here or level(other) > level(here) or other in BESIDE.get(here, set())
        assert allowed, f"{path} imports {other}"
        assert here != "scripts" or other != "scripts" or path.endswith(other), f"{path} imports a script"
    assert CHECKER not in imports(path) or here in ("scripts", "apps", "config"), "params.yaml is read by scripts"


# Names and paths


def test_every_script_is_a_stage() -> None:
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} - APPS == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_the_script_of_its_name(name: str) -> None:
    program = "${launcher}" if name in TRAININGS else "python"
    assert STAGES[name]["cmd"].split()[:3] == [program, "-m", f"stages.{name}"]


@pytest.mark.parametrize("name", STAGES)
def test_the_command_names_deps_and_outs_and_no_other_path(name: str) -> None:
    declared = [*data_deps(name), *outs(name)]
    for path in arguments(name):
        assert any(is_inside(one, path) for one in declared), f"{path} is neither dep nor out"


def test_every_data_dep_is_made_by_a_stage() -> None:
    made = [out for name in STAGES for out in outs(name)]
    assert len(made) == len(set(made))
    for name in STAGES:
        for path in data_deps(name):
            assert any(is_inside(out, path) for out in made), f"{name}: nobody makes {path}"


def test_each_stage_before_the_report_writes_its_cost() -> None:
    assert list(STAGES_WITH_COSTS) == [name for name in STAGES if name != "report"]
    for name in STAGES_WITH_COSTS:
        assert STAGES[name]["cmd"].endswith(f" --cost artifacts/costs/{name}.json")
        assert f"artifacts/costs/{name}.json" in outs(name)


def test_models_are_listed_once_for_people_and_once_for_code() -> None:
    assert list(TEXT_MODELS) == ["linear", *NETWORKS]
    assert {f"artifacts/{name}" for name in TEXT_MODELS | IMAGE_MODELS} == {
        arguments(name)[-1] for name in [*TRAININGS, "train_linear"]
    }


def ignored_by(path: str) -> str | None:
    """The .gitignore that keeps a path out of git, tracked or not."""
    command = ["git", "check-ignore", "--no-index", "--verbose", path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.split(":")[0] or None


def test_git_holds_the_metrics_and_dvcs_cache_everything_else() -> None:
    # DVC takes no stage out of its run cache that has another out in git, metrics and stage plots aside
    for stage in STAGES.values():
        for path in paths(stage.get("outs")):
            assert path in stage["outs"], f"{path} has options"
            assert ignored_by(path) == f"{path.split('/')[0]}/.gitignore"
        for metric in stage.get("metrics", []):
            (path,) = metric
            assert metric[path] == {"cache": False}
            assert ignored_by(path) is None


def test_plots_are_outs() -> None:
    plots = yaml.safe_load((ROOT / "artifacts/dvc.yaml").read_text(encoding="utf-8"))["plots"]
    shown = [plot if isinstance(plot, str) else path for plot in plots for path in files_of(plot)]
    made = [out for name in STAGES for out in outs(name)]
    assert len(shown) > 10
    for path in shown:
        assert any(is_inside(f"artifacts/{path}", out) for out in made), f"{path} is no out"


def files_of(plot: Any) -> Iterator[str]:
    if isinstance(plot, str):
        yield plot
    else:
        for options in plot.values():
            yield from options["y"]


# What a stage reads and writes, seen while it runs


class Recorder:
    """params.yaml's sections, noting which are read."""

    def __init__(self, params: Params) -> None:
        self._params, self.read = params, set()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self._params, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_makes_its_outs_of_its_deps_and_params_alone_to_the_same_bytes_as_before(
    name: str, ready: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in data_deps(name):
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ready.folder / path).is_dir() else shutil.copy)(ready.folder / path, place)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    recorder = Recorder(load_params(ready.folder / "params.yaml"))
    script = import_module(f"stages.{name}")
    monkeypatch.setattr(script, "load_params", lambda: recorder)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    script.main(*map(Path, arguments(name)))
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() and path not in before}
    expected = [out for out in outs(name) if "/costs/" not in out]
    assert {path for path in written if not any(is_inside(path, out) for out in expected)} == set()
    assert {out for out in expected if not any(is_inside(path, out) for path in written)} == set()
    for path in written:  # once by dvc, in a process of its own; once here
        assert (tmp_path / path).read_bytes() == (ready.folder / path).read_bytes(), path
    sections = {entry.split(".")[0] for entry in STAGES[name]["params"]}
    assert recorder.read - NO_STAGES_SECTIONS == sections - UNREAD.get(name, set())


# Documents

PLACES = re.compile(r"`((?:stages|tests)/[\w/]+\.py)`, `([\w.]+)`(?: and `([\w.]+)`)?")  # a file, and names in it


def test_the_textbooks_listings_are_where_its_page_says() -> None:
    places = PLACES.findall((ROOT / "docs/textbook.md").read_text(encoding="utf-8"))
    assert len(places) > 40
    for path, *names in places:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert {part for name in names if name for part in name.split(".")} <= defined, path
