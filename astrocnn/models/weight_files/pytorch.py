"""Reader of PyTorch state dicts (``.pth``, ``.pt``, ``.bin``): archives, and the older kind.

Such a file is a pickle, which can ask for any function of Python to be called.  Here nothing is
unpickled: a small machine follows the opcodes that ``torch.save`` writes and knows the few
functions that make tensors and dictionaries by their names alone; it imports and calls nothing,
and any other name is an error.

References
----------
pickletools, the opcodes (docs.python.org/3/library/pickletools.html).
torch/serialization.py, functions ``_save`` and ``_legacy_save``.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.models.weight_files.base import Damaged, as_float32, view_tensor

__all__ = ["read_archive", "read_legacy"]

_TYPES = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "u2",
    "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1",
    "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DEEPEST = 8
_HINT = "in PyTorch: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"


class _Name(NamedTuple):
    """A function or class that a file names, which is never looked up."""

    module: str
    name: str


class _Storage(NamedTuple):
    kind: str
    key: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: Any
    shape: Any
    strides: Any


class _Mark:
    pass


def read_archive(data: bytes) -> dict[str, NDArray[Any]]:
    """Tensors by name, of a zip archive as ``torch.save`` writes it.

    Raises
    ------
    Damaged
        If the file is damaged, or asks for anything but tensors.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            # Archives of PyTorch are not compressed: nothing may grow while it is read.
            if sum(member.file_size for member in members) > len(data):
                raise Damaged("a compressed archive")
            pickles = [x.filename for x in members if x.filename.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise Damaged("an archive that is no state dict of PyTorch", _HINT)
            root = pickles[0].removesuffix("data.pkl")
            names = set(archive.namelist())
            if f"{root}constants.pkl" in names:
                raise Damaged("a TorchScript program, not a state dict", _HINT)
            order = b"little"
            if f"{root}byteorder" in names:
                order = archive.read(f"{root}byteorder")
            content, _ = _follow(archive.read(pickles[0]), 0)
            found = _collect(content)
            raw = {
                key: archive.read(f"{root}data/{key}")
                for key in {tensor.storage.key for tensor in found.values()}
            }
    except Damaged:
        raise
    except Exception as error:  # damaged bytes raise errors of many kinds
        raise Damaged(f"a damaged archive: {str(error) or type(error).__name__:.80}") from error
    return _view(found, raw, big_endian=order.strip() == b"big")


def read_legacy(data: bytes) -> dict[str, NDArray[Any]]:
    """Tensors by name, of a file as ``torch.save`` wrote it before version 1.6.

    Raises
    ------
    Damaged
        If the file is damaged, or asks for anything but tensors.
    """
    parts: list[Any] = []
    end = 0
    # A magic number, the version, the byte order, the content, and the keys of its storages.
    for _ in range(5):
        part, end = _follow(data, end)
        parts.append(part)
        if len(parts) == 2 and parts != [_MAGIC, _PROTOCOL]:
            raise Damaged("no state dict of PyTorch", _HINT)
    _, _, system, content, keys = parts
    found = _collect(content)
    if not isinstance(keys, list) or not isinstance(system, dict):
        raise Damaged("no list of storages")
    big_endian = system.get("little_endian") is False
    kinds = {tensor.storage.key: tensor.storage.kind for tensor in found.values()}
    raw: dict[str, bytes] = {}
    for key in keys:
        if not isinstance(key, str) or key not in kinds or key in raw:
            raise Damaged(f"storage {key!r:.40} of no tensor, or there twice")
        size = int.from_bytes(data[end : end + 8], "big" if big_endian else "little")
        stop = end + 8 + size * _dtype(kinds[key]).itemsize
        if stop > len(data):
            raise Damaged("it is truncated")
        raw[key] = data[end + 8 : stop]
        end = stop
    return _view(found, raw, big_endian=big_endian)


def _dtype(kind: str) -> np.dtype[Any]:
    return np.dtype(_TYPES[kind])


def _view(
    found: Mapping[str, _Tensor], raw: Mapping[str, bytes], *, big_endian: bool
) -> dict[str, NDArray[Any]]:
    storages: dict[str, NDArray[Any]] = {}
    kinds: dict[str, str] = {}
    tensors = {}
    for name, tensor in found.items():
        key, kind = tensor.storage.key, tensor.storage.kind
        if key not in raw:
            raise Damaged(f"tensor '{name}' without its numbers")
        if kinds.setdefault(key, kind) != kind:
            raise Damaged(f"tensor '{name}' in a storage of two types")
        if key not in storages:
            dtype = _dtype(kind).newbyteorder(">" if big_endian else "<")
            if len(raw[key]) % dtype.itemsize:
                raise Damaged(f"tensor '{name}': a storage of {len(raw[key])} bytes")
            flat = np.frombuffer(raw[key], dtype)
            storages[key] = as_float32(flat) if kind == "BFloat16Storage" else flat
        if not isinstance(tensor.shape, tuple) or not isinstance(tensor.strides, tuple):
            raise Damaged(f"tensor '{name}' without a shape")
        tensors[name] = view_tensor(storages[key], tensor.offset, tensor.shape, tensor.strides)
    return tensors


def _collect(content: Any) -> dict[str, _Tensor]:
    """Tensors in a dictionary, and in those inside of it, with their keys joined by dots."""
    found: dict[str, _Tensor] = {}
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    seen: set[int] = set()
    while waiting:
        prefix, table, depth = waiting.pop(0)
        # A pickle can hold one table in many places, and in itself.
        if id(table) in seen or depth > _DEEPEST:
            continue
        seen.add(id(table))
        if not isinstance(table, dict):
            continue
        for key, value in table.items():
            name = f"{prefix}{key}"
            if isinstance(value, _Tensor):
                found[name] = value
            elif isinstance(value, dict):
                waiting.append((f"{name}.", value, depth + 1))
    if not found:
        raise Damaged("there is no tensor in it", _HINT)
    return found


def _follow(data: bytes, start: int) -> tuple[Any, int]:
    """What one pickle describes, and where the next begins."""
    stream = io.BytesIO(data)
    stream.seek(start)
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return machine.pop(), stream.tell()
            machine.step(opcode.name, argument)
    except Damaged:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeError) as error:
        raise Damaged(f"damaged: {str(error) or type(error).__name__:.80}") from error
    raise Damaged("it is truncated")


class _Machine:
    """The stack of a pickle of plain values and tensors."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _Mark:
            raise Damaged("damaged: its values do not fit its opcodes")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _Mark:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise Damaged("damaged: its values do not fit its opcodes")

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise Damaged(f"it uses the opcode {name}, which no state dict needs", _HINT)

    def put(self, key: int | None) -> None:
        self.memo[len(self.memo) if key is None else key] = self.stack[-1]

    def set_items(self, values: list[Any]) -> None:
        table = self.stack[-1]
        if not isinstance(table, dict) or len(values) % 2:
            raise Damaged("damaged: values that belong to no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Keys of other types may take for ever to be hashed.
            if type(key) not in (str, int):
                raise Damaged("a dictionary with keys that are neither names nor numbers", _HINT)
            table[key] = value

    def append(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise Damaged("damaged: values that belong to no list")
        self.stack[-1].extend(values)

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise Damaged("damaged: a call without a function")
        build = _BUILDERS.get(function)
        if build is None:
            raise _refuse(function)
        self.stack.append(build(*arguments))

    def build(self) -> None:
        self.pop()
        # Attributes of a dictionary, as PyTorch's version of each module, mean nothing here.
        if not isinstance(self.stack[-1], dict):
            raise Damaged("it sets the state of an object, which no state dict needs", _HINT)

    def persistent(self) -> None:
        pid = self.pop()
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise Damaged("damaged: a storage that is not described")
        kind, key, size = pid[1], pid[2], pid[4]
        if not isinstance(kind, _Name) or kind.module not in ("torch", "torch.storage"):
            raise Damaged("damaged: a storage without a type")
        if kind.name not in _TYPES:
            raise Damaged(f"numbers of the type {kind.name:.40}, which are not read", _HINT)
        # The last one is a view of another storage, which only very old versions wrote.
        if type(key) is not str or type(size) is not int or (len(pid) == 6 and pid[5] is not None):
            raise Damaged("damaged: a storage that is not described")
        self.stack.append(_Storage(kind.name, key, size))


def _refuse(function: _Name) -> Damaged:
    return Damaged(
        f"it asks for a call of {function.module:.40}.{function.name:.40}, which was not made",
        _HINT,
    )


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.stack.append(_Name(module, name))


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if type(name) is not str or type(module) is not str:
        raise Damaged("damaged: a name that is no text")
    machine.stack.append(_Name(module, name))


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise Damaged("damaged: a tensor without numbers")
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    if not isinstance(tensor, _Tensor):
        raise Damaged("damaged: a parameter that is no tensor")
    return tensor


def _ordered() -> dict[Any, Any]:
    return {}


def _size(values: Any) -> tuple[Any, ...]:
    return values if isinstance(values, tuple) else ()


_BUILDERS: dict[_Name, Callable[..., Any]] = {
    _Name("collections", "OrderedDict"): _ordered,
    _Name("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    _Name("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    _Name("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    _Name("torch", "Size"): _size,
}
_VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _Mark,
}


def _tuple_of(n: int) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, _: Any) -> None:
        values = [machine.pop() for _ in range(n)]
        machine.stack.append(tuple(values[::-1]))

    return step


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.persistent(),
    "BINPUT": lambda machine, key: machine.put(key),
    "LONG_BINPUT": lambda machine, key: machine.put(key),
    "MEMOIZE": lambda machine, _: machine.put(None),
    "BINGET": lambda machine, key: machine.stack.append(machine.memo[key]),
    "LONG_BINGET": lambda machine, key: machine.stack.append(machine.memo[key]),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_mark())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_mark()),
}
