"""Folders of Parquet files, HATS catalogues, and columns that are no numbers or text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astrocnn.catalog import Catalog, read_catalog
from astrocnn.errors import CatalogError


def write(path: Path, first: int, n: int = 2, **more: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = np.arange(first, first + n)
    pq.write_table(pa.table({"id": ids, "ra": ids + 0.5, "dec": -ids / 100, **more}), path)


def test_a_folder_is_one_catalogue_in_the_order_of_its_names(tmp_path):
    for number, name in enumerate(("a.parquet", "b/c.snappy.parquet", "b/d.pq")):
        write(tmp_path / name, 10 * number, z=[0.1 * number] * 2)
    write(tmp_path / "_metadata", 90)
    write(tmp_path / ".hidden.parquet", 90)
    write(tmp_path / "_delta_log/x.parquet", 90)
    (tmp_path / "README.txt").write_text("three files")
    found = read_catalog(tmp_path, columns=["z"])
    assert found.ids.tolist() == [0, 1, 10, 11, 20, 21]
    assert found.ra.tolist() == [0.5, 1.5, 10.5, 11.5, 20.5, 21.5]
    assert found.numbers("z").tolist() == [0.0, 0.0, 0.1, 0.1, 0.2, 0.2]


def test_folders_named_by_a_value_give_a_column(tmp_path):
    for number, field in enumerate(("COSMOS", "007")):
        write(tmp_path / f"field={field}/year=202{number}/part.parquet", 10 * number)
    found = read_catalog(tmp_path)
    assert found.column("field")[0].tolist() == ["007", "007", "COSMOS", "COSMOS"]
    assert found.numbers("year").tolist() == [2021, 2021, 2020, 2020]
    assert read_catalog(tmp_path, columns=["field"]).table.colnames == ["id", "ra", "dec", "field"]
    write(tmp_path / "stray.parquet", 50)
    with pytest.raises(CatalogError, match=r"(?s)divided in different ways.*stray"):
        read_catalog(tmp_path)


def test_files_may_differ_where_no_value_is_lost(tmp_path):
    write(tmp_path / "a.parquet", 0, votes=pa.array([1, 2], pa.int16()), only_here=["x", "y"])
    write(tmp_path / "b.parquet", 5, votes=pa.array([2**40, None], pa.int64()))
    found = read_catalog(tmp_path)
    values, missing = found.column("votes")
    assert values[:3].tolist() == [1, 2, 2**40] and missing.tolist() == [False] * 3 + [True]
    with pytest.raises(CatalogError, match="'only_here' cannot be used: not all files have it"):
        found.column("only_here")
    write(tmp_path / "c.parquet", 9, votes=["many", "few"])
    with pytest.raises(CatalogError, match="differ in the types of their columns"):
        read_catalog(tmp_path)


def test_large_identifiers_of_files_that_differ_are_never_rounded(tmp_path):
    pq.write_table(pa.table({"id": [2**53 + 1, 5]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": [0.0, 1.0]}), tmp_path / "b.parquet")
    with pytest.raises(CatalogError, match=r"differ in the types|may be rounded"):
        read_catalog(tmp_path)


def hats(root: Path, kind: str = "object") -> Path:
    root.mkdir(parents=True)
    (root / "hats.properties").write_text(f"#HATS\nobs_collection=x\ndataproduct_type={kind}\n")
    write(root / "dataset/Norder=1/Dir=0/Npix=3.parquet", 0)
    write(root / "dataset/Norder=1/Dir=0/Npix=4/part0.parquet", 10)
    write(root / "dataset/data_thumbnail.parquet", 0)
    write(root / "dataset/_common_metadata", 0)
    write(root / "margin_cache/dataset/Norder=1/Dir=0/Npix=4.parquet", 0)
    return root


@pytest.mark.parametrize("place", ["", "dataset"])
def test_hats_is_read_without_thumbnail_and_margin(tmp_path, place):
    found = read_catalog(hats(tmp_path / "cat") / place)
    assert found.ids.tolist() == [0, 1, 10, 11]
    assert found.table.colnames == ["id", "ra", "dec"]


def test_a_hats_collection_leads_to_its_catalogue_and_nowhere_else(tmp_path):
    hats(tmp_path / "gaia")
    hats(tmp_path / "gaia_10arcs", "margin")
    properties = tmp_path / "collection.properties"
    properties.write_text("name=gaia\nhats_primary_table_url=gaia\nall_margins=gaia_10arcs\n")
    assert read_catalog(tmp_path).ids.tolist() == [0, 1, 10, 11]
    with pytest.raises(CatalogError, match="of type 'margin', not a catalogue of objects"):
        read_catalog(tmp_path / "gaia_10arcs")
    for place in ("../elsewhere", "/etc", "https://example.org/gaia", ""):
        properties.write_text(f"hats_primary_table_url={place}\n")
        with pytest.raises(CatalogError, match="names no catalogue inside"):
            read_catalog(tmp_path)


def test_a_damaged_part_is_named(tmp_path):
    write(tmp_path / "a.parquet", 0)
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])
    with pytest.raises(CatalogError, match=r"b\.parquet' cannot be read"):
        read_catalog(tmp_path)


UNUSED = {
    "nested": pa.array([{"mjd": [1.0]}, None]),
    "ragged": pa.array([[1.0], [1.0, 2.0]]),
    "no list": pa.array([None, None], pa.list_(pa.int8())),
    "lists of texts": pa.array([["a"], ["b"]]),
    "time": pa.array(np.array(["2020-01-01", "NaT"], "M8[us]")),
    "date": pa.array([1, 2], pa.date32()),
    "duration": pa.array([1, 2], pa.duration("s")),
    "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int32())),
}


@pytest.mark.parametrize("kind", UNUSED)
@pytest.mark.parametrize("form", ["file", "arrow", "pandas", "record batch"])
def test_a_column_that_nobody_asks_for_stops_nothing(tmp_path, kind, form):
    data = pa.table({"id": [1, 2], "z": [0.1, 0.2], "extra": UNUSED[kind]})
    if form == "file":
        pq.write_table(data, tmp_path / "t.parquet")
        found = read_catalog(tmp_path / "t.parquet")
        with pytest.raises(CatalogError, match="'extra' cannot be used"):
            read_catalog(tmp_path / "t.parquet", columns=["extra"])
    elif form == "pandas":
        found = Catalog.from_table(data.to_pandas())
        if kind == "no list":
            return  # to pandas it is an empty text
    else:
        found = Catalog.from_table(data if form == "arrow" else data.to_batches()[0])
    assert found.table.colnames == ["id", "z"] and found[[1]].numbers("z").tolist() == [0.2]
    with pytest.raises(CatalogError, match=r"(?s)'extra' cannot be used: it.*allowed"):
        found[[0]].column("EXTRA")
    with pytest.raises(CatalogError, match="'extra' cannot be used"):
        Catalog.from_table(data.to_pandas() if form == "pandas" else data, id="extra")


def test_values_of_arrow_are_exact():
    data = pa.table(
        {
            "id": pa.array([b"a", b"\xff", "é".encode()]),
            "half": pa.array(np.array([1.5, np.nan, 3.0], np.float16)),
            "word": pa.array(["x", None, ""]).dictionary_encode(),
            "view": pa.array(["p", "q", None], pa.string_view()),
            "nothing": pa.nulls(3),
            "pair": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int64(), 2)),
        }
    )
    found = Catalog.from_table(data)
    # One identifier is no UTF-8: all bytes are read alike, and none becomes another's.
    assert found.ids.tolist() == ["a", "\xff", "Ã©"]
    assert found.column("half")[1].tolist() == [False, True, False]
    assert found.column("word")[1].tolist() == [False, True, True]
    assert found.column("view")[0][:2].tolist() == ["p", "q"]
    assert found.column("nothing")[1].all()
    values, missing = found.column("pair")
    assert values[0].tolist() == [1, 2] and missing.tolist() == [False, True, False]


@pytest.mark.parametrize("data", [3, None, {"id": [1, 2], "x": [1]}, [1, 2], "table.csv"])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(CatalogError):
        Catalog.from_table(data)


def test_pandas_columns_of_all_kinds():
    frame = pd.DataFrame({"id": ["a", "b"], "c": pd.Categorical(["u", None]), 5: [1, 2]})
    found = Catalog.from_table(frame)
    assert found.column("c")[1].tolist() == [False, True]
    assert found.numbers("5").tolist() == [1, 2]
