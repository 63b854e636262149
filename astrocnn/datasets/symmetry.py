"""The eight symmetries of a square, as indices and as views.

Element k is a rotation by ``k % 4`` quarter turns (`numpy.rot90`), followed for k >= 4 by a flip
of the columns (`numpy.fliplr`).  The first four are the rotations.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from astrocnn.errors import InputsError

__all__ = ["ELEMENTS", "UPSIDE_DOWN", "d4_tables", "get_d4_views", "view"]

ELEMENTS = 8
UPSIDE_DOWN = 6


def view(images: np.ndarray, element: int) -> np.ndarray:
    """One element of the group applied to images, without a copy.

    Parameters
    ----------
    images : ndarray of shape (n, size, size, channels)
    element : int
        0 to 7.
    """
    # Views without a copy: the eight views of a batch cost no memory.
    turned = np.rot90(images, element % 4, axes=(1, 2))
    return turned[:, :, ::-1] if element >= 4 else turned


def get_d4_views(images: np.ndarray) -> Iterator[np.ndarray]:
    """The eight views of images, first the images themselves; no copies are made.

    Parameters
    ----------
    images : ndarray of shape (n, size, size, channels)

    Raises
    ------
    InputsError
        If the images are not square.

    Examples
    --------
    >>> [v[0, :, :, 0].ravel().tolist() for v in get_d4_views(np.arange(4).reshape(1, 2, 2, 1))][:2]
    [[0, 1, 2, 3], [1, 3, 0, 2]]
    """
    if images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise InputsError(
            "The eight symmetries of a square need square images.",
            received=f"shape {images.shape}",
            allowed="shape (n, size, size, channels)",
        )
    return (view(images, element) for element in range(ELEMENTS))


def d4_tables(size: int) -> np.ndarray:
    """For each element the flat index of the pixel that goes to each place.

    Returns
    -------
    ndarray of shape (8, size * size)
        int32: ``flat[table[k]]`` is element k of the flattened image.
    """
    # Made from `view` itself, so tables and views cannot disagree.
    places = np.arange(size * size, dtype=np.int32).reshape(1, size, size, 1)
    return np.stack([view(places, element).reshape(-1) for element in range(ELEMENTS)])
