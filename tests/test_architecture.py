"""The house rules that a reader relies on: dvc.yaml, the imports, the paths and params.yaml say the same."""

import ast
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import BaseModel

from stages.core.params import load_params
from stages.core.tensors import write_tensors
from stages.page import costs as page_costs
from stages.text.ragged import Reviews
from tests.project import arguments
from tests.text.written import write_reviews

ROOT = Path(__file__).parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = PIPELINE["stages"]
TRAINING = [name for name in STAGES if "epochs" in PARAMS.get(name, {})]
OWN_DATA = {"own.reviews", "own.pictures"}  # what lies wherever the user says
CHECKER = "stages/core/params.py"  # can refuse a file and never change a result
NOT_STAGES = {"predict", "export", "demo"}  # scripts that people run by hand
LAUNCHER = "launcher"  # the key that stands in commands, by which DVC knows its value
SECTIONS_ALONE = {LAUNCHER, "dataset", "own", "sources", "engine", "pictures", "augment"}  # of no one stage
WHERE = "engine"  # says where the work is done and never what comes out, so no stage reruns for it


def paths(entries: list[Any] | None) -> list[str]:
    """The paths of dvc.yaml's list of deps or outs, some of which are mappings of a path to its options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries or []]


def cached(name: str) -> dict[str, bool]:
    """A stage's outs, and whether DVC's cache holds them; git does otherwise."""
    entries = STAGES[name]["outs"] + STAGES[name].get("metrics", [])
    return {
        path: isinstance(entry, str) or entry[path].get("cache", True)
        for entry, path in zip(entries, paths(entries), strict=True)
    }


def data_deps(name: str) -> list[str]:
    """The deps of a stage that stages make."""
    return [path for path in paths(STAGES[name]["deps"]) if not is_code(path) and not own_key(path)]


def own_key(path: str) -> str | None:
    """The key of params.yaml that a dep is the value of, such as "${own.reviews}"."""
    found = re.fullmatch(r"\$\{([\w.]+)\}", path)
    return found[1] if found else None


def inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


# Imports


def module_file(module: str) -> str | None:
    path = module.replace(".", "/") + ".py"
    return path if (ROOT / path).is_file() else None


@cache
def imports(path: str) -> frozenset[str]:
    """The project's files that a file imports, be it at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(file for module in found if (file := module_file(module)))


def closure(path: str) -> set[str]:
    """A script and all that it imports, directly or not; what params.yaml's checker alone needs is not in it."""
    found, ahead = set(), [path]
    while ahead:
        here = ahead.pop()
        if here not in found and here != CHECKER:
            found.add(here)
            ahead += imports(here)
    return found


def named(path: str) -> set[str]:
    """The files beside a script that it names, such as a template: code too, though no module."""
    folder = Path(path).parent
    texts = {
        node.value
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {str(folder / text) for text in texts if re.fullmatch(r"[\w.]+", text) and (ROOT / folder / text).is_file()}


def code(path: str) -> set[str]:
    """All that decides what a script does: what it imports, and the files that these modules name."""
    modules = closure(path)
    return modules.union(*map(named, modules))


def is_code(path: str) -> bool:
    return path.startswith("stages/")


def sources() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "stages").rglob("*.py"))


@pytest.mark.parametrize("name", STAGES)
def test_a_stages_code_deps_are_exactly_what_its_script_imports(name: str) -> None:
    listed = [path for path in paths(STAGES[name]["deps"]) if is_code(path)]
    assert sorted(listed) == sorted(code(f"stages/{name}.py"))


def test_every_file_of_the_code_is_a_dep_or_no_stages() -> None:
    deps = {path for stage in STAGES.values() for path in paths(stage["deps"])}
    by_hand = {CHECKER}.union(*(closure(f"stages/{name}.py") for name in NOT_STAGES))
    every = {str(path.relative_to(ROOT)) for path in (ROOT / "stages").rglob("*") if path.is_file()}
    assert {path for path in every if "__pycache__" not in path} - by_hand <= deps
    assert {path for path in deps if is_code(path) and not path.endswith(".py")}  # else the rule above rules nothing


def test_no_stage_lists_the_checker_of_params() -> None:
    assert [name for name, stage in STAGES.items() if CHECKER in paths(stage["deps"])] == []


def test_what_the_checker_imports_is_of_no_stage_for_its_sake() -> None:
    # Else a change there could alter a result through the one file that no stage lists
    assert imports(CHECKER) <= {"stages/core/cli.py", "stages/core/files.py"}


@pytest.mark.parametrize("path", sources())
def test_imports_point_one_way(path: str) -> None:
    allowed = {
        "script": {"page", "text", "vision", "sample", "core"},
        "page": {"page", "text", "vision", "core"},
        "core": {"core"},
    }

    def package(file: str) -> str:
        parts = Path(file).parts
        return "script" if len(parts) == 2 else parts[1]

    own = package(path)
    assert own in {"script", "page", "core", "text", "vision", "sample"}
    for other in imports(path):
        assert package(other) in allowed.get(own, {own, "core"}), f"{path} imports {other}"


@pytest.mark.parametrize("name", TRAINING)
def test_training_reruns_for_no_change_of_the_download_code(name: str) -> None:
    assert closure(f"stages/{name}.py").isdisjoint({"stages/core/fetch.py", "stages/core/sources.py"})


def test_there_are_training_stages() -> None:
    assert {"train_birnn", "train_textcnn"} <= set(TRAINING)


# Names and paths


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_the_script_of_its_name(name: str) -> None:
    program = f"${{{LAUNCHER}}}" if name in TRAINING else "python"
    assert STAGES[name]["cmd"].split()[:3] == [program, "-m", f"stages.{name}"]
    assert (ROOT / "stages" / f"{name}.py").is_file()


def test_every_script_is_a_stage() -> None:
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} - NOT_STAGES == set(STAGES)


def test_every_section_of_params_is_a_stages() -> None:
    assert set(PARAMS) - SECTIONS_ALONE <= set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_the_command_names_the_deps_and_outs_and_no_other_path(name: str) -> None:
    given = [argument for argument in STAGES[name]["cmd"].split()[3:] if argument != "--cost"]
    declared = data_deps(name) + list(cached(name))
    for argument in given:
        assert any(inside(path, argument) for path in declared), f"{argument} is neither dep nor out"
    for path in declared:
        assert any(inside(path, argument) for argument in given), f"{path} is not in cmd"


@pytest.mark.parametrize("name", STAGES)
def test_a_script_takes_as_many_paths_as_the_command_gives(name: str) -> None:
    main = next(
        node
        for node in ast.parse((ROOT / f"stages/{name}.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "main"
    )
    assert len(main.args.args) == len(arguments(name))


def test_the_report_alone_depends_on_costs_and_on_those_of_all_other_stages() -> None:
    costs = {name: f"artifacts/costs/{name}.json" for name in STAGES if name != "report"}
    for name, path in costs.items():
        assert STAGES[name]["cmd"].endswith(f" --cost {path}")
        assert path in STAGES[name]["outs"]
    deps = {name: [path for path in data_deps(name) if "/costs/" in path] for name in STAGES}
    assert {name: paths for name, paths in deps.items() if paths} == {"report": list(costs.values())}
    assert list(costs) == list(page_costs.STAGES)


def test_every_data_dep_is_the_out_of_one_stage() -> None:
    outs = [out for name in STAGES for out in cached(name)]
    assert len(outs) == len(set(outs))
    for name in STAGES:
        for path in data_deps(name):
            assert path in outs, f"{name}: nobody makes {path}"


def test_the_users_own_data_are_deps_of_the_stages_that_read_where_they_lie() -> None:
    read = {key: [name for name in STAGES if key in read_keys(f"stages/{name}.py")] for key in OWN_DATA}
    deps = {key: [name for name in STAGES if key in map(own_key, paths(STAGES[name]["deps"]))] for key in OWN_DATA}
    assert read == deps
    assert {key for stage in STAGES.values() for key in map(own_key, paths(stage["deps"])) if key} == OWN_DATA


def ignored_by(path: str) -> str | None:
    """The .gitignore that keeps a path out of git, tracked or not."""
    command = ["git", "check-ignore", "--no-index", "--verbose", path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.split(":")[0] or None


@pytest.mark.parametrize("name", STAGES)
def test_git_ignores_exactly_the_outs_that_dvcs_cache_holds(name: str) -> None:
    for path, in_cache in cached(name).items():
        expected = f"{path.split('/')[0]}/.gitignore" if in_cache else None
        assert ignored_by(path) == expected, path


def test_plots_are_outs() -> None:
    shown = [plot for plot in PIPELINE["plots"] if isinstance(plot, str)]  # pictures
    for plot in PIPELINE["plots"]:
        for options in plot.values() if isinstance(plot, dict) else ():
            shown += [path for axis in ("x", "y") if isinstance(options[axis], dict) for path in options[axis]]
    outs = [out for name in STAGES for out in cached(name)]
    assert len(shown) > 5
    for path in shown:
        assert any(inside(path, out) for out in outs), f"{path} is no out"


def test_git_holds_the_metrics_and_nothing_else_that_a_stage_writes() -> None:
    # DVC takes no stage out of its run cache that has another out in git
    for name, stage in STAGES.items():
        in_git = {path for path, in_cache in cached(name).items() if not in_cache}
        assert in_git == {path for path in cached(name) if path.endswith("/metrics.json")}
        assert in_git == set(paths(stage.get("metrics")))


# Params


def leaves(values: Any, place: str = "") -> Iterator[str]:
    if isinstance(values, dict):
        for key, inner in values.items():
            yield from leaves(inner, f"{place}.{key}" if place else key)
    else:
        yield place


KEYS = set(leaves(PARAMS))


def below(place: str) -> set[str]:
    return {key for key in KEYS if key == place or key.startswith(f"{place}.")}


def read_keys(path: str) -> set[str]:
    """The keys that a script reads: chains like load_params().a.b, followed through names; a section counts whole."""
    names: dict[str, str] = {}  # variable -> its place in params.yaml
    found: set[str] = set()

    def place(node: ast.AST) -> str | None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load_params":
            return ""
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Attribute) and (base := place(node.value)) is not None:
            return f"{base}.{node.attr}".lstrip(".")
        return None

    def look(node: ast.AST) -> None:
        if isinstance(node, ast.Assign) and (here := place(node.value)) is not None and here not in KEYS:
            (target,) = node.targets
            assert isinstance(target, ast.Name)
            names[target.id] = here
        elif (here := place(node)) is not None:
            assert here, f"{path} hands all of params.yaml on"
            assert below(here), f"{path} reads {here}, which is not in params.yaml"
            found.update(below(here))
        else:
            for child in ast.iter_child_nodes(node):
                look(child)

    look(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_leaf_keys_of_params(name: str) -> None:
    listed = STAGES[name].get("params", [])
    assert set(listed) <= KEYS
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_exactly_the_keys_that_its_script_reads(name: str) -> None:
    assert set(STAGES[name].get("params", [])) == read_keys(f"stages/{name}.py") - below(WHERE)


def test_every_key_of_params_is_read_by_a_stage() -> None:
    assert {key for name in STAGES for key in read_keys(f"stages/{name}.py")} == KEYS - {LAUNCHER}


@pytest.mark.parametrize("path", [path for path in sources() if path != CHECKER])
def test_only_scripts_read_params(path: str) -> None:
    assert len(Path(path).parts) == 2 or CHECKER not in imports(path)
    text = (ROOT / path).read_text(encoding="utf-8")
    assert "safe_load" not in text
    assert '"params.yaml"' not in text


class Recorder:
    """A section of params.yaml that notes which of its keys are read, save by vars(), as the checkpoint does."""

    __slots__ = ("_place", "_section", "_seen")

    def __init__(self, section: Any, place: str, seen: set[str]) -> None:
        self._section, self._place, self._seen = section, place, seen

    @property
    def __dict__(self) -> dict[str, Any]:
        return vars(self._section)

    def __getattr__(self, name: str) -> Any:
        value, place = getattr(self._section, name), f"{self._place}.{name}".lstrip(".")
        if isinstance(value, BaseModel):
            return Recorder(value, place, self._seen)
        self._seen.add(place)
        return value


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], set[str]]:
    """Gives the keys that a stage really reads from here on."""

    def start(name: str) -> set[str]:
        seen: set[str] = set()
        params = load_params(ROOT / "params.yaml")
        section = getattr(params, name).model_copy(update={"epochs": 1, "threads": 1, "device": "cpu"})
        whole = params.model_copy(update={name: section})
        monkeypatch.setattr(import_module(f"stages.{name}"), "load_params", lambda: Recorder(whole, "", seen))
        return seen

    return start


@pytest.mark.parametrize("name", ["train_birnn", "train_textcnn"])
def test_a_training_reads_every_key_of_its_section(
    name: str, recorded: Callable[[str], set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dvc.repo.Repo.init", None)
    torch.manual_seed(0)
    offsets = torch.arange(0, 49, 6)
    ids = torch.randint(2, 20, (48,), dtype=torch.int32)
    reviews = Reviews(ids, offsets, torch.arange(8) % 2, ["negative", "positive"], "whitespace", 500)
    write_reviews(tmp_path / "reviews", reviews)
    write_tensors(tmp_path / "vectors", {"vectors": torch.randn(20, 5)})
    seen = recorded(name)
    folder = tmp_path / name.removeprefix("train_")
    import_module(f"stages.{name}").main(tmp_path / "reviews", tmp_path / "reviews", tmp_path / "vectors", folder)
    torch.set_flush_denormal(False)
    assert seen == below(name)
    written = {os.path.relpath(path, folder) for path in folder.rglob("*") if path.is_file()}
    outs = [os.path.relpath(out, f"artifacts/{folder.name}") for out in cached(name) if "/costs/" not in out]
    assert all(any(inside(path, out) for out in outs) for path in written)
    assert all(any(inside(path, out) for path in written) for out in outs)
