"""Roles, rows and columns of a catalogue in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.table import MaskedColumn, QTable, Table
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrocnn.catalog import Catalog, CatalogWarning, Roles
from astrocnn.errors import CatalogError
from astrocnn.flags import Flag


def catalog(**columns: object) -> Catalog:
    n = len(next(iter(columns.values())))
    return Catalog.from_table({"id": np.arange(n), **columns})


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (
            ["OBJECT_ID", "RIGHT_ASCENSION", "DECLINATION"],
            Roles("OBJECT_ID", "RIGHT_ASCENSION", "DECLINATION"),
        ),
        (["objID", "ra", "dec", "z"], Roles("objID", "ra", "dec")),
        (
            ["COADD_OBJECT_ID", "RA", "DEC", "ALPHAWIN_J2000", "DELTAWIN_J2000"],
            Roles("COADD_OBJECT_ID", "RA", "DEC"),
        ),
        (["objectId", "coord_ra", "coord_dec"], Roles("objectId", "coord_ra", "coord_dec")),
        (["NUMBER", "ALPHA_J2000", "DELTA_J2000"], Roles("NUMBER", "ALPHA_J2000", "DELTA_J2000")),
        (["id", "OBJID"], Roles("OBJID")),
        (["SOURCE_ID", "RAJ2000", "DEJ2000"], Roles("SOURCE_ID", "RAJ2000", "DEJ2000")),
        (["id_str"], Roles("id_str")),
    ],
)
def test_roles_of_survey_tables(names: list[str], roles: Roles) -> None:
    table = Table({name: [10.0 + i] for i, name in enumerate(names)})
    assert Catalog.from_table(table).roles == roles


def test_no_identifier_lists_columns_and_says_what_to_do() -> None:
    with pytest.raises(CatalogError, match=r"(?s)identifier.*flux, ra, dec.*under .catalog."):
        Catalog.from_table({"flux": [1.0], "ra": [1.0], "dec": [1.0]})


def test_named_roles_may_have_any_name_and_the_nearest_is_offered() -> None:
    table = {"file": ["a.fits"], "x_sky": [10.0], "y_sky": [-5.0]}
    found = Catalog.from_table(table, id="file", ra="x_sky", dec="y_sky")
    assert (found.ids[0], found.ra[0], found.dec[0]) == ("a.fits", 10.0, -5.0)
    with pytest.raises(CatalogError, match="did you mean 'x_sky'"):
        Catalog.from_table(table, id="file", ra="x_sk", dec="y_sky")


def test_one_coordinate_alone_is_refused() -> None:
    with pytest.raises(CatalogError, match="no declination column"):
        catalog(ra=[10.0])


def test_repeated_identifiers_are_refused_with_their_rows() -> None:
    table = {"objectId": ["a", "b", "a", "c", "a", "b"], "candid": np.arange(6)}
    with pytest.raises(CatalogError, match="a in rows 0, 2, 4; b in rows 1, 5") as caught:
        Catalog.from_table(table)
    assert "candid" in str(caught.value.hint)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12))
def test_repeats_are_found_wherever_they_stand(ids: list[int]) -> None:
    if len(set(ids)) == len(ids):
        assert Catalog.from_table({"id": ids}).ids.tolist() == ids
        return
    with pytest.raises(CatalogError) as caught:
        Catalog.from_table({"id": ids})
    first = min(i for i in ids if ids.count(i) > 1)
    rows = ", ".join(str(r) for r, i in enumerate(ids) if i == first)
    assert f"{first} in rows {rows}" in str(caught.value)


@pytest.mark.parametrize(
    "ids", [MaskedColumn([1, 2, 3], mask=[0, 1, 1]), ["a", "", ""], ["a", None, None]]
)
def test_missing_identifiers_are_refused_with_their_rows(ids: object) -> None:
    with pytest.raises(CatalogError, match="rows 1, 2"):
        Catalog.from_table(Table({"id": ids}))


def test_identifiers_are_exact() -> None:
    large = np.array([-(2**63), 2**63 - 1, -7412345678901234567])
    assert Catalog.from_table({"id": large}).ids.tolist() == large.tolist()
    beyond = np.array([2**64 - 1, 2**63], dtype=np.uint64)
    assert Catalog.from_table({"id": beyond}).ids.tolist() == [str(2**64 - 1), str(2**63)]
    fits_int64 = np.array([2**63 - 1], dtype=np.uint64)
    assert Catalog.from_table({"id": fits_int64}).ids.dtype == np.int64


def test_identifiers_in_floats_are_taken_only_while_floats_are_exact() -> None:
    assert Catalog.from_table({"id": [1.0, 2.0**53 - 1]}).ids.tolist() == [1, 2**53 - 1]
    for column in ([2.0**53], [1.5], [np.inf], np.array([2**24], dtype=np.float32)):
        with pytest.raises(CatalogError, match="may be rounded"):
            Catalog.from_table({"id": column})


def test_pandas_integers_with_missing_values_stay_exact() -> None:
    frame = pd.DataFrame(
        {
            "id": pd.array([2**62 + 1, -(2**62) - 1], dtype="Int64"),
            "votes": pd.array([2**60 + 1, None], dtype="Int64"),
            "label": ["spiral", None],
        }
    )
    found = Catalog.from_table(frame)
    assert found.ids.tolist() == [2**62 + 1, -(2**62) - 1]
    votes, missing = found.column("votes")
    assert votes.dtype == np.int64
    assert votes[0] == 2**60 + 1
    assert missing.tolist() == [False, True]
    assert found.column("label")[1].tolist() == [False, True]


def test_bad_coordinates_are_flagged_and_kept() -> None:
    dec = MaskedColumn([0.0, 0.0, 90.5, -91.0, 45.0, 0.0], mask=[0, 0, 0, 0, 1, 0])
    found = catalog(ra=[200.0, np.nan, 10.0, 10.0, 10.0, np.inf], dec=dec)
    assert found.flags.dtype == np.int32
    assert found.flags.tolist() == [0] + 5 * [int(Flag.BAD_COORDINATES)]
    assert np.isnan(found.ra[1:]).all()
    assert np.isnan(found.dec[1:]).all()
    assert len(found) == 6


def test_right_ascension_is_wrapped_or_flagged() -> None:
    ra = [-180.0, -0.5, -1e-300, 0.0, 359.5, 360.0, -180.1, 360.1]
    found = catalog(ra=ra, dec=np.zeros(8))
    assert found.ra[:6].tolist() == [180.0, 359.5, 0.0, 0.0, 359.5, 0.0]
    assert found.flags.tolist() == [0] * 6 + [1, 1]


@given(arrays(float, 5, elements=st.floats(-180, 360)))
def test_wrapped_angles_are_the_same_direction(ra: np.ndarray) -> None:
    found = catalog(ra=ra, dec=np.zeros(5))
    assert np.all((found.ra >= 0) & (found.ra < 360))
    assert np.allclose(np.exp(1j * np.radians(found.ra)), np.exp(1j * np.radians(ra)), atol=1e-12)


@pytest.mark.parametrize(
    ("unit", "value", "degrees"),
    [
        ("rad", np.pi / 3, 60.0),
        ("hourangle", 4.0, 60.0),
        ("degrees", 60.0, 60.0),
        ("arcmin", 90.0, 1.5),
    ],
)
def test_units_of_coordinates_are_obeyed(unit: str, value: float, degrees: float) -> None:
    table = Table({"id": [1], "ra": [value], "dec": [value / 2]})
    table["ra"].unit = units.Unit(unit, parse_strict="silent")
    table["dec"].unit = "deg"
    assert Catalog.from_table(table).ra[0] == pytest.approx(degrees, rel=1e-14)


def test_quantities_are_taken() -> None:
    table = QTable({"id": [1], "ra": [1.0] * units.rad, "dec": [0.5] * units.rad})
    assert Catalog.from_table(table).dec[0] == pytest.approx(np.degrees(0.5))


def test_a_unit_that_is_no_angle_is_refused() -> None:
    table = Table({"id": [1], "ra": [1.0], "dec": [1.0]}, units={"ra": "Jy"})
    with pytest.raises(CatalogError, match=r"(?s)not an angle.*Jy"):
        Catalog.from_table(table)


def test_sexagesimal_text_is_refused_with_a_hint() -> None:
    with pytest.raises(CatalogError, match=r"(?s)12:30:00.*decimal degrees"):
        catalog(ra=["12:30:00"], dec=["-10:00:00"])


def test_exchanged_coordinates_warn_with_the_evidence() -> None:
    with pytest.warns(CatalogWarning, match=r"exchanged: 'dec' is beyond 90 degrees in 3 of 3"):
        found = catalog(ra=[-3.0, 1.0, 2.0], dec=[150.0, 151.0, 152.0])
    assert (found.flags == Flag.BAD_COORDINATES).all()


def test_sentinels_are_no_exchange() -> None:
    dec = np.zeros(100)
    dec[3::3] = 99.0
    assert catalog(ra=np.linspace(0, 80, 100), dec=dec).flags.sum() == 33


def test_radians_without_a_unit_warn_with_the_evidence() -> None:
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 2 * np.pi, 500), rng.uniform(-1.2, 1.2, 500)
    with pytest.warns(CatalogWarning, match="look like radians"):
        catalog(ra=ra, dec=dec)
    with pytest.warns(CatalogWarning, match="look like radians"):
        Catalog.from_table({"id": [1], "coord_ra": [0.9], "coord_dec": [-0.6]})


def test_a_small_field_at_the_origin_is_innocent() -> None:
    assert not catalog(ra=[0.1, 0.2], dec=[-0.1, 0.1]).flags.any()
    degrees = Table({"id": [1], "coord_ra": [0.9], "coord_dec": [0.6]}, units={"coord_ra": "deg"})
    assert Catalog.from_table(degrees).ra[0] == 0.9


def test_column_says_where_values_are_missing() -> None:
    vectors = np.array([[np.nan, 1.0], [np.nan, np.nan], [1.0, 2.0]])
    found = catalog(
        votes=MaskedColumn([7, 8, 9], mask=[0, 1, 0]),
        mag=[np.nan, 1.0, 2.0],
        label=["spiral", "", "merger"],
        profile=vectors,
    )
    assert found.column("votes")[1].tolist() == [False, True, False]
    assert found.column("mag")[1].tolist() == [True, False, False]
    assert found.column("label")[1].tolist() == [False, True, False]
    values, missing = found.column("profile")
    assert missing.tolist() == [False, True, False]
    assert values.shape == (3, 2)
    assert not isinstance(found.column("votes")[0], np.ma.MaskedArray)


def test_column_is_found_in_another_case_and_by_quantity() -> None:
    found = catalog(MAG_r=[1.0], Z_SPEC=[0.3], EBV_SFD98=[0.02])
    assert found.column("mag_R")[0][0] == 1.0
    assert found.column("redshift")[0][0] == 0.3
    assert found.column("ebv")[0][0] == 0.02
    with pytest.raises(CatalogError, match="did you mean 'MAG_r'"):
        found.column("mag_rr")


def test_a_magnitude_z_is_not_a_redshift() -> None:
    with pytest.raises(CatalogError, match="no column 'redshift'"):
        catalog(g=[20.0], r=[19.0], i=[18.5], z=[18.0]).column("redshift")
    assert catalog(z=[0.1]).column("redshift")[0][0] == 0.1


@pytest.mark.parametrize(
    "rows",
    [slice(1, 3), np.array([2, 0]), np.array([True, False, True, False]), [], 3, np.array([], int)],
)
def test_selection_matches_numpy_and_keeps_everything_together(rows: object) -> None:
    whole = catalog(ra=[-10.0, 20.0, np.nan, 40.0], dec=[1.0, 2.0, 3.0, 4.0], mag=[4, 3, 2, 1])
    part = whole[rows]
    where = np.arange(4)[np.asarray(rows, dtype=int) if isinstance(rows, list) else rows]
    where = np.atleast_1d(where)
    assert len(part) == len(part.table) == len(where)
    assert part.ids.tolist() == where.tolist()
    assert np.array_equal(part.ra, whole.ra[where], equal_nan=True)
    assert np.array_equal(part.column("mag")[0], whole.column("mag")[0][where])
    assert np.array_equal(part.flags, whole.flags[where])


def test_role_columns_come_out_as_given() -> None:
    ra = [-0.5, 400.0, np.nan]
    found = catalog(ra=ra, dec=[1.0, 2.0, 3.0])
    names = [name for name, _, _ in found.role_columns()]
    assert names == ["id", "ra", "dec"]
    assert np.array_equal(found.role_columns()[1][1], ra, equal_nan=True)
    assert found.role_columns()[1][1].unit == "deg"
    assert found.table["ra"].unit is None


def test_everything_is_native_and_text_is_text() -> None:
    table = Table(
        {"id": np.array([5, 6], ">i8"), "m": np.array([1, 2], ">f4"), "t": [b"a", b"\xc3\xa9"]}
    )
    found = Catalog.from_table(table)
    assert all(found.table[n].dtype.isnative for n in found.table.colnames)
    assert found.table["t"].tolist() == ["a", "é"]
    assert found.ids.tolist() == [5, 6]
    assert not table["id"].dtype.isnative


def test_a_catalogue_without_rows_is_refused() -> None:
    with pytest.raises(CatalogError, match="no rows"):
        Catalog.from_table(Table({"id": np.empty(0, int)}))


def test_a_scalar_may_be_a_color() -> None:
    table = Table({"id": [1, 2], "g": [18.5, np.nan], "r": [18.0, 17.0], "g - r": [7.0, 8.0]})
    whole = Catalog.from_table(table)
    assert whole.numbers("g - r").tolist() == [7.0, 8.0]  # a column of that very name
    del table["g - r"]
    color = Catalog.from_table(table).numbers("g - r")
    assert color[0] == 0.5 and np.isnan(color[1])
    with pytest.raises(CatalogError, match="'q'"):
        Catalog.from_table(table).numbers("g - q")
    sentinel = Catalog.from_table({"id": [1, 2], "g": [18.5, 99.0], "r": [18.0, 17.0]})
    with pytest.raises(CatalogError, match="99"):
        sentinel.refuse_sentinels(["g - r"])
