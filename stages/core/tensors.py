"""Tensors on disk as safetensors. Such a file cannot execute code, and the same tensors give the same bytes."""

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from stages.core.files import replacing, unreadable

if TYPE_CHECKING:
    import torch  # at run time it is imported only to read or write tensors: stages of arrays start without it

_DTYPES = {"int64": "I64", "float32": "F32", "int32": "I32"}  # NumPy's names -> safetensors', in the order it sorts by


def write_tensors(path: Path, tensors: "dict[str, torch.Tensor]", about: dict[str, Any] | None = None) -> None:
    """Write `tensors`, and `about` as JSON in the file's metadata."""
    from safetensors.torch import save_file

    dense = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        # A single key, because safetensors writes several keys in no fixed order
        metadata = {"about": json.dumps(about or {}, ensure_ascii=False)}
        try:
            save_file(dense, temporary, metadata)
            temporary.chmod(0o644)  # safetensors leaves 0o600, which other users of a shared folder cannot read
        except SafetensorError as problem:
            if failed := re.search(r"\(os error (\d+)\)", str(problem)):
                raise OSError(int(failed[1]), os.strerror(int(failed[1]))) from problem
            raise


def write_in_parts(path: Path, parts: Iterable[dict[str, np.ndarray]], about: dict[str, Any]) -> dict[str, int]:
    """Write the bytes that write_tensors would write for the concatenated parts, with one part in memory at a time.

    The parts are concatenated along their first axis. Returns the number of rows of each tensor.
    """
    with replacing(path) as temporary, ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        like: dict[str, np.ndarray] = {}
        rows: Counter[str] = Counter()
        for part in parts:
            for name, array in part.items():
                if name not in files:
                    files[name] = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
                    like[name] = array[:0]
                files[name].write(array.tobytes())
                rows[name] += len(array)
        header: dict[str, Any] = {"__metadata__": {"about": json.dumps(about, ensure_ascii=False)}}
        start = 0
        names = sorted(files, key=lambda name: (list(_DTYPES).index(like[name].dtype.name), name))
        for name in names:
            end = start + files[name].tell()
            shape = [rows[name], *like[name].shape[1:]]
            header[name] = {"dtype": _DTYPES[like[name].dtype.name], "shape": shape, "data_offsets": [start, end]}
            start = end
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in names:
                files[name].seek(0)
                shutil.copyfileobj(files[name], file, 1 << 20)
    return rows


def read_tensors(path: Path) -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
    """Return the tensors, on the CPU, and `about` from the metadata; raises InputError if the file is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118, not a dict
    except (OSError, SafetensorError, ValueError) as problem:
        raise unreadable(path, problem) from problem
