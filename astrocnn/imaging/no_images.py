"""The source of a catalogue that has no images."""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocnn.imaging.cutouts import Cutouts, empty_stack
from astrocnn.imaging.fingerprints import digest_of

__all__ = ["NoImages"]


class NoImages:
    """A `Source` of nothing, for models that take catalogue columns only.

    Parameters
    ----------
    n : int
        Rows of the catalogue.

    Examples
    --------
    >>> NoImages(5).read([0, 3]).images.shape
    (2, 0, 0, 0)
    """

    bands: tuple[str, ...] = ()
    size: int = 0
    pixel_scale: float | None = None
    unit: str | None = None

    def __init__(self, n: int) -> None:
        self._n = int(n)

    def __len__(self) -> int:
        return self._n

    @property
    def fingerprint(self) -> str:
        """Digest of the number of rows, which is all there is."""
        return digest_of(("no images", self._n))

    def order(self) -> np.ndarray:
        """Rows as they are."""
        return np.arange(self._n, dtype=np.int64)

    def read(self, rows: Any, out: np.ndarray | None = None) -> Cutouts:
        """Images without a pixel, without any flag."""
        n = len(np.asarray(rows, np.int64))
        images = empty_stack((n, 0, 0, 0), out)
        return Cutouts(images, np.zeros(n, np.int32), np.zeros((n, 0), np.float32))
