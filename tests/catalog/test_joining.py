"""Several catalogues as one: roles of the first, every identifier once."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.catalog import FILE, Catalog, assign_file_splits, assign_splits, join_catalogs
from astrocnn.errors import CatalogError, ConfigError

NAMES = ("train.fits", "test.fits")


def first(**columns):
    base = {"objID": [2**62 + 1, -5, 7], "RA": [10.0, 20.0, 30.0], "DEC": [0.0, 95.0, -1.0]}
    return Table({**base, "z_spec": [0.1, 0.2, 0.3], "kind": ["a", "b", ""], **columns})


def second(**columns):
    return Table({"id": [8, 9], "ra": [359.0, -1.0], "dec": [1.0, 2.0], "kind": ["long", "b"],
                  **columns})  # fmt: skip


def join(one, other, **roles):
    tables = [Catalog.from_table(one), Catalog.from_table(other, **roles)]
    return join_catalogs(tables, NAMES)


def test_rows_follow_one_another_under_the_names_of_the_first():
    one = first()
    one["z_spec"].description = "from spectra"
    joined = join(one, second())
    assert joined.ids.tolist() == [2**62 + 1, -5, 7, 8, 9] and joined.ids.dtype == np.int64
    assert (joined.roles.id, joined.roles.ra, joined.roles.dec) == ("objID", "RA", "DEC")
    assert joined.table["objID"].tolist() == joined.ids.tolist()
    np.testing.assert_array_equal(joined.ra, [10, np.nan, 30, 359, 359])
    assert joined.flags.tolist() == [0, 1, 0, 0, 0]
    values, missing = joined.column("kind")
    assert values.tolist() == ["a", "b", "", "long", "b"]
    assert missing.tolist() == [False, False, True, False, False]
    assert joined.column(FILE)[0].tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_array_equal(joined.numbers("redshift"), [0.1, 0.2, 0.3, np.nan, np.nan])
    assert joined.table["z_spec"].description == "from spectra"
    assert len(joined[3:]) == 2 and joined[3:].ids.tolist() == [8, 9]


def test_one_catalogue_is_left_as_it_is_but_for_the_column_of_the_file():
    alone = Catalog.from_table(first())
    joined = join_catalogs([alone], NAMES[:1])
    assert joined.table.colnames == [*alone.table.colnames, FILE]
    np.testing.assert_array_equal(joined.ids, alone.ids)


def test_missing_values_stay_missing():
    other = second(mag=MaskedColumn([18.0, -1.0], mask=[False, True]))
    joined = join(first(mag=[17.0, 16.0, np.nan]), other)
    np.testing.assert_array_equal(joined.numbers("mag"), [17, 16, np.nan, 18, np.nan])


def test_numbers_of_rows_go_on_from_file_to_file():
    tables = [Catalog.from_table(Table({"z": np.arange(n)}), id="row_number") for n in (3, 2)]
    joined = join_catalogs(tables, NAMES)
    assert joined.ids.tolist() == joined.table["row_number"].tolist() == [1, 2, 3, 4, 5]
    assert tables[1].ids.tolist() == [1, 2]


def test_identifiers_in_two_files_are_refused_with_both_names():
    other = second()
    other["id"] = [7, -5]
    with pytest.raises(CatalogError, match=r"(?s)'train.fits' and 'test.fits' have 2 ident.*-5, 7"):
        join(first(), other)


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (first(), second(z_spec=["x", "y"]), "'z_spec' of 'test.fits' has another type"),
        (first(), second(z_spec=[[1.0, 2], [3, 4]]), "'z_spec' of 'test.fits' has another shape"),
        (first(), second()["id", "kind"], "only one has positions"),
        (first(), second(objID=[1, 2]), "identifiers|'objID' of 'test.fits'"),
        (first(catalog_file=[1, 2, 3]), second(), "a column 'catalog_file'"),
        (first(objID=["x", "y", "z"]), second(), r"(?s)of different types.*text and integers"),
    ],
)
def test_catalogues_that_are_not_alike_are_refused(one, other, message):
    roles = {"id": "id"} if "objID" in other.colnames else {}
    with pytest.raises(CatalogError, match=message):
        join(one, other, **roles)


def test_columns_in_different_units_are_refused():
    one, other = first(), second(z_spec=[1.0, 2.0])
    one["z_spec"].unit = "km / s"
    with pytest.raises(CatalogError, match=r"(?s)another unit.*none, and km / s in 'train.fits'"):
        join(one, other)


# ---------------------------------------------------------------------------- split by file

KEYS = np.arange(3000)
FILES = np.repeat([0, 1, 2], 1000)


def test_each_file_has_its_split():
    split = assign_file_splits(KEYS, FILES, ("validation", "train", "test"))
    np.testing.assert_array_equal(split, np.repeat([1, 0, 2], 1000))


@given(st.floats(0.01, 0.6), st.floats(0.01, 0.3), st.integers(0, 99))
def test_training_files_are_divided_in_the_ratio_of_the_fractions(train, validation, seed):
    fractions = (train, validation, 1 - train - validation)
    split = assign_file_splits(KEYS, FILES, ("train", "test", "train"), fractions, seed)
    assert np.all(split[1000:2000] == 2)
    rest = np.concatenate([KEYS[:1000], KEYS[2000:]])
    total = train + validation
    expected = assign_splits(rest, (train / total, validation / total, 0.0), seed)
    np.testing.assert_array_equal(split[rest], expected)
    assert not np.any(split[rest] == 2)


def test_copies_of_training_objects_are_no_test_objects():
    contents = np.array([f"{k}" for k in KEYS])
    contents[[5, 1005, 2005]] = "the same"
    contents[[6, 7, 1006]] = ""
    split = assign_file_splits(KEYS, FILES, ("train", "test", "validation"), contents=contents)
    expected = np.repeat([0, 2, 1], 1000)
    expected[[5, 1005, 2005]] = 0
    np.testing.assert_array_equal(split, expected)


def test_training_files_need_a_fraction():
    with pytest.raises(ConfigError, match="leave none of the training files"):
        assign_file_splits(KEYS, FILES, ("train",) * 3, (0.0, 0.0, 1.0))


@pytest.mark.parametrize("empty", [[np.nan, np.nan], MaskedColumn([0, 0], mask=[True, True])])
def test_a_column_without_values_has_no_type(empty):
    for one, other in ((first(), second(kind=empty)), (second(kind=empty), first())):
        joined = join(one, other)
        values, missing = joined.column("kind")
        known = dict(zip(joined.ids.tolist(), np.where(missing, "", values), strict=True))
        assert known == {2**62 + 1: "a", -5: "b", 7: "", 8: "", 9: ""}


def test_positions_without_a_unit_are_in_degrees():
    one = first()
    for name in ("RA", "DEC"):
        one[name].unit = "deg"
    np.testing.assert_array_equal(join(one, second()).ra, join(first(), second()).ra)
    with pytest.raises(CatalogError, match="another unit"):
        other = second()
        other["ra"].unit, other["dec"].unit = "rad", "rad"
        other["ra"], other["dec"] = other["ra"] / 60, other["dec"] / 60
        join(first(), other)
