"""Safetensors that no honest program writes, and whoever trusts them reads beyond the file or fills the memory."""

import json


def packed(tensors: dict[str, tuple[list[int], list[int]]], data: bytes, length: int | None = None) -> bytes:
    """A file of fp32 tensors, given by shape and the place of their bytes; `length` is what it says of its header."""
    header = {name: {"dtype": "F32", "shape": shape, "data_offsets": place} for name, (shape, place) in tensors.items()}
    text = json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


HOSTILE = {
    "a header of exabytes": packed({"a": ([1], [0, 4])}, bytes(4), length=1 << 62),
    "a header longer than the file": packed({"a": ([1], [0, 4])}, bytes(4), length=1 << 12),
    "a header of nothing but depth": (1 << 16).to_bytes(8, "little") + b'{"a":' + b"[" * ((1 << 16) - 5),
    "tensors that overlap": packed({"a": ([2], [0, 8]), "b": ([2], [4, 12])}, bytes(12)),
    "tensors at the same place": packed({"a": ([2], [0, 8]), "b": ([2], [0, 8])}, bytes(8)),
    "bytes that are no tensor's": packed({"a": ([1], [0, 4]), "b": ([1], [8, 12])}, bytes(12)),
    "bytes beyond the end": packed({"a": ([1 << 40], [0, 1 << 42])}, bytes(4)),
    "a place that runs backwards": packed({"a": ([1], [4, 0])}, bytes(4)),
    "a shape of more numbers than bytes": packed({"a": ([1 << 40], [0, 4])}, bytes(4)),
    "a shape beyond 64 bits": packed({"a": ([1 << 40, 1 << 40], [0, 4])}, bytes(4)),
}
