"""Loaded planes, kept while they are of use: a bounded number, a bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from astrocnn.imaging.planes import Plane

__all__ = ["PlaneCache"]


class PlaneCache:
    """Least recently used planes are forgotten first; each is loaded by one thread only.

    Parameters
    ----------
    max_bytes : int
        Memory for decoded planes; the plane in use may exceed it.
    max_planes : int
        Mapped files cost a file handle each, of which a process has about a thousand.
    """

    def __init__(self, max_bytes: int = 1 << 30, max_planes: int = 128) -> None:
        self.max_bytes = max_bytes
        self.max_planes = max_planes
        self._lock = threading.Lock()
        self._planes: OrderedDict[tuple[object, ...], np.ndarray] = OrderedDict()
        self._sizes: dict[tuple[object, ...], int] = {}
        self._loading: dict[tuple[object, ...], threading.Lock] = {}

    def get(self, plane: Plane) -> np.ndarray:
        """The stored numbers of a plane."""
        key = (plane.path, plane.unit.index, str(plane.take))
        with self._lock:
            if key in self._planes:
                self._planes.move_to_end(key)
                return self._planes[key]
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            with self._lock:
                if key in self._planes:
                    return self._planes[key]
            array = plane.load()
            with self._lock:
                self._planes[key] = array
                self._sizes[key] = plane.decoded_bytes
                self._loading.pop(key, None)
                self._shrink()
            return array

    def _shrink(self) -> None:
        while len(self._planes) > 1 and (
            len(self._planes) > self.max_planes or sum(self._sizes.values()) > self.max_bytes
        ):
            key, _ = self._planes.popitem(last=False)
            del self._sizes[key]
