"""Tables of embeddings in blocks: what no block size and no order of rows may change."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.ensemble import RandomForestRegressor
from sklearn.preprocessing import StandardScaler

from astrocnn.catalog import Catalog
from astrocnn.column import Column
from astrocnn.embeddings import (
    EmbeddingBlock,
    Interest,
    Standardization,
    find_outliers,
    find_rows,
    find_similar,
    outliers,
    read_embeddings,
    take_rows,
)
from astrocnn.embeddings import blocks as module
from astrocnn.errors import AstrocnnError, PredictionError
from astrocnn.prediction import TableWriter, to_parquet

from .conftest import cloud


def split(vectors, sizes):
    """Blocks of given lengths, and one of the rest."""
    edges = [0, *np.minimum(np.cumsum(sizes), len(vectors)).tolist(), len(vectors)]
    for low, high in itertools.pairwise(edges):
        if high > low:
            objects = Catalog.from_table(Table({"id": np.arange(low, high)}))
            yield EmbeddingBlock(low, objects, vectors[low:high])


@settings(max_examples=15)
@given(st.lists(st.integers(1, 40), max_size=5), st.integers(0, 99), st.floats(-1e4, 1e4))
def test_location_and_scale_are_those_of_scikit_learn(sizes, seed, offset):
    rng = np.random.default_rng(seed)
    vectors = (rng.normal(size=(60, 3)) * [1, 30, 0.5] + offset).astype(np.float32)
    vectors[rng.integers(0, 60, 5), 1] = np.nan
    good = vectors[np.isfinite(vectors).all(axis=1)].astype(np.float64)
    fitted = Standardization.fit(split(vectors, sizes))
    expected = StandardScaler().fit(good)
    assert (fitted.count, fitted.length) == (len(good), 60)
    np.testing.assert_allclose(fitted.location, expected.mean_, rtol=1e-10)
    np.testing.assert_allclose(fitted.scale, expected.scale_, rtol=1e-7)
    z = fitted.apply(good)
    np.testing.assert_allclose(z, expected.transform(good), atol=1e-6)
    other = Standardization.fit(split(rng.permutation(vectors), [7]))
    np.testing.assert_allclose(other.scale, fitted.scale, rtol=1e-7)


def test_blocks_that_are_empty_of_values_count_as_rows():
    vectors = np.full((9, 2), np.nan, np.float32)
    vectors[6:] = [[1, 0], [3, 0], [5, 0]]
    fitted = Standardization.fit(split(vectors, [3, 3]))
    assert fitted.location.tolist() == [3, 0] and (fitted.count, fitted.length) == (3, 9)
    np.testing.assert_allclose(fitted.scale, [np.sqrt(8 / 3), 1])
    with pytest.raises(PredictionError, match="No object has an embedding") as caught:
        Standardization.fit(split(vectors[:6], [4]))
    assert "6 rows" in str(caught.value)


@pytest.mark.parametrize("rows", [1, 7, 50, 51])
def test_any_number_of_rows_in_a_block(store, tmp_path, rows):
    x = cloud(50, 3)
    x[[4, 49], 1] = np.nan
    Table({"id": np.arange(50) + 2**60, "embedding": x}).write(tmp_path / "e.fits")
    for path in (store(x), tmp_path / "e.fits"):
        blocks = list(read_embeddings(path, rows=rows))
        assert [b.start for b in blocks] == list(range(0, 50, rows))
        assert [len(b) for b in blocks[:-1]] == [rows] * (len(blocks) - 1)
        np.testing.assert_array_equal(np.concatenate([b.vectors for b in blocks]), x)
        usable = np.concatenate([b.usable for b in blocks])
        assert np.flatnonzero(~usable).tolist() == [4, 49]
        ids = np.concatenate([b.catalog.ids for b in blocks])
        assert ids.tolist() == list(range(2**60, 2**60 + 50))


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of seven objects everywhere."""
    real = module.read_embeddings

    def read(path, *, id=None):
        return real(path, id=id, rows=7)

    for name in ("blocks", "similarity", "outliers"):
        monkeypatch.setattr(f"astrocnn.embeddings.{name}.read_embeddings", read)


def test_rows_come_in_the_order_they_are_asked_for(store, small_blocks):
    x = cloud(40, 2)
    names = [f"{'J' * (k % 9)}{k}" for k in range(40)]
    path = store(x, ids=names)
    order = np.random.default_rng(3).permutation(40)[:25]
    rows, vectors = find_rows(path, [f" {names[k]} " for k in order])
    assert rows.tolist() == order.tolist()
    np.testing.assert_array_equal(vectors, x[order])
    objects = take_rows(path, order)
    assert objects.ids.tolist() == [names[k] for k in order]
    np.testing.assert_array_equal(objects.table["ra"], np.linspace(0, 90, 40)[order])
    assert find_rows(path, [names[3]] * 3)[0].tolist() == [3]


def test_integers_are_compared_as_integers(store):
    limits = np.iinfo(np.int64)
    ids = np.array([limits.min, -1, 0, limits.max - 1, limits.max])
    path = store(np.eye(5), ids=ids)
    # As doubles the last two were one.
    assert find_rows(path, [str(k) for k in ids[::-1]])[0].tolist() == [4, 3, 2, 1, 0]
    assert find_rows(path, ["+0", "-001"])[0].tolist() == [2, 1]
    for text in ("0.0", "", "9" * 30, str(2**63)):
        with pytest.raises(PredictionError, match="no such object"):
            find_rows(path, [text])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [[1.0], [2.0]], "b": [[1.0], [2.0]]}, "columns of vectors: a, b"),
        ({"a": [1.0, 2.0]}, "no column of vectors"),
        ({"embedding": [[1.0, 2.0], [3.0]]}, "vectors of one length"),
        ({"embedding": [["x"], ["y"]]}, "cannot be used"),
    ],
)
def test_tables_without_one_column_of_vectors(tmp_path, columns, message):
    pq.write_table(pa.table({"id": [1, 2], **columns}), tmp_path / "e.parquet")
    with pytest.raises(AstrocnnError, match=message):
        list(read_embeddings(tmp_path / "e.parquet"))


def test_vectors_of_another_length_in_a_later_block(tmp_path):
    table = pa.table({"id": [1, 2, 3, 4], "embedding": [[1.0, 2.0]] * 2 + [[1.0]] * 2})
    pq.write_table(table, tmp_path / "e.parquet")
    with pytest.raises(PredictionError, match="different lengths"):
        list(read_embeddings(tmp_path / "e.parquet", rows=2))
    pq.write_table(table[:0], tmp_path / "none.parquet")
    with pytest.raises(PredictionError, match="holds no object"):
        list(read_embeddings(tmp_path / "none.parquet"))


def test_similar_objects_do_not_depend_on_order_units_or_blocks(store, small_blocks):
    x = cloud(60, 4)
    ids = np.arange(60)
    first = find_similar(store(x, ids=ids), ["5", "9"], 12)
    order = np.random.default_rng(1).permutation(60)
    other = store(x[order] * [1, 1e3, -2, 1e-3] + [0, 5, 0, 0], ids=ids[order], file="o.parquet")
    second = find_similar(other, ["9", "5"], 12)
    assert first["id"].tolist() == second["id"].tolist()
    assert first["nearest"].tolist() == second["nearest"].tolist()
    np.testing.assert_allclose(first["distance"], second["distance"], rtol=1e-4)
    only = store([[1.0, 2.0]], ids=[3], file="one.parquet")
    with pytest.raises(PredictionError, match="No other object"):
        find_similar(only, ["3"])


def test_outliers_do_not_depend_on_order_units_or_blocks(store, small_blocks):
    x = cloud(60, 2)
    x[17] = [9, -9]
    first = find_outliers(store(x, ids=np.arange(60)), 60)
    assert first["id"][0] == 17 and first["rank"].tolist() == list(range(1, 61))
    score = np.asarray(first["outlier_score"])
    assert score[0] == 1 and score[-1] == 0 and (np.diff(score) <= 0).all()
    order = np.random.default_rng(1).permutation(60)
    moved = store(x[order] * [-3, 1e4] + [7, 0], ids=order, file="o.parquet")
    second = find_outliers(moved, 60)
    assert second["id"].tolist() == first["id"].tolist()
    np.testing.assert_allclose(second["outlier_score"], score, atol=1e-4)
    with pytest.raises(PredictionError, match="too few objects") as caught:
        find_outliers(store(cloud(49)))
    assert "49 objects" in str(caught.value)


def test_local_reachability_density_of_known_distances():
    density = outliers._compute_density(
        np.array([[1.0, 3.0], [0, 0]]), np.array([[2.0, 2], [0, 0]])
    )
    # The mean of max(distance, reach): (2 + 3) / 2; duplicates stay finite.
    np.testing.assert_allclose(density, [1 / 2.5, 1e10], rtol=1e-9)


@settings(max_examples=40)
@given(st.floats(0, 1), st.floats(0, 5), st.floats(0, 60), st.floats(0, 5), st.floats(0, 60))
def test_interest_lowers_and_never_hides(outlier, score, distance, more, further):
    def combine(*values):
        return float(Interest.combine(*(np.array([v]) for v in values))[0])

    value = combine(outlier, score, distance)
    weight = 0.1 + 0.17 * score
    assert (weight - 1e-9) * outlier <= value <= outlier
    assert combine(outlier, max(score, more), distance) >= value - 1e-12
    assert combine(outlier, score, max(distance, further)) >= value - 1e-12
    np.testing.assert_allclose(combine(outlier, score, 0.0), weight * outlier, atol=1e-12)
    assert combine(outlier, score, 60.0) == pytest.approx(outlier)
    # Equation 3 of Lochner & Bassett (2021), where it can be computed directly.
    if distance < 5:
        growth = np.tanh(np.expm1(distance) + np.arctanh(weight))
        assert value == pytest.approx(outlier * growth)


def test_interest_is_a_forest_and_a_distance():
    x, points = cloud(30, 3).astype(float), cloud(20, 3, seed=1).astype(float)
    scores = np.linspace(0, 5, 30)
    interest = Interest.fit(x, scores.tolist(), seed=4)
    forest = RandomForestRegressor(100, random_state=4).fit(x, scores)
    np.testing.assert_array_equal(interest.predict(points), forest.predict(points))
    np.testing.assert_allclose(interest.distance(points), cdist(points, x).min(axis=1))
    np.testing.assert_allclose(interest.distance(x), 0, atol=1e-7)
    assert (interest.predict(points) >= 0).all() and (interest.predict(points) <= 5).all()


@pytest.mark.parametrize("scores", [[], [5.1], [-0.1, 2], [np.nan], [np.inf, 1]])
def test_scores_beyond_their_range_are_refused(scores):
    with pytest.raises(PredictionError, match="from 0") as caught:
        Interest.fit(np.zeros((len(scores), 2)), scores)
    assert str(scores[0]) in str(caught.value) if scores else "no score" in str(caught.value)


@pytest.fixture
def own_names(tmp_path):
    """A table as `embed` writes it for a catalogue with column names of its own."""
    columns = [
        Column("stamp", "U5", ucd="meta.id;meta.main"),
        Column("x", "float64", ucd="pos.eq.ra;meta.main"),
        Column("y", "float64", ucd="pos.eq.dec;meta.main"),
        Column("embedding", "float32", shape=(3,)),
    ]
    values = {"stamp": np.array(["007", "a.jpg", "7", "b"]), "x": np.arange(4.0)}
    values |= {"y": -values["x"], "embedding": cloud(4, 3)}
    with TableWriter(tmp_path / "e.fits", columns, 4, name="EMBEDDINGS") as writer:
        writer.put(np.arange(4), values)
    to_parquet(tmp_path / "e.fits", tmp_path / "e.parquet", hdu="EMBEDDINGS")
    return tmp_path


@pytest.mark.parametrize("name", ["e.fits", "e.parquet"])
def test_identifiers_and_positions_are_known_whatever_they_are_called(own_names, name):
    catalog = next(read_embeddings(own_names / name)).catalog
    assert catalog.ids.tolist() == ["007", "a.jpg", "7", "b"] and catalog.roles.id == "stamp"
    assert catalog.ra.tolist() == [0, 1, 2, 3] and catalog.dec.tolist() == [0, -1, -2, -3]
    assert find_rows(own_names / name, ["7"])[0].tolist() == [2]


@pytest.mark.parametrize(
    ("name", "words"), [("e.fits", "its checksum differs"), ("e.parquet", "cannot be read")]
)
def test_damaged_bytes_are_no_embedding(name, words, own_names):
    path = own_names / name
    data = bytearray(path.read_bytes())
    place = data.index(b"a.jpg")
    data[place] ^= 2
    path.write_bytes(data)
    with pytest.raises(PredictionError, match=words):
        list(read_embeddings(path))
