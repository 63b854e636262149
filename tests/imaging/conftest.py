"""Small tiles with a WCS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS


def simple_wcs(
    ra: float = 150.0,
    dec: float = 2.0,
    scale: float = 1.0,
    shape: tuple[int, int] = (50, 60),
    angle: float = 0.0,
    ctype: tuple[str, str] = ("RA---TAN", "DEC--TAN"),
) -> WCS:
    """Tangent plane with a scale [arcsec] and a rotation [deg], centered on the image."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ctype
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = scale / 3600 * np.array([[-c, s], [s, c]])
    wcs.wcs.set()
    return wcs


@pytest.fixture
def few_handles():
    """Limit the files that can be opened beside those that are open, until the test ends."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit(count: int) -> None:
        # Other tests of the process may have left servers and clients.
        folder = Path("/proc/self/fd")
        last = max(int(p.name) for p in folder.iterdir()) if folder.is_dir() else 30
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(last + count, limits[1]), limits[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def tile():
    """Write a tile of noise, or of given data; return its WCS and its pixels."""

    def write(
        path: Path, seed: int = 0, data: np.ndarray | None = None, **options
    ) -> tuple[WCS, np.ndarray]:
        shape = options.pop("shape", (50, 60)) if data is None else data.shape
        wcs = simple_wcs(shape=shape, **options)
        if data is None:
            data = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
        fits.PrimaryHDU(data, wcs.to_header()).writeto(path)
        return wcs, data

    return write


@pytest.fixture(scope="session")
def make_wcs():
    """The function `simple_wcs`."""
    return simple_wcs
