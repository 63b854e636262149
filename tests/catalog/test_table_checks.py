"""Checks of tables: identifiers, positions, sentinels, names of columns; against other readings."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.coordinates import Angle, SkyCoord
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.catalog.roles import (
    ALIASES,
    POSITIONS,
    Roles,
    choose_roles,
    find_column,
    resolve_column,
    split_difference,
)
from astrocnn.catalog.validation import (
    EXACT_BELOW,
    SENTINELS,
    find_sentinels,
    mask_missing,
    parse_numbers,
    validate_identifiers,
    validate_missing,
    validate_positions,
)
from astrocnn.errors import CatalogError

PAIRS = [p for p in POSITIONS if len(set(p)) == 2]


@pytest.mark.parametrize("dtype", ["i1", "i2", ">i4", ">i8", "u1", "u2", "u4"])
def test_integers_of_every_type_become_int64(dtype):
    limits = np.iinfo(dtype)
    ids = validate_identifiers(Table({"id": np.array([limits.min, 1, limits.max], dtype)}), "id")
    assert ids.dtype == np.int64 and ids.tolist() == [limits.min, 1, limits.max]


def test_unsigned_integers_beyond_int64_become_text():
    values = np.array([2**63 - 1, 2**63, 2**64 - 1], np.uint64)
    assert validate_identifiers(Table({"id": values}), "id").tolist() == [str(v) for v in values]
    assert validate_identifiers(Table({"id": values[:1]}), "id").tolist() == [2**63 - 1]


@pytest.mark.parametrize("size", [2, 4, 8])
def test_floats_are_identifiers_below_their_gaps(size):
    limit = EXACT_BELOW[size]
    kind = np.dtype(f"f{size}")
    # The first integer that the type does not hold is the one after the limit.
    assert kind.type(limit - 1) != kind.type(limit) == kind.type(limit + 1)
    ids = validate_identifiers(Table({"id": np.array([limit - 1, 1 - limit], kind)}), "id")
    assert ids.tolist() == [limit - 1, 1 - limit]
    for wrong in (limit, 0.5, np.nan, np.inf):
        with pytest.raises(CatalogError, match=f"float{8 * size} and may be rounded.*{limit}"):
            validate_identifiers(Table({"id": np.array([1, wrong], kind)}), "id")


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (np.zeros((2, 3), int), r"holds \(3,\) values per row"),
        (np.array([1j, 2j]), "has the type complex128"),
        (np.array([True, False]), "has the type bool"),
        (np.array(["a", "", "b", ""]), r"(?s)2 rows have no identifier.*rows 1, 3 \(counted"),
        (MaskedColumn(range(12), mask=True), r"(?s)12 rows.*7, 8, 9, \.\.\. \(12 in all\)"),
    ],
)
def test_identifiers_that_cannot_be_used(column, sentence):
    with pytest.raises(CatalogError, match=sentence):
        validate_identifiers(Table({"id": column}), "id")


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40))
def test_repeated_rows_are_those_of_pandas(ids):
    repeated = {k: v for k, v in pd.Series(ids).groupby(np.array(ids)).groups.items() if len(v) > 1}
    if not repeated:
        assert validate_identifiers(Table({"id": ids}), "id").tolist() == ids
        return
    with pytest.raises(CatalogError) as caught:
        validate_identifiers(Table({"id": ids, "new_id": range(len(ids))}), "id")
    groups = []
    for value, rows in list(repeated.items())[:5]:
        more = f", ... ({len(rows)} in all)" if len(rows) > 10 else ""
        groups.append(f"{value} in rows {', '.join(map(str, rows[:10]))}{more}")
    more = f"; and {len(repeated) - 5} more" if len(repeated) > 5 else ""
    assert caught.value.received == "; ".join(groups) + more + " (rows counted from 0)"
    assert caught.value.hint == "take another column as identifier: new_id"


@pytest.mark.parametrize("unit", ["deg", "rad", "hourangle", "arcmin", "arcsec", "mas", "hours"])
@pytest.mark.parametrize("ra", [0.0, 10.5, 359.99])
def test_angles_are_those_of_astropy(unit, ra):
    given_unit = units.hourangle if unit == "hours" else units.Unit(unit)
    table = Table({"x": [Angle(ra, "deg").to_value(given_unit)], "y": [-1.0]})
    for name, text in (("x", unit), ("y", "degrees(J2000)")):
        table[name].unit = units.Unit(text, parse_strict="silent")  # as readers of FITS do
    found, dec, bad = validate_positions(table, "x", "y")
    assert found == pytest.approx([ra], abs=1e-9) and dec == [-1.0] and not bad.any()


@pytest.mark.parametrize(
    ("frame", "system", "equinox"),
    [("fk4", "eq_FK4", "B1950"), ("fk5", "eq_FK5", "J1975"), ("fk5", "eq_FK5", "J2000")],
)
def test_systems_are_converted_back(frame, system, equinox):
    sky = SkyCoord([10.0, 200.0, 359.9], [-80.0, 0.0, 45.0], unit="deg")
    own = sky.transform_to(SkyCoord(0, 0, unit="deg", frame=frame, equinox=equinox).frame)
    table = Table({"ra": [*own.ra.deg, 1.0, np.nan], "dec": [*own.dec.deg, 91.0, 0.0]})
    table["ra"].meta["frame"] = (system, equinox)
    ra, dec, bad = validate_positions(table, "ra", "dec")
    assert bad.tolist() == [False] * 3 + [True] * 2
    found = SkyCoord(ra[:3], dec[:3], unit="deg")
    assert found.separation(sky).arcsec.max() < 0.05


def test_a_system_that_is_not_equatorial_is_refused():
    table = Table({"ra": [1.0], "dec": [2.0]})
    table["ra"].meta["frame"] = ("galactic", None)
    with pytest.raises(CatalogError, match=r"(?s)not equatorial.*galactic.*ICRS, eq_FK4, eq_FK5"):
        validate_positions(table, "ra", "dec")


@given(st.lists(st.tuples(*2 * [st.floats(-400, 400) | st.just(np.nan)]), min_size=1))
def test_positions_are_degrees_in_range_or_bad(rows):
    table = Table({"ra": [r for r, _ in rows], "dec": [d for _, d in rows]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random numbers may look exchanged
        ra, dec, bad = validate_positions(table, "ra", "dec")
    expected = [not (-180 <= r <= 360 and -90 <= d <= 90) for r, d in rows]
    assert bad.tolist() == expected == np.isnan(ra).tolist() == np.isnan(dec).tolist()
    assert np.all((ra[~bad] >= 0) & (ra[~bad] < 360))


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["e", "E", "d", "D"]))
def test_numbers_in_text_are_those_of_python(value, letter):
    text = f"{value:+.17e}".replace("e", letter)
    assert parse_numbers(np.array([text, f"  {text} ", ""])).tolist()[:2] == [value, value]


@pytest.mark.parametrize("text", ["x", "1,5", "12:30:00", "1e", "--1", "1 2"])
def test_text_that_is_no_number(text):
    assert parse_numbers(np.array(["1", text])) is None
    assert np.isnan(parse_numbers(np.array(["", " "]))).all()


@given(st.lists(st.sampled_from([*SENTINELS, 98.0, 90.0, 50.0, -1000.0, 2e4, np.nan]), max_size=12))
def test_sentinels_stand_alone(values):
    series = pd.Series(values, dtype=float)
    expected = {}
    for sentinel in set(values) & set(SENTINELS):
        others = series[~series.isin(SENTINELS)].dropna()
        if not ((others - sentinel).abs() < 0.1 * abs(sentinel)).any():
            expected[sentinel] = int((series == sentinel).sum())
    assert find_sentinels(series.to_numpy()) == expected


def test_declared_values_count_in_the_precision_of_the_column():
    table = Table(
        {"a": np.array([99.99, 1], "f4"), "b": np.array([99, 255], "u1"), "c": ["99", ""]}
    )
    table["id"] = [99, 1]
    table["a"].unit, table["a"].description = "mag", "text"
    mask_missing(table, (99.99, 99.0, -1.0, 300.0), ["id", None])
    assert [np.ma.getmaskarray(table[n]).tolist() for n in ("a", "b", "c", "id")] == [
        [True, False], [True, False], [False, False], [False, False]]  # fmt: skip
    assert table["a"].unit == units.mag and table["a"].description == "text"


@pytest.mark.parametrize("missing", ["99", [np.nan], ["x"], [None], 5, [np.inf]])
def test_values_that_cannot_be_declared(missing):
    with pytest.raises(CatalogError, match="a list of finite numbers"):
        validate_missing(missing)


def test_values_that_can_be_declared():
    assert validate_missing(["1.5", 2, np.float32(-99)]) == (1.5, 2.0, -99.0)


@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_of_coordinates_is_found_in_any_case(pair):
    names = [pair[1].upper(), "MAG", "Object_ID", pair[0].title()]
    assert choose_roles(names) == Roles("Object_ID", names[3], names[0])


@given(st.sampled_from(list(ALIASES)), st.data())
def test_the_best_name_is_found_wherever_it_stands(quantity, data):
    aliases = [name for name in ALIASES[quantity] if name != "z"]
    chosen = data.draw(st.lists(st.sampled_from(aliases), min_size=1, unique=True))
    best = min(chosen, key=aliases.index)
    assert find_column(quantity, data.draw(st.permutations([*chosen, "g", "r", "i", "z"]))) == best


def test_names_that_mean_several_columns_or_none():
    assert resolve_column("MAG", ["mag", "MAG"]) == "MAG"
    assert resolve_column("Redshift", ["zspec", "z"]) == "zspec"
    with pytest.raises(CatalogError, match=r"(?s)no column 'Mag'.*mag, MAG"):
        resolve_column("Mag", ["mag", "MAG"])
    with pytest.raises(CatalogError, match=r"blanks around the sign: 'g - r'"):
        resolve_column("g-r", ["g", "r"])
    with pytest.raises(CatalogError, match=r"(?s)no declination column 'dec'.*allowed:  id, ra"):
        choose_roles(["id", "ra"])


@pytest.mark.parametrize(
    ("name", "columns", "terms"),
    [
        ("g", ["g"], ["g"]),
        ("g - r", ["g", "r"], ["g", "r"]),
        ("g - r", ["g - r"], ["g - r"]),
        ("a - b - c", ["a", "b - c"], ["a", "b - c"]),
        ("g-r", [], ["g-r"]),
    ],
)
def test_differences(name, columns, terms):
    assert split_difference(name, columns) == terms
