"""Files as PyTorch and safetensors write them, made without either."""

from __future__ import annotations

import io
import json
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

KINDS = {
    "f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage",
    "u1": "ByteStorage", "b1": "BoolStorage",
}  # fmt: skip


def safetensors(tensors, **metadata):
    """Bytes of a safetensors file."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    names = {"f4": "F32", "f8": "F64", "f2": "F16", "i8": "I64", "u1": "U8", "b1": "BOOL"}
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        kind = names[np.asarray(array).dtype.str[1:]]
        place = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": kind, "shape": list(np.shape(array)), "data_offsets": place}
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


class _Tensor:
    """Pickled as a tensor in a storage of its own."""

    def __init__(self, array, key):
        self.array, self.key = array, key
        # In the order of memory, as PyTorch writes it: strides say which axis is which.
        order = np.argsort(array.strides, kind="stable")[::-1]
        self.flat = np.frombuffer(array.transpose(order).tobytes(), array.dtype)

    def __reduce__(self):
        strides = tuple(step // self.array.itemsize for step in self.array.strides)
        arguments = (self, 0, self.array.shape, strides, False, OrderedDict())
        return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments


class _Pickler(pickle.Pickler):
    def __init__(self, stream, legacy):
        super().__init__(stream, protocol=2)
        self.legacy, self.begun = legacy, set()

    def persistent_id(self, thing):
        # A tensor is its own storage: the second time it comes, inside of its reduction.
        if not isinstance(thing, _Tensor):
            return None
        if thing.key not in self.begun:
            self.begun.add(thing.key)
            return None
        kind = getattr(sys.modules["torch"], KINDS[thing.array.dtype.str[1:]])
        pid = ("storage", kind, thing.key, "cpu", thing.array.size)
        return (*pid, None) if self.legacy else pid


def _named(monkeypatch):
    torch, functions = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*_):
        raise AssertionError("a reader called a function that a file names")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = (
        "torch._utils", "_rebuild_tensor_v2",
    )  # fmt: skip
    functions._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in KINDS.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", functions)


def state_dict(monkeypatch, tensors, *, legacy=False, inside=None, more=None):
    """Bytes of a ``.pth`` file; `inside` is a key of the outer dictionary."""
    _named(monkeypatch)
    arrays = enumerate(tensors.items())
    held = OrderedDict((name, _Tensor(np.asarray(array), str(k))) for k, (name, array) in arrays)
    content = held if inside is None else {"epoch": 3, inside: held}
    content = {**content, **more} if more else content
    stream = io.BytesIO()
    if legacy:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(part, stream, protocol=2)
    _Pickler(stream, legacy).dump(content)
    if legacy:
        pickle.dump([t.key for t in held.values()], stream, protocol=2)
        for t in held.values():
            stream.write(t.array.size.to_bytes(8, "little") + t.flat.tobytes())
        return stream.getvalue()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("archive/data.pkl", stream.getvalue())
        members.writestr("archive/byteorder", "little")
        for t in held.values():
            members.writestr(f"archive/data/{t.key}", t.flat.tobytes())
    return archive.getvalue()


def archive_of(content):
    """Bytes of an archive whose pickle is given."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as members:
        members.writestr("archive/data.pkl", content)
    return stream.getvalue()
