"""The grid that the cutouts of a survey are on: that of a reference tile, or a tangent plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["TangentGrid", "same_grid"]

SAME = 1e-3
"""Two grids whose pixels differ by less than this [pixel] everywhere are the same."""


@dataclass(frozen=True)
class TangentGrid:
    """Tangent planes, each centered on its own object.

    Parameters
    ----------
    matrix : ndarray of shape (2, 2)
        Offsets east and north [arcsec] per pixel in x and y.
    """

    matrix: np.ndarray

    @classmethod
    def north_up(cls, scale: float) -> TangentGrid:
        """North up, east left, with a pixel scale [arcsec]."""
        return cls(np.array([[-scale, 0.0], [0.0, scale]]))

    def to_sky(
        self, ra: np.ndarray, dec: np.ndarray, x: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sky positions [deg] of pixel offsets from the objects.

        Parameters
        ----------
        ra, dec : ndarray of shape (n,)
            Objects [deg].
        x, y : ndarray of shape (m,)
            Offsets [pixel].

        Returns
        -------
        ra, dec : ndarray of shape (n, m)

        References
        ----------
        Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3 (gnomonic projection).
        """
        east, north = np.radians(self.matrix @ np.stack([x, y]) / 3600)
        lon0, lat0 = np.radians(ra)[:, None], np.radians(dec)[:, None]
        down = np.cos(lat0) - north * np.sin(lat0)
        lon = lon0 + np.arctan2(east, down)
        lat = np.arctan2(np.sin(lat0) + north * np.cos(lat0), np.hypot(east, down))
        return np.degrees(lon) % 360, np.degrees(lat)


def same_grid(target: object, other: object) -> tuple[int, int] | None:
    """Whole-pixel shift (x, y) from one image grid to another; None when there is none.

    Parameters
    ----------
    target, other : SkyGrid
        Grids of two images.
    """
    if target is other or target.key == other.key:  # type: ignore[attr-defined]
        return 0, 0
    height, width = target.shape  # type: ignore[attr-defined]
    y, x = np.meshgrid(np.linspace(0, height - 1, 5), np.linspace(0, width - 1, 5), indexing="ij")
    there_x, there_y = other.to_pixel(*target.to_sky(x, y))  # type: ignore[attr-defined]
    shift_x, shift_y = there_x - x, there_y - y
    whole_x, whole_y = np.round(shift_x[2, 2]), np.round(shift_y[2, 2])
    worst = np.maximum(np.abs(shift_x - whole_x), np.abs(shift_y - whole_y)).max()
    return (int(whole_x), int(whole_y)) if worst < SAME else None
