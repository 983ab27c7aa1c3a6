"""Tensors on disk as safetensors: nothing in them can run, the same tensors give the same bytes."""

import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from stages.core.files import replacing, unreadable


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, Any] | None = None) -> None:
    """Write `tensors`, with `about` (anything JSON can say) in the file's metadata."""
    dense = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        # One key: safetensors keeps several in no fixed order.
        metadata = {"about": json.dumps(about or {}, ensure_ascii=False)}
        try:
            save_file(dense, temporary, metadata)
        except SafetensorError as problem:
            if failed := re.search(r"\(os error (\d+)\)", str(problem)):
                raise OSError(int(failed[1]), os.strerror(int(failed[1]))) from problem
            raise


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors, on the CPU, and what the file says about them; raises InputError if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118, not a dict
    except (OSError, SafetensorError, ValueError) as problem:
        raise unreadable(path, problem) from problem
