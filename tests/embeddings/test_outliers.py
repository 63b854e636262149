"""Outliers and interest: against scikit-learn, closed forms and injected objects."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import LocalOutlierFactor

from astrocnn.embeddings import METHODS, Interest, find_outliers
from astrocnn.embeddings.outliers import _fit
from astrocnn.errors import PredictionError

from .conftest import cloud


def test_the_local_outlier_factor_is_that_of_scikit_learn():
    x = cloud(300, 4).astype(np.float64)
    expected = -LocalOutlierFactor(n_neighbors=20).fit(x).negative_outlier_factor_
    np.testing.assert_allclose(np.exp(_fit("local_outlier_factor", x, 0)(x)), expected, rtol=1e-9)
    new = cloud(50, 4, seed=9).astype(np.float64)
    fitted = LocalOutlierFactor(n_neighbors=20, novelty=True).fit(x)
    np.testing.assert_allclose(
        np.exp(_fit("local_outlier_factor", x, 0)(new)), -fitted.score_samples(new), rtol=1e-9
    )


@pytest.mark.parametrize("method", METHODS)
def test_injected_objects_come_first(store, method):
    x = cloud(1000)
    x[[10, 500, 900]] += 8 * np.eye(3, 5, dtype=np.float32) + 4
    x[20] = np.nan
    table = find_outliers(store(x), 10, method=method)
    assert {2**60 + 10, 2**60 + 500, 2**60 + 900} <= set(table["id"].tolist())
    scores = np.asarray(table["outlier_score"])
    assert scores[0] == 1 and (np.diff(scores) <= 0).all() and (scores >= 0).all()
    everything = find_outliers(store(x), 5000, method=method)
    assert len(everything) == 999 and everything["outlier_score"].min() == 0


def test_a_sample_of_a_large_table_finds_them_too(store, monkeypatch):
    monkeypatch.setattr("astrocnn.embeddings.outliers._REFERENCES", 200)
    x = cloud(3000)
    x[77] += 10
    path = store(x)
    table = find_outliers(path, 5)
    assert table["id"][0] == 2**60 + 77
    assert find_outliers(path, 5)["id"].tolist() == table["id"].tolist()


def test_interest_moves_boring_outliers_back(store):
    x = cloud(1000)
    boring, sought = np.arange(20), np.arange(20, 30)
    x[boring] += [10, 0, 0, 0, 0]
    x[sought] += [0, 7, 0, 0, 0]
    path = store(x)
    ids = np.arange(1000) + 2**60
    before = find_outliers(path, 1000, method="isolation_forest")["id"].tolist()
    scores = {str(ids[i]): 0.0 for i in boring[:6]} | {str(ids[i]): 5.0 for i in sought[:4]}
    table = find_outliers(path, 1000, method="isolation_forest", scores=scores)
    after = table["id"].tolist()

    def place(ranking, which):
        return np.mean([ranking.index(i) for i in ids[which].tolist()])

    # Judged on objects that were not scored.
    assert place(after, sought[4:]) < place(before, sought[4:])
    assert place(after, sought[4:]) < place(after, boring[6:])
    combined = np.asarray(table["combined_score"])
    assert (np.diff(combined) <= 0).all()
    assert (combined <= np.asarray(table["outlier_score"]) + 1e-6).all()


def test_closed_form_of_the_combined_score():
    """Lochner & Bassett (2021), eq. 1 to 3."""
    rng = np.random.default_rng(0)
    s, u, d = rng.uniform(size=50), rng.uniform(0, 5, 50), rng.uniform(0, 3, 50)
    expected = s * np.tanh(np.exp(d) - 1 + np.arctanh(0.1 + 0.85 * u / 5))
    np.testing.assert_allclose(Interest.combine(s, u, d), expected, rtol=1e-12)
    np.testing.assert_allclose(Interest.combine(s, u, np.full(50, 1e9)), s, rtol=1e-12)


def test_invalid_requests_are_one_message(store):
    path = store(cloud())
    with pytest.raises(PredictionError, match="Unknown `method`"):
        find_outliers(path, method="forest")
    with pytest.raises(PredictionError, match="`n`"):
        find_outliers(path, 0)
    with pytest.raises(PredictionError, match="from 0"):
        find_outliers(path, scores={str(2**60): 7.0})
    with pytest.raises(PredictionError, match="no such object"):
        find_outliers(path, scores={"12": 1.0})
    with pytest.raises(PredictionError, match="too few"):
        find_outliers(store(cloud(20)))
