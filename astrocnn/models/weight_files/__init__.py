"""Readers of weights that other programs wrote: named arrays, and nothing executed.

A file is known by its content, not by its name: safetensors, PyTorch state dicts of both kinds,
HDF5 files of Keras and ``.keras`` archives; a folder of timm holds ``config.json`` beside one of
them.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from astrocnn.errors import AstrocnnError, ModelError
from astrocnn.fits_file import read_bytes
from astrocnn.models.architectures.base import SUFFIXES
from astrocnn.models.weight_files import keras_hdf5, pytorch, safetensors
from astrocnn.models.weight_files.base import Damaged
from astrocnn.stored_files import read_json

__all__ = ["WeightFile", "read_weight_file"]

_LARGEST = 8 << 30
_FIRST = ("model.safetensors", "pytorch_model.bin", "model.weights.h5")
_Numbers = tuple[Annotated[float, Field(allow_inf_nan=False)], ...]


class WeightFile(NamedTuple):
    """The content of a file of weights."""

    path: Path
    tensors: dict[str, NDArray[Any]]
    """By name; for files of Keras ``layer/0``, ``layer/1``, ... in the order of its weights."""
    kind: Literal["pytorch", "keras"]
    """Whose names and orders of axes these are."""
    sha256: str
    mean: _Numbers | None = None
    std: _Numbers | None = None
    """Preprocessing that a ``config.json`` beside the file states."""


class _Preprocessing(BaseModel):
    # Files of others hold much else, which is of no concern here.
    model_config = ConfigDict(frozen=True, extra="ignore")
    mean: _Numbers | None = None
    std: Annotated[_Numbers, Field()] | None = None


class _Config(_Preprocessing):
    pretrained_cfg: _Preprocessing | None = None


def read_weight_file(path: str | Path) -> WeightFile:
    """Read a file of weights, or the one in a folder of timm.

    Raises
    ------
    ModelError
        If it is missing, of an unknown kind, damaged, or asks for anything but arrays.
    """
    path = Path(path)
    mean = std = None
    if path.is_dir():
        mean, std = _read_config(path)
        path = _find_in(path)
    try:
        data = read_bytes(path, _LARGEST)
    except AstrocnnError as error:
        raise ModelError(
            f"The weights '{path}' cannot be read.", received=error.what, hint=error.hint
        ) from error
    kind, reader = _identify(path, data)
    try:
        tensors = reader(data)
    except Damaged as error:
        raise ModelError(
            f"The weights '{path}' cannot be read.", received=str(error), hint=error.hint
        ) from error
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.all(np.isfinite(tensor)):
            raise ModelError(
                f"The weights '{path}' hold numbers that are not finite.", received=name
            )
    return WeightFile(path, tensors, kind, hashlib.sha256(data).hexdigest(), mean, std)


_Read = Callable[[bytes], dict[str, NDArray[Any]]]


def _identify(path: Path, data: bytes) -> tuple[Literal["pytorch", "keras"], _Read]:
    """The reader of a file, by its first bytes."""
    if data.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras", keras_hdf5.read
    if data.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                names = archive.namelist()
        except Exception as error:  # damaged bytes raise errors of many kinds
            raise ModelError(
                f"The weights '{path}' cannot be read.", received=f"a damaged archive: {error}"
            ) from error
        if keras_hdf5.MEMBER in names:
            return "keras", keras_hdf5.read_archive
        return "pytorch", pytorch.read_archive
    if data.startswith(b"\x80") and data[2:3] == b"\x8a":
        return "pytorch", pytorch.read_legacy
    if data[8:9] == b"{":
        return "pytorch", safetensors.read
    raise ModelError(
        f"The weights '{path}' are of an unknown kind.",
        allowed="safetensors, a PyTorch state dict, or weights of Keras (.weights.h5, .keras)",
        hint="in PyTorch: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')",
    )


def _find_in(folder: Path) -> Path:
    """The one file of weights in a folder."""
    for name in _FIRST:
        if (folder / name).is_file():
            return folder / name
    found = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file())
    if len(found) == 1:
        return found[0]
    raise ModelError(
        f"The folder '{folder}' holds {'several files' if found else 'no file'} of weights.",
        received=", ".join(p.name for p in found) or None,
        allowed=f"one of {', '.join(_FIRST)}, or a single file with another name",
        hint="name the file itself" if found else None,
    )


def _read_config(folder: Path) -> tuple[_Numbers | None, _Numbers | None]:
    """Mean and standard deviation from the ``config.json`` of timm."""
    if not (folder / "config.json").is_file():
        return None, None
    config = read_json(folder / "config.json", _Config)
    source = config.pretrained_cfg or config
    mean, std = source.mean, source.std
    if mean is None or std is None:
        return None, None
    if len(mean) != len(std) or not mean or min(std) <= 0:
        raise ModelError(
            f"The preprocessing in '{folder / 'config.json'}' makes no sense.",
            received=f"mean {mean}, std {std}",
            allowed="a mean and a positive standard deviation for each channel",
        )
    return mean, std
