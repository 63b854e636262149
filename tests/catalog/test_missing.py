"""Numbers that mean "no value": masked when declared, refused when they look like it."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from astrocnn.catalog import Catalog, read_catalog
from astrocnn.catalog.validation import SENTINELS, find_sentinels
from astrocnn.errors import CatalogError


def table() -> Table:
    return Table(
        {
            "id": [99, 1, 2, 3],
            "ra": [99.0, 1.0, 2.0, 3.0],
            "dec": [0.0, 1.0, 2.0, 3.0],
            "mag_u": np.array([20.0, 99.0, -99.0, 21.0], np.float32),
            "n": MaskedColumn([5, -99, 7, 99], mask=[True, False, False, False]),
            "counts": np.array([1, 2, 99, 4], np.uint8),
            "pair": np.array([[1.0, 99.0], [99.0, 99.0], [1.0, 2.0], [3.0, 4.0]]),
            "name": ["99", "99.0", "a", "b"],
        }
    )


def test_declared_values_are_masked_everywhere_but_in_identifier_and_position() -> None:
    catalog = Catalog.from_table(table(), missing=(99.0, -99.0))
    assert catalog.ids.tolist() == [99, 1, 2, 3] and catalog.ra[0] == 99.0
    expected = {
        "mag_u": [False, True, True, False],
        "n": [True, True, False, True],
        "counts": [False, False, True, False],
        "pair": [False, True, False, False],
        "name": [False] * 4,
    }
    for name, missing in expected.items():
        assert catalog.column(name)[1].tolist() == missing, name
    np.testing.assert_array_equal(catalog.numbers("mag_u"), [20.0, np.nan, np.nan, 21.0])
    assert catalog[[1, 3]].missing == (99.0, -99.0)


def test_the_table_that_was_given_is_left_alone() -> None:
    given = table()
    given["mag_u"].unit = "mag"
    catalog = Catalog.from_table(given, missing=(99.0,))
    assert given["mag_u"][1] == 99.0 and str(catalog.table["mag_u"].unit) == "mag"


def test_a_file_is_read_with_its_declared_values(tmp_path) -> None:
    (tmp_path / "c.csv").write_text("id,mag,z\n1,99.0,0.1\n2,20.5,-9999\n")
    catalog = read_catalog(tmp_path / "c.csv", missing=[99, -9999])
    assert catalog.column("mag")[1].tolist() == [True, False]
    assert catalog.column("z")[1].tolist() == [False, True]
    catalog.refuse_sentinels(["mag", "z"])


def test_undeclared_sentinels_are_refused_with_their_count() -> None:
    catalog = Catalog.from_table(table())
    with pytest.raises(CatalogError, match=r"(?s)mag_u: 1 x -99, 1 x 99; n:.*-99\.0, 99\.0"):
        catalog.refuse_sentinels(["mag_u", "n"])
    Catalog.from_table(table(), missing=()).refuse_sentinels(["mag_u", "n"])
    catalog.refuse_sentinels(["dec"])


@pytest.mark.parametrize("sentinel", SENTINELS)
def test_each_usual_sentinel_is_found_where_it_stands_alone(sentinel: float) -> None:
    values = np.random.default_rng(0).normal(20.0, 1.0, 1000)
    assert find_sentinels(values) == {}
    values[[3, 500]] = sentinel
    values[7] = np.nan
    assert find_sentinels(values) == {sentinel: 2}


def test_a_number_among_its_like_is_a_number() -> None:
    assert find_sentinels(np.arange(101.0)) == {}  # percentages
    assert find_sentinels(np.linspace(-150.0, 150.0, 301)) == {}
    assert find_sentinels(np.full(3, 99.0)) == {99.0: 3}


@pytest.mark.parametrize("missing", ["99", [np.nan], ["many"], 99.0])
def test_what_cannot_be_declared_is_refused(missing) -> None:
    with pytest.raises(CatalogError, match="list of finite numbers"):
        Catalog.from_table(table(), missing=missing)
