"""Coverage maps: areas against HEALPix by another library, and what is in the file."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix

from astrocnn.catalog import COVERAGE_ORDER, write_coverage
from astrocnn.errors import CatalogError, MissingDependency

CELL = 4 * np.pi * np.degrees(1) ** 2 / (12 * 4**COVERAGE_ORDER)
"""Area of one cell [square degree]."""


@pytest.fixture
def sky():
    """Positions over the whole sky, some close together, on both sides of RA 0 and at the poles."""
    rng = np.random.default_rng(0)
    ra = np.concatenate(
        [rng.uniform(0, 360, 3000), 150 + rng.normal(0, 0.1, 3000), [0, 359.999, 7]]
    )
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    return ra, np.concatenate([dec, 2 + rng.normal(0, 0.1, 3000), [0, 0, 90]])


def test_the_area_is_that_of_the_cells_with_objects(sky, tmp_path):
    pytest.importorskip("mocpy", reason="mocpy is not installed")
    place = SkyCoord(*sky, unit="deg")
    cells = HEALPix(2**COVERAGE_ORDER, order="nested").lonlat_to_healpix(place.ra, place.dec)
    area = write_coverage(tmp_path / "c.fits", *sky)
    assert area == pytest.approx(CELL * len(np.unique(cells)), rel=1e-12)
    other = write_coverage(tmp_path / "d.fits", *(values[::-1] for values in sky))
    assert other == area
    assert (tmp_path / "c.fits").read_bytes() == (tmp_path / "d.fits").read_bytes()


def test_the_file_holds_every_object_and_little_else(sky, tmp_path):
    mocpy = pytest.importorskip("mocpy", reason="mocpy is not installed")
    write_coverage(tmp_path / "c.fits", *sky)
    moc = mocpy.MOC.from_fits(tmp_path / "c.fits")
    place = SkyCoord(*sky, unit="deg")
    assert moc.contains_skycoords(place).all()
    # Opposite points are as scattered, and hardly any cell of 10^7 holds one of both.
    assert (
        moc.contains_skycoords(SkyCoord(place.ra + 180 * place.ra.unit, -place.dec)).mean() < 0.01
    )
    header = fits.getheader(tmp_path / "c.fits", 1)
    assert (header["MOCVERS"], header["COORDSYS"], header["MOCORD_S"]) == ("2.0", "C", 10)


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_has_no_complaint(sky, tmp_path):
    pytest.importorskip("mocpy", reason="mocpy is not installed")
    write_coverage(tmp_path / "c.fits", *sky)
    done = subprocess.run(["fitsverify", "-q", tmp_path / "c.fits"], capture_output=True, text=True)
    assert "verification OK" in done.stdout, done.stdout


def test_one_object_and_positions_that_are_none(tmp_path):
    pytest.importorskip("mocpy", reason="mocpy is not installed")
    out = tmp_path / "c.fits"
    bad = ([150.0, np.nan, 10.0, 20.0], [2.0, 2.0, np.nan, 91.0])
    assert write_coverage(out, *bad) == pytest.approx(CELL)
    with pytest.raises(CatalogError, match="no position"):
        write_coverage(tmp_path / "none.fits", [np.nan], [0.0])
    assert not (tmp_path / "none.fits").exists()


def test_without_mocpy_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mocpy", None)
    with pytest.raises(MissingDependency, match="survey"):
        write_coverage(tmp_path / "c.fits", [1.0], [2.0])
