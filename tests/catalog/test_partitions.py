"""Catalogues in partitions: every row once, the needed columns only, whatever holds them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.catalog import (
    PartitionedCatalog,
    assign_splits,
    compute_sky_keys,
    partitions,
    read_catalog,
)
from astrocnn.catalog.partitions import is_large
from astrocnn.errors import CatalogError

N = 90


def make(n: int = N) -> Table:
    rng = np.random.default_rng(3)
    columns = {"id": rng.permutation(10**6)[:n], "ra": rng.uniform(0, 360, n)}
    columns |= {"dec": rng.uniform(-80, 80, n), "g": rng.normal(size=n), "r": rng.normal(size=n)}
    return Table({**columns, "name": [f"J{i:03d}" for i in range(n)]})


def to_arrow(table: Table) -> pa.Table:
    return pa.table({name: np.array(table[name]) for name in table.colnames})


@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=12), rows=st.integers(1, 60))
def test_row_groups_are_joined_up_to_a_number_of_rows(tmp_path_factory, sizes, rows):
    if not sum(sizes):
        return
    path = tmp_path_factory.mktemp("groups") / "all.parquet"
    table = pa.table({"id": np.arange(sum(sizes))})
    with pq.ParquetWriter(path, table.schema) as writer:
        start = 0
        for size in sizes:
            writer.write_table(table.slice(start, size))
            start += size
    found = PartitionedCatalog.find(path, [], rows=rows)
    ids = [found.read(number).ids for number in range(len(found))]
    np.testing.assert_array_equal(np.concatenate(ids), np.arange(sum(sizes)))
    # More rows only where one row group has more.
    assert all(len(one) <= max(rows, *sizes) for one in ids)
    assert len({part.name for part in found.partitions}) == len(found)


FORMS = ["fits", "parquet", "csv", "vot"]


@pytest.mark.parametrize("form", FORMS)
def test_some_rows_are_those_of_the_whole(tmp_path, form):
    table, path = make(), tmp_path / f"all.{form}"
    if form == "parquet":
        pq.write_table(to_arrow(table), path, row_group_size=25)
    else:
        table.write(path, format={"vot": "votable"}.get(form))
    for rows in (slice(0, 1), slice(20, 60), slice(24, 26), slice(50, None)):
        found = read_catalog(path, rows=rows, columns=["g", "name"])
        assert found.table.colnames == ["id", "ra", "dec", "g", "name"]
        for name in found.table.colnames:
            np.testing.assert_array_equal(found.table[name], table[name][rows])
    with pytest.raises(CatalogError, match="no rows"):
        read_catalog(path, rows=slice(N, N + 5))
    numbered = read_catalog(path, rows=slice(20, 23), id="row_number")
    assert numbered.ids.tolist() == [21, 22, 23]


def test_columns_are_those_of_the_first_partition(tmp_path):
    table = make()
    for number in range(3):
        part = table[30 * number : 30 * number + 30]
        pq.write_table(to_arrow(part), tmp_path / f"{number}.parquet")
    found = PartitionedCatalog.find(tmp_path, ["g - r", "G"])
    assert found.columns == ("g", "r") and len(found) == 3 and found.n_rows == N
    assert found.read(1).table.colnames == ["id", "ra", "dec", "g", "r"]
    # Another column that could be the identifier is not taken for it.
    renamed = to_arrow(table[60:]).rename_columns(["objid", *table.colnames[1:]])
    pq.write_table(renamed, tmp_path / "2.parquet")
    with pytest.raises(CatalogError, match=r"2\.parquet.*has other columns than"):
        PartitionedCatalog.find(tmp_path).read(2)
    with pytest.raises(CatalogError, match="does not number the rows of several files"):
        PartitionedCatalog.find(tmp_path, id="row_number")
    (tmp_path / "2.parquet").unlink()
    with pytest.raises(CatalogError, match=r"2\.parquet.*is missing"):
        found.read(2)


def test_folders_named_by_a_value_give_a_column(tmp_path):
    table = make()
    for number, field in enumerate(("A", "B")):
        path = tmp_path / f"field={field}/part.parquet"
        path.parent.mkdir()
        pq.write_table(to_arrow(table[45 * number : 45 * number + 45]), path)
    found = PartitionedCatalog.find(tmp_path, ["field"])
    assert set(found.read(1).column("field")[0]) == {"B"}
    assert [part.name for part in found.partitions] == ["field=A/part", "field=B/part"]


def test_files_of_one_name_keep_their_suffixes(tmp_path):
    table = make()
    table[:40].write(tmp_path / "a.fits")
    table[40:].write(tmp_path / "a.csv")
    found = PartitionedCatalog.find(tmp_path / "a.*")
    assert [part.name for part in found.partitions] == ["a.csv", "a.fits"]
    assert sum(len(found.read(number)) for number in range(2)) == N


def test_splits_of_partitions_are_those_of_the_whole(tmp_path):
    """So that they need no memory: a split is a function of the identifier or the sky pixel."""
    table, path = make(), tmp_path / "all.fits"
    table.write(path)
    whole, found = read_catalog(path), PartitionedCatalog.find(path, [], rows=17)
    parts = [found.read(number) for number in range(len(found))]
    assert len(parts) == 6
    for keys in (lambda c: c.ids, lambda c: compute_sky_keys(c.ra, c.dec)):
        expected = assign_splits(keys(whole))
        np.testing.assert_array_equal(
            np.concatenate([assign_splits(keys(part)) for part in parts]), expected
        )


def test_which_catalogues_are_large(tmp_path, monkeypatch):
    monkeypatch.setattr(partitions, "WHOLE_ROWS", 50)
    table = make()
    table.write(tmp_path / "all.fits")
    table[:50].write(tmp_path / "few.fits")
    table.write(tmp_path / "all.csv")
    pq.write_table(to_arrow(table), tmp_path / "all.parquet")
    names = ("all.fits", "few.fits", "all.csv", "all.parquet", "*.fits", "absent.fits")
    found = [is_large(tmp_path / name) for name in names]
    assert found == [True, False, False, True, True, False]
    assert is_large(tmp_path)
