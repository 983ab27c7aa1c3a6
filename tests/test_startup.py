"""Scripts load what they use: most of a small run's time would be imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT, STAGES
from tests.vision.tiny import Folder, drawn

# Each takes a tenth of a second to two seconds
HEAVY = {"torch", "torch._dynamo", "torchvision", "torchtext", "sklearn", "scipy", "matplotlib", "dvc"}
VISION = {"torch", "torch._dynamo", "torchvision"}  # torchvision imports torch's compiler
READERS = {f"stages.vision.reading{part}" for part in ("", ".kinds", ".opening")}  # know a picture by its file
USED: dict[str, set[str]] = {
    "download_imdb": {"scipy"},
    "build_vocab": set(),
    "tensorize": set(),
    "fetch_glove": {"scipy"},
    "embed_glove": set(),
    "train_linear": {"torch", "sklearn", "scipy"},
    "train_birnn": {"torch"},
    "train_textcnn": {"torch"},
    "evaluate": {"torch", "scipy"},
    "fetch_hotdog": set(),
    "fetch_source_model": VISION,
    "show_augmentation": VISION | {"matplotlib"},
    "finetune": VISION,
    "scratch": VISION,
    "compare": VISION | {"matplotlib", "scipy"},
    "report": VISION | {"matplotlib", "scipy"},
}


def printed(code: str, *arguments: str) -> list[str]:
    """Run `code` in a process; return the lines it prints. The last one lists its modules."""
    code += "\nprint('loaded', *sys.modules, flush=True)\nos._exit(0)"  # to free the modules takes a second
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", "import os, sys\n" + code, *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def loaded(code: str, *arguments: str) -> set[str]:
    """The modules of a process that has run `code`."""
    return set(printed(code, *arguments)[-1].split())


def test_every_stage_is_here() -> None:
    assert USED.keys() == STAGES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("base", [set(), {"torch"}, VISION], ids=["without torch", "torch", "torchvision"])
def test_a_stage_imports_no_heavy_package_that_it_does_not_use(base: set[str]) -> None:
    # All in one process: a stage that uses more comes after those that use less
    names = sorted((name for name in USED if USED[name] & VISION == base), key=lambda name: len(USED[name]))
    code = f"for name in {names}:\n    __import__('stages.' + name)\n    print(*sys.modules, sep=' ')"
    before: set[str] = set()
    for name, modules in zip(names, printed(code)[:-1], strict=True):
        assert before <= USED[name], "give the stages an order in which each uses more"
        assert set(modules.split()) & HEAVY - USED[name] == set(), name
        before = USED[name]


def test_the_words_stages_work_without_torch(trained: Path, tmp_path: Path) -> None:
    reviews, vocab, out = map(str, (trained / "data/imdb", tmp_path / "vocab.parquet", tmp_path / "reviews"))
    assert loaded("from stages.build_vocab import main, run\nrun(main)", reviews, vocab) & HEAVY == set()
    assert loaded("from stages.tensorize import main, run\nrun(main)", reviews, vocab, out) & HEAVY == set()


@pytest.mark.slow
def test_an_answer_about_a_text_loads_torch_alone(trained: Path) -> None:
    code = "from stages.predict import main\nmain(sys.argv[1:])"
    modules = loaded(code, "--artifacts", str(trained / "artifacts"), "a great film")
    assert modules & HEAVY == {"torch"}
    assert {name for name in modules if name.startswith("stages.vision.")} <= READERS


@pytest.mark.slow
def test_an_answer_about_a_picture_loads_no_word_code(trained_images: Folder, tmp_path: Path) -> None:
    code = "from stages.predict import main\nmain(sys.argv[1:])"
    (tmp_path / "picture.png").write_bytes(drawn("disc", 0))
    modules = loaded(code, "--artifacts", str(trained_images.path), str(tmp_path / "picture.png"))
    assert modules & HEAVY == VISION
    assert {name for name in modules if name.startswith("stages.text")} == set()


@pytest.mark.parametrize("command", [[], ["predict"], ["check"]])
def test_help_comes_without_torch(command: list[str]) -> None:
    code = "from stages.apps.command import run\nsys.argv[0] = 'sentidog'\ntry: run()\nexcept SystemExit: pass"
    assert loaded(code, *command, "--help") & HEAVY == set()
