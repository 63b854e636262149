"""Reading tables of embeddings, and exact search, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from astrocnn.embeddings import Standardization, find_similar, read_embeddings
from astrocnn.embeddings import blocks as module
from astrocnn.errors import AstrocnnError, PredictionError

from .conftest import cloud


def test_neighbors_are_those_of_scikit_learn_for_any_block(store, monkeypatch):
    x = cloud(500) * [1, 100, 1e-3, 1, 5] + [0, 1e4, 0, 3, 0]
    x[[3, 77]] = np.nan
    path = store(x)
    good = np.isfinite(x).all(axis=1)
    ids = np.arange(500) + 2**60
    z = StandardScaler().fit_transform(x[good].astype(np.float64))
    target = np.flatnonzero(ids[good] == ids[10])
    distances, rows = NearestNeighbors(n_neighbors=31).fit(z).kneighbors(z[target])
    tables = []
    for rows_per_block in (64, 100_000):
        real = read_embeddings
        monkeypatch.setattr(
            "astrocnn.embeddings.similarity.read_embeddings",
            lambda p, id=None, n=rows_per_block, real=real: real(p, id=id, rows=n),
        )
        tables.append(find_similar(path, [str(ids[10])], 30))
    for table in tables:
        assert table["id"].tolist() == ids[good][rows[0, 1:]].tolist()
        np.testing.assert_allclose(table["distance"], distances[0, 1:], rtol=1e-5)
        assert table["rank"].tolist() == list(range(1, 31))
        assert table["ra"].unit == "deg" or table["ra"].unit is None
    assert tables[0]["distance"].tolist() == tables[1]["distance"].tolist()


def test_several_examples_and_ties(store):
    x = [[0, 0], [10, 0], [1, 0], [9, 0], [5, 0], [5, 0], [11, 1]]
    path = store(x, ids=["a", "b", "near a", "near b", "m1", "m2", "c"])
    table = find_similar(path, ["a", " b", "a"], 4)
    assert table["id"].tolist()[:2] == ["near a", "near b"]
    assert table["nearest"].tolist()[:2] == ["a", "b"]
    # Equal objects come in the order of the table, examples not at all.
    everything = find_similar(path, ["a", "b"], 99)["id"].tolist()
    assert len(everything) == 5 and everything.index("m1") + 1 == everything.index("m2")


def test_a_constant_feature_does_not_count(store):
    x = cloud(100, 3)
    wide = np.column_stack([x, np.full(100, 1e6)])
    scaling = Standardization.fit(read_embeddings(store(wide)))
    assert scaling.scale[3] == 1 and (scaling.count, scaling.length) == (100, 100)
    np.testing.assert_allclose(scaling.scale[:3], x.std(axis=0), rtol=1e-6)
    a = find_similar(store(x, file="a.parquet"), [str(2**60)], 10)
    b = find_similar(store(wide, file="b.parquet"), [str(2**60)], 10)
    assert a["id"].tolist() == b["id"].tolist()


def test_vectors_of_other_programs_are_read(store, tmp_path):
    x = cloud(60, 4)
    # Lists without a fixed length, another name, texts as identifiers.
    table = pa.table({"id_str": [f"J{i}" for i in range(60)], "feat": x.tolist()})
    pq.write_table(table, tmp_path / "zoo.parquet")
    (block,) = read_embeddings(tmp_path / "zoo.parquet")
    np.testing.assert_array_equal(block.vectors, x)
    assert block.catalog.ids[3] == "J3"
    Table({"objID": np.arange(60), "v": x}).write(tmp_path / "v.fits")
    assert find_similar(tmp_path / "v.fits", ["5"], 3)["objID"].dtype.kind == "i"


@pytest.mark.parametrize(
    ("to", "message"),
    [
        (["7"], "no such object"),
        (["x"], "no such object"),
        (["1e60"], "no such object"),
        ([str(2**70)], "no such object"),
        ([], "no such object"),
        ([str(2**60 + 3)], "no embedding"),
    ],
)
def test_an_object_that_is_not_there_is_one_message(store, to, message):
    x = cloud(60)
    x[3] = np.nan
    with pytest.raises(PredictionError, match=message):
        find_similar(store(x), to)


def test_files_that_are_no_embeddings_are_one_message(store, tmp_path):
    for name, content in (("no.parquet", b"PAR1 nothing"), ("no.fits", b"SIMPLE"), ("a.csv", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AstrocnnError):
            find_similar(tmp_path / name, ["1"])
    Table({"id": [1, 2], "z": [0.1, 0.2]}).write(tmp_path / "z.fits")
    with pytest.raises(PredictionError, match="not a table of embeddings"):
        find_similar(tmp_path / "z.fits", ["1"])
    with pytest.raises(PredictionError, match="no such table"):
        find_similar(tmp_path / "absent.fits", ["1"])
    with pytest.raises(PredictionError, match="`n`"):
        find_similar(store(cloud()), [str(2**60)], 0)
    with pytest.raises(PredictionError, match="No object has an embedding"):
        next(iter([Standardization.fit(read_embeddings(store(np.full((9, 2), np.nan))))]))
    twice = store(cloud(60), ids=[f"{i % 59}" for i in range(60)])
    with pytest.raises(AstrocnnError):
        find_similar(twice, ["0"])


def test_an_identifier_in_two_blocks_is_refused(store):
    path = store(cloud(60), ids=[f"{i % 50}" for i in range(60)])
    real = module.read_embeddings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "read_embeddings", lambda p, id=None: real(p, id=id, rows=50))
        with pytest.raises(PredictionError, match="occurs twice"):
            module.find_rows(path, ["0"])
