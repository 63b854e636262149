"""What workers open: arrays of every type, rows of every shard once, and the same bytes written."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from astrocnn.catalog import Catalog
from astrocnn.datasets import find_usable_rows, write_shards
from astrocnn.datasets.columns import decode, encode, stored_names
from astrocnn.datasets.cutter import OWN, Cutter
from astrocnn.datasets.object_store import (
    list_name_columns,
    open_images,
    read_array,
    read_objects,
    write_array,
    write_objects,
)
from astrocnn.errors import CatalogError, ClusterError, InputsError
from astrocnn.flags import Flag
from astrocnn.imaging import ArraySource, NoImages, Survey

DTYPES = ("i1", ">i2", "<i4", "i8", "u1", "u2", ">u8", "f2", ">f4", "f8", "?", "S3", "U4")


@settings(max_examples=30)
@given(st.data(), st.sampled_from(DTYPES))
def test_arrays_of_every_type_are_mapped_again(tmp_path_factory, data, dtype):
    folder = tmp_path_factory.getbasetemp()
    shape = data.draw(arrays.array_shapes(max_dims=3, max_side=3))
    values = data.draw(arrays.arrays(dtype, shape))
    write_array(folder, "x", values)
    back = read_array(folder, "x")
    assert back.dtype == values.dtype and back.shape == shape and not back.flags.writeable
    assert back.tobytes() == values.tobytes()


def cutter(n, rows_per_shard):
    order = np.random.default_rng(n).permutation(n)
    inputs = None  # of no account for the division
    return Cutter("folder", NoImages(n), inputs, order, rows_per_shard, np.zeros(n), [], [], {})


@given(st.integers(0, 300), st.integers(1, 100))
def test_every_row_is_in_one_shard_in_the_order_of_work(n, rows_per_shard):
    one = cutter(n, rows_per_shard)
    parts = [one.rows(number) for number in range(len(one))]
    assert np.array_equal(np.concatenate([*parts, np.zeros(0, int)]), one.order)
    assert all(len(part) == rows_per_shard for part in parts[:-1])
    assert len(one) == int(np.ceil(n / rows_per_shard)) and all(len(part) for part in parts)


N = 7


def build(ids="id", **more):
    table = Table({"id": np.arange(N) * 3 - 2**62, "ra": np.arange(N) * 1.0, "dec": np.zeros(N)})
    table["mag"] = MaskedColumn(np.arange(N, dtype=np.int16), mask=np.arange(N) % 2 == 1)
    table["name"] = [f"é {i} " for i in range(N)]
    for name, values in more.items():
        table[name] = values
    return Catalog.from_table(table, id=ids)


@pytest.fixture
def images():
    images = np.random.default_rng(1).normal(size=(N, 4, 4, 2)).astype("f4")
    images[2, :2, :, 1], images[3], images[5] = np.nan, np.nan, images[4]
    return images


def test_shards_hold_the_rows_of_the_catalogue_and_the_digests_of_the_pixels(tmp_path, images):
    catalog = build()
    shards = write_shards(tmp_path, catalog, ArraySource(images, ("g", "r")), rows_per_shard=3)
    files = sorted(tmp_path.glob("*.fits"))
    tables = [Table.read(file, hdu=2) for file in files]
    assert [len(table) for table in tables] == [3, 3, 1]
    assert [name for name in tables[0].colnames if name in OWN] == list(OWN)
    rows = np.concatenate([table["row"] for table in tables])
    assert sorted(rows) == list(range(N)) and shards.ids.tolist() == catalog.ids[rows].tolist()
    pixels = np.concatenate([fits.getdata(file, 1) for file in files]).reshape(images.shape)
    np.testing.assert_array_equal(pixels, images[rows])
    empty = np.isnan(images).mean(axis=(1, 2))[rows]
    np.testing.assert_array_equal(np.concatenate([table["no_data"] for table in tables]), empty)
    content = dict(zip(rows.tolist(), shards.content.tolist(), strict=True))
    assert content[3] == "" and content[4] == content[5]
    assert len(set(content.values())) == N - 1
    for name in ("mag", "name"):
        values, missing = shards.column(name)
        expected, absent = catalog[rows].column(name)
        np.testing.assert_array_equal(missing, absent)
        assert values[~missing].tolist() == expected[~absent].tolist()


def test_the_same_bytes_whoever_cuts(tmp_path, images):
    sums = []
    for number, scheduler in enumerate((None, ThreadPoolExecutor(2))):
        folder = tmp_path / str(number)
        write_shards(folder, build(), ArraySource(images, ("g", "r")), rows_per_shard=2,
                     scheduler=scheduler)  # fmt: skip
        files = sorted(folder.glob("*.fits"))
        sums.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    scheduler.shutdown()
    assert len(sums[0]) == 4 and sums[0] == sums[1]


def test_usable_rows_are_those_with_pixels_in_every_band(tmp_path, images):
    shards = write_shards(tmp_path, build(), ArraySource(images, ("g", "r")))
    rows, reasons = find_usable_rows(shards, shards.inputs)
    row_of = np.asarray(shards.objects["row"])
    flags = dict(zip(row_of.tolist(), shards.flags.tolist(), strict=True))
    assert 3 not in row_of[rows] and {0, 1, 4, 5, 6} <= set(row_of[rows].tolist())
    assert reasons[Flag.NO_COVERAGE.sentence] == 1 and flags[0] == 0
    with pytest.raises(InputsError, match=r"(?s)None of the 7 objects has images"):
        find_usable_rows(
            write_shards(tmp_path / "none", build(), ArraySource(images * np.nan, ("g", "r"))),
            shards.inputs,
        )


class Wrong(ArraySource):
    """Gives cutouts with a row too many."""

    def read(self, rows):
        return super().read(np.append(rows, rows[:1]))


def test_a_source_that_gives_other_rows_is_refused(tmp_path, images):
    with pytest.raises(InputsError, match=r"(?s)another shape.*received:  ?8, 4, 4, 2.*7, 4, 4, 2"):
        write_shards(tmp_path, build(), Wrong(images, ("g", "r")))


def test_a_catalogue_without_positions_is_stored(tmp_path):
    catalog = Catalog.from_table(Table({"id": ["a", "é"], "x": [[1, 2], [3, 4]]}))
    write_objects(tmp_path, catalog, NoImages(2))
    again, source = read_objects(tmp_path)
    assert again.ra is None and again.dec is None and again.roles == catalog.roles
    assert again.ids.tolist() == ["a", "é"] and len(source) == 2
    assert again.table["x"].tolist() == [[1, 2], [3, 4]]
    assert len(open_images(None, again, 4)) == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": 1}', "\0"])
def test_a_damaged_description_is_a_sentence(tmp_path, text):
    write_objects(tmp_path, build(), NoImages(N))
    (tmp_path / "objects.json").write_text(text)
    with pytest.raises(ClusterError):
        read_objects(tmp_path)


def test_columns_of_file_names_are_those_in_braces():
    band = {"name": "g", "image": "{plate}/{mjd}-{plate}.fits"}
    survey = Survey.from_dict({"kind": "stamps", "bands": [band]})
    assert list_name_columns(survey) == ["plate", "mjd"]


@given(st.lists(st.text("aA_-é/", max_size=70), unique=True), st.sets(st.sampled_from(["a", "id"])))
def test_stored_names_differ_without_case_and_keep_the_order(names, taken):
    stored = stored_names(names, taken)
    assert list(stored) == names
    lower = [name.lower() for name in stored.values()]
    assert len(set(lower)) == len(names) and not set(lower) & taken
    assert all(0 < len(name) <= 68 and name.isascii() for name in stored.values())


@pytest.mark.parametrize("unit", ["mag", "Jy / beam", None])
def test_units_and_titles_come_back(unit):
    column = MaskedColumn([1.5, 2.5], name="m é", unit=unit, mask=[False, True])
    declared, values = encode("m é", "m__", column)
    back = decode(declared, values)
    assert back.name == "m é" and back.unit == column.unit and back.mask.tolist() == [False, True]


@pytest.mark.parametrize("values", [[1, "a"], [None, 2.5], [{"a": 1}, None]])
def test_python_objects_are_shown_by_the_first(values):
    with pytest.raises(CatalogError, match=rf"(?s)'x' holds Python objects.*{values[0]!r}"):
        encode("x", "x", np.array(values, object))
