"""A bounded cache of image planes in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from astrocnn.imaging.planes import Plane
from astrocnn.imaging.remote_planes import RemotePlane, Window, is_remote

__all__ = ["PlaneCache"]


class PlaneCache:
    """A bounded cache of loaded planes: the least recently used ones are dropped first.

    Each plane is loaded by one thread only, the others wait for it.  Of a plane at a URL only the
    windows that are asked for are fetched.

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
        self._planes: OrderedDict[tuple[object, ...], np.ndarray | RemotePlane] = OrderedDict()
        self._sizes: dict[tuple[object, ...], int] = {}
        self._loading: dict[tuple[object, ...], threading.Lock] = {}

    def get(self, plane: Plane, windows: list[Window]) -> np.ndarray:
        """The stored numbers of a plane.

        Parameters
        ----------
        plane : Plane
        windows : list of (ndarray of shape (n,), ndarray of shape (n,), int)
            What is needed at least: first columns and rows of windows, and their side [pixel].
        """
        loaded = self._get(plane)
        if isinstance(loaded, RemotePlane):
            loaded.require(windows)
            return loaded.array
        return loaded

    def _get(self, plane: Plane) -> np.ndarray | RemotePlane:
        key = (plane.path, plane.unit.index, str(plane.take))
        with self._lock:
            if key in self._planes:
                # Another program may have cut the file short since it was mapped.
                plane.validate_length()
                self._planes.move_to_end(key)
                return self._planes[key]
            loading = self._loading.setdefault(key, threading.Lock())
        # Decoding takes long and happens outside of the lock, which other planes need.
        with loading:
            with self._lock:
                # Another thread may have loaded the plane while this one waited.
                if key in self._planes:
                    return self._planes[key]
            array = RemotePlane(plane) if is_remote(plane) else plane.load()
            with self._lock:
                self._planes[key] = array
                self._sizes[key] = plane.decoded_bytes
                self._loading.pop(key, None)
                self._shrink()
            return array

    def _shrink(self) -> None:
        # The last plane stays even if it exceeds the limit by itself: it is in use.
        while len(self._planes) > 1 and (
            len(self._planes) > self.max_planes or sum(self._sizes.values()) > self.max_bytes
        ):
            key, _ = self._planes.popitem(last=False)
            del self._sizes[key]
