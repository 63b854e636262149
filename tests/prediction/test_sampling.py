"""Samples of rows of shards, by chunks and by workers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.datasets import write_shards
from astrocnn.errors import ClusterError
from astrocnn.estimators import ClassicalEstimator
from astrocnn.imaging import Inputs, NoImages
from astrocnn.prediction import chunks, sampling
from astrocnn.prediction.sampling import sample_rows
from astrocnn.targets import Binned, Target, Task

N = 200


@pytest.fixture
def made(tmp_path, monkeypatch):
    """An estimator and shards, and chunks of 64 rows."""
    monkeypatch.setattr(chunks, "_MAX_ROWS", 64)
    a, b = np.random.default_rng(7).normal(size=(2, N))
    table = Table({"id": np.arange(N), "a": a, "b": b, "z": 0.5 + 0.2 * np.tanh(a)})
    inputs = Inputs((), 0, scalars=("a", "b"))
    catalog = Catalog.from_table(table, missing=())
    shards = write_shards(tmp_path / "shards", catalog, NoImages(N), inputs)
    task = Task("photoz", (Target("z", Binned(0.0, 1.0, 40), "z"),), "z.sigma_mad")
    return ClassicalEstimator(task, inputs, "knn").fit(shards, np.arange(N)), shards


def test_chunks_and_workers_give_the_samples_of_one_call(made, tmp_path):
    estimator, shards = made
    rows = np.random.default_rng(0).permutation(N)[:150]
    expected = estimator.sample(None, shards.scalars(("a", "b"))[rows])
    one = sample_rows(estimator, shards, rows)
    with ThreadPoolExecutor(2) as pool:
        two = sample_rows(estimator, shards, rows, scheduler=pool, folder=tmp_path / "work")
    assert set(one) == set(two) == {"z"}
    np.testing.assert_array_equal(one["z"], expected["z"])
    np.testing.assert_array_equal(two["z"], expected["z"])
    assert not (tmp_path / "work").exists()
    assert sample_rows(estimator, shards, rows[:0])["z"].shape == (1, 0, 40)


def test_a_worker_with_other_shards_is_refused(made, tmp_path, monkeypatch):
    estimator, shards = made
    real = sampling._store

    def change(work, folder):
        task = real(work, folder)
        about = folder / "sampling.json"
        about.write_text(about.read_text().replace(shards.fingerprint, "0" * 64))
        return task

    monkeypatch.setattr(sampling, "_store", change)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ClusterError, match="other shards"):
        sample_rows(estimator, shards, np.arange(9), scheduler=pool, folder=tmp_path / "work")
