"""Images in datasets of HDF5 files, such as those of the Multimodal Universe.

References
----------
The Multimodal Universe Collaboration 2024, arXiv:2412.02527: a file for each sky pixel, with
datasets of equal length, ``image_array`` and ``object_id`` among them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from astrocnn.errors import AstrocnnError, ImageError
from astrocnn.fits_file import open_regular
from astrocnn.imaging.array_files import build_source
from astrocnn.remote import Url

__all__ = ["source"]


class _Dataset:
    """A dataset, whose file is open only while it is read: file handles are few."""

    def __init__(self, path: Path | Url, name: str) -> None:
        self._path, self._name = path, name
        self.shape, self.dtype = self._use(lambda dataset: (dataset.shape, dataset.dtype))

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: slice | np.ndarray) -> Any:
        return self._use(lambda dataset: dataset[rows])

    def _use(self, read: Any) -> Any:
        import h5py

        try:
            with open_regular(self._path) as stream, h5py.File(stream, "r") as file:
                return read(_find(file, self._name, self._path))
        except AstrocnnError:
            raise
        except Exception as error:  # damaged bytes raise errors of many kinds
            raise ImageError(
                f"The dataset '{self._name}' of {self._path} cannot be read.",
                received=f"{type(error).__name__}: {error}"[:200],
            ) from error


def open_array(path: Path | Url, name: str | None) -> _Dataset:
    """Open a dataset by its name; groups are separated by slashes.

    Raises
    ------
    ImageError
        If the file is damaged, or has no such dataset of its own.
    """
    if name is None:
        raise ImageError(
            f"The file {path} holds datasets, of which 'hdu' names one.", received="no hdu"
        )
    return _Dataset(path, name)


def _find(file: Any, name: str, path: Path | Url) -> Any:
    import h5py

    node = file
    for part in filter(None, name.split("/")):
        # A link to another file would open it.
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            raise ImageError(
                f"The file {path} has no dataset '{name}'.",
                received=part,
                allowed=list(node) if isinstance(node, h5py.Group) else None,
            )
        node = node[part]
    if not isinstance(node, h5py.Dataset) or node.is_virtual or node.external or not node.shape:
        raise ImageError(
            f"'{name}' of {path} is no dataset of this file with rows.", received=repr(node)
        )
    return node


source = build_source(open_array)
