"""The scanner of FITS headers against astropy, and every way to name an HDU or a file."""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocnn.errors import ConfigError, ImageError
from astrocnn.header_units import Cards, scan_headers, select_unit
from astrocnn.imaging.files import FileTemplate, split_hdu
from astrocnn.imaging.planes import find_planes
from astrocnn.imaging.sky_grid import SkyGrid, read_pixel_scale

KEYWORD = st.from_regex(r"\A[A-Z][A-Z0-9_-]{0,7}\Z").filter(
    lambda key: not key.startswith(("NAXIS", "END", "COMMENT", "HISTORY", "CONTINUE", "HIERARCH"))
)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
VALUE = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(-1e300, 1e300).filter(lambda v: abs(v) > 1e-300 or v == 0),
    TEXT.map(str.rstrip),
)


@given(cards=st.dictionaries(KEYWORD, VALUE, max_size=40), comment=TEXT)
@settings(max_examples=150, deadline=None)
def test_values_of_cards_are_those_of_astropy(cards, comment):
    header = fits.Header()
    for key, value in cards.items():
        header[key] = (value, comment if not isinstance(value, str) else "")
    found = Cards(header.tostring().encode())
    for key, value in cards.items():
        again = found.value(key)
        # astropy writes 16 digits of a float; an empty text may come back as none.
        assert again == fits.Card.fromstring(header.cards[key].image).value or not value, key
        assert type(again) is type(value) or again is None
    assert found.value("ABSENT") is None


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("A       =              1.5D+02 / double precision of Fortran", 150.0),
        ("A       =                   +7", 7),
        ("A       = 'it''s'", "it's"),
        ("A       = '' / empty", ""),
        ("A       =                    T", True),
        ("A         no value indicator", None),
        ("A       =                      / undefined", None),
        ("A       = 'a / b' / comment", "a / b"),
    ],
)
def test_unusual_cards(card, value):
    found = Cards(card.ljust(80).encode()).value("A")
    assert found == value and type(found) is type(value)


def file_of_all_kinds() -> tuple[bytes, list[dict[str, object]]]:
    """A file with every kind of unit, and what astropy says of each."""
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("a", "J", array=[1, 2, 3]),
            fits.Column("b", "PE()", array=np.array([[1.0], [2, 3], []], object)),
        ],
        name="CAT",
    )
    text = fits.TableHDU.from_columns([fits.Column("a", "I5", array=[1, 2])])
    units = [
        fits.PrimaryHDU(),
        fits.ImageHDU(np.arange(12, dtype=np.int16).reshape(3, 4), name="sci", ver=2),
        table,
        fits.ImageHDU(None, name="EMPTY"),
        fits.CompImageHDU(np.zeros((30, 40), np.int32), name="PACKED"),
        text,
        fits.ImageHDU(np.zeros((2, 5, 6), np.float64), name="CUBE"),
    ]
    buffer = io.BytesIO()
    fits.HDUList(units).writeto(buffer)
    data = buffer.getvalue()
    with fits.open(io.BytesIO(data), disable_image_compression=True) as hdus:
        where = [{"start": hdu.fileinfo()["datLoc"], "name": hdu.name} for hdu in hdus]
    return data, where


def test_units_are_where_astropy_finds_them(tmp_path):
    data, where = file_of_all_kinds()
    units = list(scan_headers(lambda at, n: data[at : at + n], len(data), tmp_path))
    assert [unit.start for unit in units] == [unit["start"] for unit in where]
    assert [unit.name for unit in units] == [str(unit["name"]).upper() for unit in where[:0]] + [
        "",
        "SCI",
        "CAT",
        "EMPTY",
        "PACKED",
        "",
        "CUBE",
    ]
    kinds = ["image", "image", "table", "image", "compressed", "table", "image"]
    assert [unit.kind for unit in units] == kinds
    assert [unit.shape for unit in units] == [(), (3, 4), (), (), (30, 40), (), (2, 5, 6)]


@pytest.mark.parametrize(
    ("hdu", "index"),
    [
        (None, 1),
        (4, 4),
        ("sci", 1),
        ("SCI,2", 1),
        ("packed", 4),
        ({"EXTNAME": "cube"}, 6),
        ({"naxis1": 4, "BITPIX": 16}, 1),
        ("PRIMARY", 0),
    ],
)
def test_units_are_selected_by_number_name_or_cards(tmp_path, hdu, index):
    data, _ = file_of_all_kinds()
    units = scan_headers(lambda at, n: data[at : at + n], len(data), tmp_path)
    assert select_unit(units, hdu, tmp_path).index == index


@pytest.mark.parametrize(
    ("hdu", "says"),
    [
        ("SCI,1", r"(?s)no such HDU.*HDU 1 \('SCI'\), image of 4 x 3 pixels"),
        (9, "no such HDU"),
        ({"NAXIS": 2}, "Several HDUs"),
        ({"EXTNAME": "none"}, "no such HDU"),
    ],
)
def test_wrong_units_are_refused(tmp_path, hdu, says):
    data, _ = file_of_all_kinds()
    with pytest.raises(ImageError, match=says):
        find_planes(data, tmp_path / "f.fits", [(hdu, None)])


@pytest.mark.parametrize("cut", [0, 100, 2879, 2880 + 81])
def test_files_that_end_in_a_header_are_refused(tmp_path, cut):
    data, _ = file_of_all_kinds()
    with pytest.raises(ImageError, match=r"is empty|is truncated|not a FITS"):
        list(scan_headers(lambda at, n: data[:cut][at : at + n], cut, tmp_path))


WORD = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_ ]{0,8}\Z")


@given(
    values=st.dictionaries(WORD, st.one_of(st.integers(), TEXT), min_size=1, max_size=4),
    between=st.lists(st.sampled_from(["/a", "-", "{{", "}}", ".fits", "x"]), max_size=4),
)
def test_file_templates_fill_as_str_format_does(values, between):
    text = "".join(
        f"{{{name}}}{extra}" for name, extra in zip(values, [*between, *"abcd"], strict=False)
    )
    template = FileTemplate("none/" + text)
    assert template.names == tuple(values)
    expected = ("none/" + text).format(**values)
    if not str(next(iter(values.values()))).startswith("/"):
        assert template.fill(values) == expected


@pytest.mark.parametrize("text", ["{", "a}", "{a{b}}", "{}", "{a:{b}}"])
def test_templates_that_are_not_valid(text):
    with pytest.raises(ConfigError, match="brace is not closed"):
        FileTemplate(text)


@pytest.mark.parametrize(
    ("text", "path", "hdu"),
    [
        ("a.fits[SCI]", "a.fits", "SCI"),
        ("a.fits[SCI,2]", "a.fits", "SCI,2"),
        ("a.fits[-1]", "a.fits", -1),
        ("a.fits[F814W+F606W]", "a.fits", "F814W+F606W"),
        ("a.fits[A.B]", "a.fits", "A.B"),
        ("a.fits[CCD*]", "a.fits", "CCD*"),
        ("tile[0-9].fits", "tile[0-9].fits", None),
    ],
)
def test_extensions_behind_file_names(text, path, hdu):
    assert split_hdu(text) == (path, hdu)


@pytest.mark.parametrize("form", ["CD", "PC", "CDELT"])
@pytest.mark.parametrize("scale", [0.05, 1.3])
@pytest.mark.parametrize("angle", [0.0, 33.0])
def test_pixel_scale_of_a_header_is_that_of_its_grid(make_wcs, form, scale, angle):
    wcs = make_wcs(scale=scale, angle=0.0 if form == "CDELT" else angle)
    header = wcs.to_header()
    if form == "CD":
        for i, j in np.ndindex(2, 2):
            header[f"CD{i + 1}_{j + 1}"] = wcs.wcs.cd[i, j]
        for key in ("PC1_1", "PC1_2", "PC2_1", "PC2_2", "CDELT1", "CDELT2"):
            header.remove(key, ignore_missing=True)
    elif form == "CDELT":
        for key in ("PC1_1", "PC1_2", "PC2_1", "PC2_2"):
            header.remove(key, ignore_missing=True)
        header["CDELT1"], header["CDELT2"] = -scale / 3600, scale / 3600
    found = read_pixel_scale(Cards(header.tostring().encode()).value)
    assert found == pytest.approx(SkyGrid(wcs, (50, 60)).pixel_scale, rel=1e-4)
    del header["CTYPE1"]
    assert read_pixel_scale(Cards(header.tostring().encode()).value) is None


def test_a_zero_point_of_the_eso_convention():
    header = fits.Header()
    header["HIERARCH ESO QC PHOT ZP"], header["HIERARCH ESO DET"] = 25.5, "x = 'y'"
    cards = Cards(header.tostring().encode())
    for key in ("ESO QC PHOT ZP", "HIERARCH ESO QC PHOT ZP", "eso qc  phot zp"):
        assert cards.value(key) == header["ESO QC PHOT ZP"] == 25.5
    assert cards.value("ESO QC PHOT") is None and cards.value("HIERARCH ESO DET") == "x = 'y'"
