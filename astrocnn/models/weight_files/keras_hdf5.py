"""Reader of Keras weights: ``.weights.h5``, the older ``.h5``, and the ``.keras`` archive.

Of an archive the weights alone are read: its network is not built, so that nothing in it runs.

References
----------
keras/src/saving/saving_lib.py (layout of version 3) and legacy/saving/legacy_h5_format.py.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from astrocnn.models.weight_files.base import Damaged

__all__ = ["MEMBER", "read", "read_archive"]

MEMBER = "model.weights.h5"
"""Of a ``.keras`` archive."""

_DEEPEST = 12
_MOST = 100_000


def read_archive(data: bytes) -> dict[str, NDArray[Any]]:
    """Weights of a ``.keras`` archive; see `read`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # Keras does not compress, so that nothing may grow while it is read.
            if archive.getinfo(MEMBER).file_size > len(data):
                raise Damaged("a compressed archive")
            content = archive.read(MEMBER)
    except Damaged:
        raise
    except Exception as error:  # damaged bytes raise errors of many kinds
        raise Damaged(f"a damaged archive: {error!s:.80}") from error
    return read(content)


def read(data: bytes) -> dict[str, NDArray[Any]]:
    """Weights by name of the layer and number, ``layer/0``, ``layer/1``, ...

    Raises
    ------
    Damaged
        If the file is damaged, or points to other files.
    """
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            groups = _get(file, "model_weights") if "model_weights" in file else file
            names = "layer_names" in groups.attrs
            arrays = list(_read_legacy(groups) if names else _read_layers(groups, 0))
            found: dict[str, NDArray[Any]] = {}
            total = 0
            for name, dataset in arrays:
                total += int(dataset.nbytes)
                # Compressed or repeated numbers could fill any memory.
                if total > len(data):
                    raise Damaged("compressed weights")
                found[name] = np.asarray(dataset[()])
    except Damaged:
        raise
    except Exception as error:  # damaged bytes raise errors of many kinds
        raise Damaged(f"damaged: {str(error) or type(error).__name__:.80}") from error
    if not found:
        raise Damaged("there are no weights of layers in it")
    return found


def _get(group: Any, name: str) -> Any:
    """A member of the file itself: a link could name any other file of the machine."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise Damaged(f"'{name:.60}' is a link to elsewhere")
    return group[name]


def _check(dataset: Any) -> Any:
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiub":
        raise Damaged("weights that are no numbers")
    if dataset.is_virtual or dataset.external:
        raise Damaged("weights that stand in other files")
    return dataset


def _read_layers(group: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Weights in the layout of Keras 3: groups by class, whose attribute is the name."""
    if depth > _DEEPEST or len(group) > _MOST:
        raise Damaged("groups without end")
    for key in group:
        member = _get(group, key)
        if not isinstance(member, h5py.Group):
            continue
        if key == "vars":
            name = str(member.attrs.get("name", group.name.rpartition("/")[2]))
            for k in sorted(member, key=lambda text: int(text)):
                yield f"{name}/{k}", _check(_get(member, k))
        else:
            yield from _read_layers(member, depth + 1)


def _read_legacy(groups: Any) -> Iterator[tuple[str, Any]]:
    """Weights in the layout of Keras 2: groups by layer, which list their weights."""
    for layer in list(groups):
        group = _get(groups, layer)
        if not isinstance(group, h5py.Group) or "weight_names" not in group.attrs:
            continue
        for k, name in enumerate(group.attrs["weight_names"]):
            text = name.decode() if isinstance(name, bytes) else str(name)
            place = group
            *folders, last = text.split("/")
            for folder in folders:
                place = _get(place, folder)
            yield f"{layer}/{k}", _check(_get(place, last))
