"""Get a stage's source file: from the mirrors in params.yaml, or made here as the embedded sample."""

import hashlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.cache import cache_errors, cache_folder, locked, running_code
from stages.core.files import replacing
from stages.sources.fetch import Mirror, fetch
from stages.sources.user_data import user_path

if TYPE_CHECKING:
    from stages.config.params import OwnSource, Source

EMBEDDED = ("embedded", "data/example/embedded")  # the second for sources of the user's own: DVC watches the path

_HINT = """\
No network? "dataset: sample" in params.yaml needs none. Or point at a copy of the file:
  dvc exp run -S dataset={dataset} -S 'sources.{name}.{dataset}.urls=[/path/to/file]' \\
    -S sources.{name}.{dataset}.hash=null -S sources.{name}.{dataset}.size=null"""


def is_embedded(source: "Source | OwnSource") -> bool:
    """Return whether the source's file is made here, not fetched."""
    return any(url in EMBEDDED for url in source.urls) and not getattr(source, "download", None)


def obtain(
    name: str, dataset: str, source: "Source | OwnSource", embedded: Callable[..., None], *arguments: str
) -> Path:
    """Return the path of the source's file: fetched, or made by `embedded` if the source is embedded.

    `embedded` is called with the path to write, and `arguments`.

    Raises InputError if no mirror has the file, or if the user's path is relative and git does not track it.
    """
    if is_embedded(source):
        return _made(embedded, *arguments)
    address = getattr(source, "download", None)
    mirrors = [
        Mirror(url, source.hash, source.size) if isinstance(url, str) else Mirror(url.url, url.hash, url.size)
        for url in ([address] if address else source.urls)
    ]
    if dataset == "own" and not address:
        for mirror in mirrors:
            user_path(f"sources.{name}.own.urls", mirror.url)
    return fetch(name, mirrors, _HINT.format(name=name, dataset=dataset))


def _made(make: Callable[..., None], *arguments: str) -> Path:
    """Return the file that `make` writes. It is cached under a hash of the arguments and of all code that makes it."""
    facts = json.dumps([make.__name__, arguments, running_code(), _package(make)])
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    path = cache_folder() / "made" / f"{make.__name__}-{key}"
    with cache_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(Path(f"{path}.lock"), f"waiting for another process that makes {path.name}"):
            if not path.exists():
                with replacing(path) as temporary:
                    make(temporary, *arguments)
    return path


def _package(make: Callable[..., None]) -> dict[str, str]:
    """Return the hashes of all files in the folder of `make`'s module and below, such as word lists."""
    folder = Path(inspect.getfile(make)).parent
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
