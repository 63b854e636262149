"""The lean reader agrees with astropy, and refuses with a sentence."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.errors import ImageError
from astrocnn.header_units import scan_headers
from astrocnn.imaging.planes import find_plane, find_planes


def values(path, hdu=None, plane=None) -> np.ndarray:
    found = find_plane(path, hdu, plane)
    stored = found.load()
    return stored if found.scaling is None else found.scaling(stored)


@given(data=st.data())
def test_any_hdu_list_agrees_with_astropy(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "t.fits"
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    hdus = [fits.PrimaryHDU()]
    for i in range(data.draw(st.integers(1, 4))):
        dtype = data.draw(st.sampled_from(["f4", "f8", "i2", "u2", "i4", "u4", "u1", "i8"]))
        shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
        pixels = (rng.uniform(0, 100, shape)).astype(dtype)
        hdu = fits.ImageHDU(pixels, name=data.draw(st.sampled_from(["", "sci", "O'Neil"])))
        hdu.header["BAND"] = f"b{i}"
        for k in range(data.draw(st.integers(0, 70))):
            hdu.header[f"KEY{k}"] = (k, "END     of nothing")
        hdus.append(hdu)
        if data.draw(st.booleans()):
            column = fits.Column("V", "PE()", array=np.array([[1.0], [2.0, 3.0]], dtype=object))
            hdus.append(fits.BinTableHDU.from_columns([column]))
    fits.HDUList(hdus).writeto(path)
    raw = path.read_bytes()
    units = list(scan_headers(lambda at, n: raw[at : at + n], len(raw), path))
    with fits.open(path) as expected:
        assert len(units) == len(expected)
        for unit, hdu in zip(units, expected, strict=True):
            assert unit.name == hdu.name or unit.index == 0
            if unit.kind == "image" and unit.index:
                assert unit.value("BAND") == hdu.header["BAND"]
                np.testing.assert_array_equal(values(path, unit.index), hdu.data)
                got = values(path, {"band": hdu.header["BAND"].upper()})
                np.testing.assert_array_equal(got, hdu.data)


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_compressed_files_are_recognized_by_content(tmp_path, suffix, pack):
    pixels = np.arange(12.0).reshape(3, 4)
    fits.PrimaryHDU(pixels).writeto(tmp_path / "t.fits")
    (tmp_path / "t").write_bytes(pack((tmp_path / "t.fits").read_bytes()))
    np.testing.assert_array_equal(values(tmp_path / "t"), pixels)
    (tmp_path / "cut").write_bytes((tmp_path / "t").read_bytes()[:-20])
    with pytest.raises(ImageError, match="truncated"):
        values(tmp_path / "cut")


def test_cubes_need_a_plane_and_thin_axes_do_not(tmp_path):
    cube = np.arange(60.0).reshape(3, 4, 5)
    fits.PrimaryHDU(cube).writeto(tmp_path / "cube.fits")
    fits.PrimaryHDU(cube[None, :1]).writeto(tmp_path / "thin.fits")
    fits.PrimaryHDU(cube.transpose(1, 2, 0)).writeto(tmp_path / "last.fits")
    fits.PrimaryHDU(np.zeros((2, 3, 4, 5))).writeto(tmp_path / "four.fits")
    fits.PrimaryHDU(np.zeros(7)).writeto(tmp_path / "line.fits")
    np.testing.assert_array_equal(values(tmp_path / "cube.fits", plane=1), cube[1])
    np.testing.assert_array_equal(values(tmp_path / "last.fits", plane=2), cube[2])
    np.testing.assert_array_equal(values(tmp_path / "thin.fits"), cube[0])
    with pytest.raises(ImageError, match="cube of 3 planes"):
        values(tmp_path / "cube.fits")
    with pytest.raises(ImageError, match="no plane 3"):
        values(tmp_path / "cube.fits", plane=3)
    with pytest.raises(ImageError, match="4 axes"):
        values(tmp_path / "four.fits")
    with pytest.raises(ImageError, match="one axis"):
        values(tmp_path / "line.fits", hdu=0)


def test_hdus_by_number_name_version_and_cards(tmp_path):
    hdus = [fits.PrimaryHDU()]
    for i, (name, band) in enumerate([("SCI", "g"), ("SCI", "r"), ("", "i")]):
        hdu = fits.ImageHDU(np.full((2, 2), i + 1.0), name=name, ver=i + 1)
        hdu.header["BAND"], hdu.header["IMAGETYP"] = band, "image"
        hdus.append(hdu)
    path = tmp_path / "t.fits"
    fits.HDUList(hdus).writeto(path)
    chosen = {None: 1, 3: 3, "sci": 1, "SCI,2": 2}
    for hdu, value in chosen.items():
        assert values(path, hdu)[0, 0] == value
    assert values(path, {"BAND": "i", "IMAGETYP": "IMAGE"})[0, 0] == 3
    with pytest.raises(ImageError, match=r"Several HDUs.*HDU 1 \('SCI'\), HDU 2 \('SCI'\), HDU 3"):
        values(path, {"IMAGETYP": "image"})
    with pytest.raises(ImageError, match="no such HDU") as caught:
        values(path, "WHT")
    assert "HDU 2 ('SCI'), image of 2 x 2 pixels" in str(caught.value)


def _truncated(path: Path) -> None:
    fits.PrimaryHDU(np.zeros((100, 100))).writeto(path)
    path.write_bytes(path.read_bytes()[:40000])


def _truncated_header(path: Path) -> None:
    fits.PrimaryHDU(np.zeros((9, 9))).writeto(path)
    path.write_bytes(path.read_bytes()[:1500])


def _table(path: Path) -> None:
    fits.HDUList(
        [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])])]
    ).writeto(path)


def _truncated_tiles(path: Path) -> None:
    hdu = fits.CompImageHDU(np.random.default_rng(0).normal(size=(99, 99)))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    path.write_bytes(path.read_bytes()[:12000])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("hello"), "is not a FITS file"),
        (lambda path: path.mkdir(), "cannot be read"),
        (_truncated, "is truncated: HDU 0 needs 82880 bytes and the file has 40000"),
        (_truncated_header, "ends within the header of HDU 0"),
        (_truncated_tiles, "truncated"),
        (_table, "holds a table and no image"),
        (lambda path: fits.PrimaryHDU().writeto(path), "holds no image"),
    ],
)
def test_each_trouble_has_its_sentence(tmp_path, make, sentence):
    path = tmp_path / "t.fits"
    make(path)
    with pytest.raises(ImageError, match=sentence):
        values(path)


def test_an_empty_primary_asked_for_by_number(tmp_path):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 2)))]).writeto(tmp_path / "t.fits")
    with pytest.raises(ImageError, match="no data in"):
        values(tmp_path / "t.fits", 0)


def test_cards_fall_back_on_the_primary_header(tmp_path):
    primary, image = fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 2)))
    primary.header["MAGZERO"], primary.header["EXPTIME"] = 30.27, "1.5D2"
    image.header["EXPTIME"] = 90.0
    fits.HDUList([primary, image]).writeto(tmp_path / "t.fits")
    plane = find_planes((tmp_path / "t.fits").read_bytes(), tmp_path / "t.fits", [(None, None)])[0]
    assert plane.card("MAGZERO") == 30.27
    assert plane.card("EXPTIME") == 90.0
    assert plane.card("NOTHING") is None
