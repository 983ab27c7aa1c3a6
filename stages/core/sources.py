"""Where a stage's data comes from: the mirrors of params.yaml, or an archive made on the spot."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from stages.core.cache import cache_errors, cache_folder, locked
from stages.core.fetch import Mirror, fetch
from stages.core.files import replacing

EMBEDDED = "embedded"

_HINT = """\
No network? "dataset: sample" in params.yaml needs none. Or point at a copy of the file:
  dvc exp run -S dataset={dataset} -S 'sources.{name}.{dataset}.urls=[/path/to/file]' \\
    -S sources.{name}.{dataset}.hash=null -S sources.{name}.{dataset}.size=null"""


class Source(Protocol):
    @property
    def urls(self) -> list[Any]: ...  # addresses, or {url, hash, size}
    @property
    def hash(self) -> str | None: ...
    @property
    def size(self) -> int | None: ...


def obtain(name: str, dataset: str, source: Source, embedded: Callable[..., None], *arguments: str) -> Path:
    """Return the path of the source's file, fetched, or made by `embedded` where the source says so.

    `embedded` is called with the path to write and `arguments`, which become part of its name: safe ones only.

    Raises InputError if no mirror gives it.
    """
    if EMBEDDED in source.urls:
        return _made(embedded, *arguments)
    mirrors = [
        Mirror(url, source.hash, source.size) if isinstance(url, str) else Mirror(url.url, url.hash, url.size)
        for url in source.urls
    ]
    return fetch(name, mirrors, _HINT.format(name=name, dataset=dataset))


def _made(make: Callable[..., None], *arguments: str) -> Path:
    """Return the file that `make` writes, made once for its arguments and each version of its package's code."""
    module = inspect.getmodule(make)
    assert module is not None
    assert module.__file__ is not None
    code = hashlib.sha256()
    for file in sorted(Path(module.__file__).parent.glob("*.py")):
        code.update(file.read_bytes())
    path = cache_folder() / "made" / "-".join([make.__name__, *arguments, code.hexdigest()[:16]])
    with cache_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(Path(f"{path}.lock"), f"waiting for another process that makes {path.name}"):
            if not path.exists():
                with replacing(path) as temporary:
                    make(temporary, *arguments)
    return path
