"""Extensions of FITS files: cards, planes and tables come back, with the same bytes each time."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrocnn.explain.hdus import (
    NO_UNIT,
    band_cards,
    find_hdus,
    image_hdu,
    native,
    read_bands,
    read_hdus,
    table_hdu,
    write_hdus,
)


def sky():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = (150.0, 2.0), (3.0, 4.0), (-1e-4, 1e-4)
    return wcs


@pytest.mark.parametrize("names", [(), ("VIS",), (*tuple("ugrizYJHK"), "W1", "W2")])
def test_names_of_bands_come_back(names):
    header = fits.Header(list(band_cards(names)))
    assert read_bands(header) == names
    if len(names) > 1:
        # A gap ends the list.
        del header["BAND2"]
        assert read_bands(header) == names[:1]


def test_a_file_comes_back_with_the_same_bytes(tmp_path):
    values = np.arange(24, dtype=">f8").reshape(2, 3, 4)
    ids = np.array([2**62 + 1, -7], np.int64)
    paths = [tmp_path / "a.fits", tmp_path / "b.fits"]
    for path in paths:
        columns = {
            "id": (ids, "", "identifier"),
            "score": (np.array([0.5, np.nan]), "nJy", ""),
            "name": (np.array(["a", "bcd"]), "", ""),
        }
        table = table_hdu("objects", columns, [("N", 2, "objects")], comments=["two of them"])
        hdus = [image_hdu("maps", values, [NO_UNIT]), image_hdu("maps", -values, number=2), table]
        write_hdus(path, [("TARGET", "z", "what")], hdus)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with fits.open(paths[0], checksum=True) as opened:
        opened.verify("exception")
    back = read_hdus(paths[0])
    assert [hdu.name for hdu in back[1:]] == ["MAPS", "MAPS", "OBJECTS"]
    assert back[0].header["TARGET"] == "z" and back[0].header.comments["TARGET"] == "what"
    found = find_hdus(back, "MAPS")
    assert list(found) == [1, 2]
    np.testing.assert_array_equal(found[1], values.astype("f4"))
    np.testing.assert_array_equal(found[2], -found[1])
    table = back[3]
    assert native(table.data["id"]).tolist() == ids.tolist()
    assert native(table.data["name"]).tolist() == ["a", "bcd"]
    np.testing.assert_array_equal(native(table.data["score"]), [0.5, np.nan])
    assert table.header["TCOMM1"] == "identifier" and "TCOMM2" not in table.header
    assert table.header["TUNIT2"] == "nJy" and str(table.header["COMMENT"]) == "two of them"


def test_numbers_that_are_not_finite_and_absent_values_have_no_card():
    cards = [("A", None, ""), ("B", np.nan, ""), ("C", np.inf, ""), ("D", 0.0, ""), ("E", "", "")]
    header = image_hdu("x", np.zeros((2, 2)), cards).header
    assert [key in header for key in "ABCDE"] == [False, False, False, True, True]


def test_text_is_ascii():
    header = image_hdu("x", np.zeros((2, 2)), [("A", "\u00b5m", "")], comments=["\u03b1"]).header
    assert header["A"].isascii() and header["A"].endswith("m")
    assert str(header["COMMENT"]).isascii()


@pytest.mark.parametrize("shape", [(5, 6), (3, 5, 6)])
def test_the_sky_is_that_of_the_last_two_axes(shape):
    header = image_hdu("x", np.zeros(shape), wcs=sky()).header
    found = WCS(header).celestial
    np.testing.assert_allclose(found.wcs_pix2world([[2, 3]], 0), [[150.0, 2.0]], atol=1e-9)
    corners = [[0, 0], [5, 4]]
    expected = sky().wcs_pix2world(corners, 0)
    np.testing.assert_allclose(found.wcs_pix2world(corners, 0), expected, rtol=1e-12)
    if len(shape) == 3:
        assert header["CTYPE3"] == "BAND" and WCS(header).naxis == 3
        assert WCS(header).wcs_pix2world([[2, 3, 1]], 0)[0, 2] == 2  # the second band


def test_values_have_the_byte_order_of_the_machine():
    assert native(np.array([1, 2], ">i2")).dtype == np.dtype("i2")
    assert native(np.array([b"a  ", b"b"])).tolist() == ["a", "b"]
    assert native(np.array([1.5], ">f4")).tolist() == [1.5]
