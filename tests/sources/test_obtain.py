import hashlib
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stages.config.params import load_params
from stages.core.files import InputError
from stages.sources.obtain import is_embedded, obtain
from stages.training import trainer
from tests.project import ROOT

MAKER = """
from pathlib import Path

def write_tiny(path: Path, *words: str) -> None:
    with Path({log!r}).open("a") as log:
        log.write("made ")
    path.write_bytes(" ".join(["archive", *words]).encode())
"""


@dataclass
class Source:
    urls: list[Any]
    hash: str | None = None
    size: int | None = None


@dataclass
class OtherFile:
    url: str
    hash: str | None
    size: int | None


def never(path: Path) -> None:
    raise AssertionError("nothing is to be made")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENTIDOG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """A tiny package that makes an archive: maker.py, and helper.py beside it."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "maker.py").write_text(MAKER.format(log=str(tmp_path / "log")))
    (folder / "helper.py").write_text("WORDS = 1\n")
    yield folder
    sys.modules.pop("tiny_maker", None)


def maker(package: Path) -> Callable[..., None]:
    spec = importlib.util.spec_from_file_location("tiny_maker", package / "maker.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["tiny_maker"] = module
    spec.loader.exec_module(module)
    return module.write_tiny


def made(package: Path) -> int:
    return (package.parent / "log").read_text().split().count("made")


# embedded


def test_the_embedded_archive_is_made_once(package: Path, cache: Path) -> None:
    first = obtain("imdb", "sample", Source(["embedded"]), maker(package))
    assert first.read_bytes() == b"archive"
    assert cache in first.parents
    assert obtain("imdb", "sample", Source(["embedded"]), maker(package)) == first
    assert made(package) == 1


def test_a_source_of_the_users_own_that_is_not_named_is_a_file_for_dvc_and_made_here(package: Path) -> None:
    sources = load_params(ROOT / "params.yaml").sources
    for source in (sources.glove.own, sources.source_model.own):
        (path,) = source.urls
        assert (ROOT / path).is_file()
        assert is_embedded(source)
        assert obtain("glove", "own", source, maker(package)).read_bytes() == b"archive"
    assert not is_embedded(sources.glove.own.model_copy(update={"download": "https://host/v.txt"}))


def test_two_experiments_at_once_make_it_once(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny = maker(package)

    @wraps(write_tiny)
    def slow(path: Path) -> None:
        time.sleep(2)
        write_tiny(path)

    with ThreadPoolExecutor(2) as both:
        found = list(both.map(lambda _: obtain("imdb", "sample", Source(["embedded"]), slow), range(2)))
    assert [file.read_bytes() for file in found] == [b"archive", b"archive"]
    assert made(package) == 1
    assert "waiting for another process that makes write_tiny" in capsys.readouterr().err


def test_an_edit_of_any_loaded_code_makes_it_again(package: Path, tmp_path: Path) -> None:
    # The sample's source model goes through the training loop, which is in another room than its maker
    first = obtain("source_model", "sample", Source(["embedded"]), maker(package))
    (tmp_path / "trainer.py").write_text("# edited")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "__file__", str(tmp_path / "trainer.py"))
        assert obtain("source_model", "sample", Source(["embedded"]), maker(package)) != first
    assert obtain("source_model", "sample", Source(["embedded"]), maker(package)) == first
    assert made(package) == 2


@pytest.mark.parametrize("name", ["maker.py", "helper.py", "new.py", "words.txt"])
def test_a_change_of_its_makers_package_makes_it_again(package: Path, name: str) -> None:
    first = obtain("imdb", "sample", Source(["embedded"]), maker(package))
    with (package / name).open("a") as file:
        file.write("# changed\n")
    second = obtain("imdb", "sample", Source(["embedded"]), maker(package))
    assert second != first
    assert made(package) == 2


def test_its_makers_arguments_reach_it_and_each_have_a_file_of_their_own(package: Path) -> None:
    write_tiny = maker(package)
    files = [
        obtain("source_model", "sample", Source(["embedded"]), write_tiny, *words) for words in ((), ("a",), ("b",))
    ]
    assert [file.read_bytes() for file in files] == [b"archive", b"archive a", b"archive b"]
    assert len(set(files)) == 3
    assert obtain("source_model", "sample", Source(["embedded"]), write_tiny, "a") == files[1]
    assert made(package) == 3
    with (package / "helper.py").open("a") as file:
        file.write("# changed\n")
    assert obtain("source_model", "sample", Source(["embedded"]), write_tiny, "a") not in files


def test_a_maker_that_fails_leaves_nothing_that_could_be_taken_for_the_archive(package: Path, cache: Path) -> None:
    source = (package / "maker.py").read_text()
    (package / "maker.py").write_text(source + "    raise OSError('no room')\n")
    with pytest.raises(InputError, match="no room"):
        obtain("imdb", "sample", Source(["embedded"]), maker(package))
    assert [path.name for path in (cache / "made").iterdir() if not path.name.endswith(".lock")] == []


def test_a_cache_that_cannot_be_written_is_an_input_error(package: Path, cache: Path) -> None:
    cache.write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(InputError, match="SENTIDOG_CACHE"):
        obtain("imdb", "sample", Source(["embedded"]), maker(package))


# A file of the user's


def test_a_local_path_is_used_in_place(tmp_path: Path) -> None:
    path = tmp_path / "mine.tar.gz"
    path.write_bytes(b"mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    assert obtain("imdb", "full", Source([str(path)]), never) == path
    assert obtain("imdb", "full", Source([str(path)], f"sha256:{digest}", 4), never) == path


def test_a_mirrors_own_hash_and_size_are_those_that_count(tmp_path: Path) -> None:
    path = tmp_path / "mine.tar.gz"
    path.write_bytes(b"mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    wrong = "sha256:" + "0" * 64
    mirror = OtherFile(str(path), f"sha256:{digest}", 4)
    assert obtain("imdb", "full", Source(["/nowhere", mirror], wrong, 99), never) == path
    with pytest.raises(InputError, match="could not get"):
        obtain("imdb", "full", Source([OtherFile(str(path), wrong, 4)], f"sha256:{digest}", 4), never)


def test_the_error_tells_how_to_go_on(tmp_path: Path) -> None:
    missing = tmp_path / "lost.tar.gz"
    with pytest.raises(InputError) as caught:
        obtain("imdb", "full", Source([str(missing)]), never)
    message = str(caught.value)
    assert message.startswith(f"imdb: could not get lost.tar.gz\n  {missing}: no such file\n")
    assert "dataset: sample" in message
    assert "-S 'sources.imdb.full.urls=[/path/to/file]'" in message
    assert "-S sources.imdb.full.hash=null -S sources.imdb.full.size=null" in message
