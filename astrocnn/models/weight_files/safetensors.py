"""Reader of safetensors files.

Eight bytes with the length of a header, the header in JSON with the type, the shape and the place
of each tensor, and the numbers in C order, little-endian.

References
----------
The safetensors format, version 0.4 (huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from astrocnn.errors import ModelError
from astrocnn.models.weight_files.base import Damaged, as_float32
from astrocnn.stored_files import Stored, parse_json

__all__ = ["read"]

_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_LONGEST_HEADER = 100_000_000
_Size = Annotated[int, Field(ge=0, le=2**62)]


class _Tensor(Stored):
    dtype: str
    shape: Annotated[tuple[_Size, ...], Field(max_length=32)]
    data_offsets: tuple[_Size, _Size]


def read(data: bytes) -> dict[str, NDArray[Any]]:
    """Tensors by name.

    Raises
    ------
    Damaged
        If the file is truncated, or its header does not fit its length.
    """
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, _LONGEST_HEADER):
        raise Damaged(f"a header of {length} bytes in a file of {len(data)}: it is truncated")
    try:
        # What is no tensor is a table of texts, "__metadata__".
        entries = parse_json(data[8 : 8 + length], dict[str, _Tensor | dict[str, str]], "It")
    except ModelError as error:
        raise Damaged(f"a damaged header: {error.received}") from error
    start = 8 + length
    return {
        name: _view(name, entry, memoryview(data)[start:])
        for name, entry in entries.items()
        if isinstance(entry, _Tensor)
    }


def _view(name: str, entry: _Tensor, data: memoryview) -> NDArray[Any]:
    if entry.dtype not in _TYPES:
        raise Damaged(f"tensor '{name}' of the type {entry.dtype}, which is not read")
    dtype = np.dtype(_TYPES[entry.dtype])
    first, last = entry.data_offsets
    if last > len(data) or last - first != math.prod(entry.shape) * dtype.itemsize:
        raise Damaged(f"tensor '{name}' from byte {first} to {last} of {len(data)}")
    flat = np.frombuffer(data[first:last], dtype)
    flat = as_float32(flat) if entry.dtype == "BF16" else flat
    return flat.reshape(entry.shape)
