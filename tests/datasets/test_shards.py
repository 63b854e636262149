"""What comes out of shards is what went in, row for row in the order of the catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.catalog import group_duplicates
from astrocnn.datasets import Shards, find_usable_rows, get_d4_views, write_shards
from astrocnn.errors import CatalogError, InputsError
from astrocnn.flags import Flag
from astrocnn.imaging import ArraySource, Inputs, Source

from .conftest import BANDS, INPUTS, N, make_catalog, make_images


def test_rows_are_those_of_the_catalogue(shards: Shards, images: np.ndarray, catalog) -> None:
    assert len(shards) == N
    np.testing.assert_array_equal(shards.images(np.arange(N)), images)
    np.testing.assert_array_equal(shards.ids, catalog.ids)
    np.testing.assert_array_equal(shards.objects["row"], np.arange(N))
    np.testing.assert_array_equal(shards.objects["ra"], catalog.ra)
    rows = np.array([49, 0, 17, 17, 3])
    got = shards.images(rows)
    np.testing.assert_array_equal(got, images[rows])
    assert got.dtype == np.dtype("float32") and got.dtype.isnative
    np.testing.assert_array_equal(shards.images(slice(5, 30, 4)), images[5:30:4])
    assert shards.images([]).shape == (0, 12, 12, 3)


def test_a_symmetry_is_applied_while_copying(shards: Shards, images: np.ndarray) -> None:
    views = list(get_d4_views(images))
    for element in range(8):
        got = shards.images(np.arange(N), elements=np.full(N, element))
        np.testing.assert_array_equal(got, views[element])
    mixed = shards.images([7, 8, 9], elements=np.array([5, 0, 6]))
    want = np.stack([views[5][7], views[0][8], views[6][9]])
    np.testing.assert_array_equal(mixed, want)


def test_shards_are_a_source(shards: Shards, source, tmp_path) -> None:
    assert isinstance(shards, Source)
    np.testing.assert_array_equal(shards.order(), source.order())
    rows = shards.order()[::3]
    ours, theirs = shards.read(rows), source.read(rows)
    np.testing.assert_array_equal(ours.images, theirs.images)
    np.testing.assert_array_equal(ours.no_data, theirs.no_data)
    scalar = np.where(rows == 8, Flag.SCALAR_MISSING, 0)
    np.testing.assert_array_equal(ours.flags, theirs.flags | scalar)
    again = write_shards(tmp_path, make_catalog(), shards, INPUTS)
    np.testing.assert_array_equal(again.images(np.arange(N)), shards.images(np.arange(N)))


def test_content_marks_duplicates_and_nothing_else(shards: Shards) -> None:
    content = shards.content
    assert content[5] == content[6] and content[4] == ""
    assert len(np.unique(content)) == N - 1
    keys = group_duplicates(shards.ids, content)
    assert keys[5] == keys[6] and len(np.unique(keys)) == N - 1


def test_flags_of_catalogue_images_and_scalars_come_together(tmp_path) -> None:
    catalog = make_catalog()
    catalog.flags[20] = Flag.BAD_COORDINATES
    shards = write_shards(tmp_path, catalog, ArraySource(make_images(), BANDS), INPUTS)
    flags = shards.flags
    assert flags[20] == Flag.BAD_COORDINATES and flags[8] == Flag.SCALAR_MISSING
    assert flags[2] & Flag.NO_DATA_PIXELS and flags[3] & Flag.BAND_MISSING and flags[0] == 0
    assert shards.objects["no_data"][2, 1] == pytest.approx(12 / 144)


def test_usable_rows_and_the_reasons_of_the_others(shards: Shards, tmp_path) -> None:
    rows, reasons = find_usable_rows(shards, INPUTS)
    assert sorted(set(range(N)) - set(rows.tolist())) == [3, 4, 8]
    assert reasons[Flag.BAND_MISSING.sentence] == 2
    assert reasons[Flag.SCALAR_MISSING.sentence] == 1
    masked = Inputs(BANDS, 12, 0.2, "nJy", mask_channel=True)
    rows, reasons = find_usable_rows(shards, masked)
    assert sorted(set(range(N)) - set(rows.tolist())) == [4, 8]
    assert Flag.BAND_MISSING.sentence not in reasons
    empty = np.full((N, 12, 12, 3), np.nan)
    nothing = write_shards(tmp_path, make_catalog(), ArraySource(empty, BANDS), Inputs(BANDS, 12))
    with pytest.raises(InputsError, match="None of the 50 objects"):
        find_usable_rows(nothing, Inputs(BANDS, 12))
    with pytest.raises(InputsError, match="bands"):
        find_usable_rows(shards, Inputs(("g",), 12))


def test_columns_by_their_own_names_and_by_role(shards: Shards, catalog) -> None:
    for name in ("OBJECT_ID", "RA", "kind", "smooth-or-featured", "EBV", "ebv"):
        ours, theirs = shards.column(name), catalog.column(name)
        np.testing.assert_array_equal(ours[1], theirs[1])
        np.testing.assert_array_equal(ours[0][~ours[1]], theirs[0][~theirs[1]])
    assert shards.objects["kind"].mask.sum() == 1
    scalars = shards.scalars(("ebv",))
    assert scalars.dtype == np.float32 and np.isnan(scalars[8, 0])
    with pytest.raises(CatalogError, match="not a column of numbers"):
        shards.scalars(("kind",))


def test_a_catalogue_column_cannot_displace_one_of_ours(tmp_path) -> None:
    catalog = make_catalog()
    catalog.table["flags"] = np.arange(N)
    catalog.table["FLAGS_"] = np.arange(N) + 1
    catalog.table["content"] = "x"
    shards = write_shards(tmp_path, catalog, ArraySource(make_images(), BANDS), Inputs(BANDS, 12))
    np.testing.assert_array_equal(shards.objects["catalog_flags"], np.arange(N))
    np.testing.assert_array_equal(shards.column("flags")[0], np.arange(N))
    np.testing.assert_array_equal(shards.column("FLAGS_")[0], np.arange(N) + 1)
    assert shards.flags[0] == 0 and shards.content[0] != "x"


def test_a_catalogue_without_coordinates(tmp_path) -> None:
    catalog = make_catalog()
    bare = type(catalog).from_table({"name": [f"a é/{i} " for i in range(N)]}, id="name")
    shards = write_shards(tmp_path, bare, ArraySource(make_images(), BANDS), Inputs(BANDS, 12))
    np.testing.assert_array_equal(shards.ids, bare.ids)
    assert "ra" not in shards.objects.colnames and shards.catalog.ra is None


def test_every_public_name_is_there() -> None:
    import astrocnn.datasets as package

    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    assert sorted(package._HOME) == sorted(package.__all__)
