"""Predictions in partitions: the rows of one table, written file by file."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog, read_catalog, uniqueness
from astrocnn.catalog.uniqueness import validate_unique
from astrocnn.datasets import write_shards
from astrocnn.errors import CatalogError, PredictionError
from astrocnn.estimators import ClassicalEstimator
from astrocnn.imaging import Inputs, NoImages
from astrocnn.prediction import (
    partitions,
    predict,
    predict_partitions,
    read_partitions,
    read_pdf,
    read_predictions,
)
from astrocnn.prediction.predictions import MANIFEST
from astrocnn.targets import Binned, Target, Task

N, SIZES = 300, (120, 0, 100, 80)


def make_table() -> Table:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(2, N))
    z = 0.5 + 0.2 * np.tanh(a)
    a[3] = np.nan
    return Table({"OBJECT_ID": -(10**15) + np.arange(N), "a": a, "b": b, "z": z, "wide": a})


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    inputs = Inputs((), 0, scalars=("a", "a - b"))
    catalog = Catalog.from_table(make_table(), missing=())
    shards = write_shards(tmp_path_factory.mktemp("knn"), catalog, NoImages(N), inputs)
    task = Task("photoz", (Target("z", Binned(0.0, 1.0, 40), "z"),), "z.sigma_mad")
    return ClassicalEstimator(task, inputs, "knn").fit(shards, np.arange(N))


@pytest.fixture(autouse=True)
def fixed(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture
def folder(tmp_path):
    """A HATS catalogue with a margin, whose rows are no objects."""
    table, start = make_table(), 0
    for number, size in enumerate(SIZES):
        path = tmp_path / f"hats/dataset/Norder=1/Dir=0/Npix={number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {name: np.array(table[name][start : start + size]) for name in table.colnames}
        pq.write_table(pa.table(columns), path)
        start += size
    margin = tmp_path / "hats/margin/Norder=1/Dir=0/Npix=0.parquet"
    margin.parent.mkdir(parents=True)
    pq.write_table(pa.table({"OBJECT_ID": np.arange(3)}), margin)
    return tmp_path / "hats"


def run(estimator, folder, out, **options):
    return predict_partitions(estimator, folder, None, out, pdf="int16", missing=(), **options)


def files_of(out):
    return {str(path.relative_to(out)): path for path in sorted(out.rglob("*")) if path.is_file()}


def test_rows_are_those_of_one_table(estimator, folder, tmp_path):
    out = run(estimator, folder, tmp_path / "out")
    part = "dataset/Norder=1/Dir=0/Npix={}.parquet"
    assert list(files_of(out)) == [MANIFEST, part.format(0), part.format(2), part.format(3)]
    parts = read_partitions(out)
    assert parts.rows == N and [len(part) for part in parts] == [120, 100, 80]
    catalog = read_catalog(folder, missing=())
    whole = read_predictions(predict(estimator, catalog, NoImages(N), tmp_path / "p.fits"))
    for name in whole.table.colnames:
        column = np.concatenate([np.ma.getdata(part.table[name]) for part in parts])
        np.testing.assert_array_equal(column, np.ma.getdata(whole.table[name]))
        assert parts[0].table[name].unit == whole.table[name].unit
        assert parts[0].table[name].description == whole.table[name].description
    assert parts[-1].table["OBJECT_ID"].meta["ucd"] == "meta.id;meta.main"
    assert parts[0].table.meta["MODELSHA"] == estimator.fingerprint
    assert parts[0].flags(3) and parts[0].count_flags()
    # The densities are those of one table, to the two bytes of their storage.
    predict(estimator, catalog, NoImages(N), tmp_path / "d.fits", pdf="int16")
    _, _, density = read_pdf(tmp_path / "d.fits")
    stored = pq.read_table(parts.files[1])["PDF"].to_pylist()
    np.testing.assert_allclose(np.array(stored), density[120:220], atol=0.02)


def identify(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_workers_and_a_second_start_change_no_byte(estimator, folder, tmp_path, monkeypatch):
    one = files_of(run(estimator, folder, tmp_path / "one"))
    with ThreadPoolExecutor(2) as pool:
        many = files_of(run(estimator, folder, tmp_path / "many", scheduler=pool))
        assert {n: p.read_bytes() for n, p in one.items()} == {
            n: p.read_bytes() for n, p in many.items()
        }
        # A number of a file that was removed may be given to its successor: the time tells.
        before = {name: identify(path) for name, path in many.items()}
        _, lost, damaged, _ = many
        many[lost].unlink()
        content = bytearray(many[damaged].read_bytes())
        content[200] ^= 1
        many[damaged].write_bytes(content)
        again = files_of(run(estimator, folder, tmp_path / "many", scheduler=pool))
    assert {n: p.read_bytes() for n, p in one.items()} == {
        n: p.read_bytes() for n, p in again.items()
    }
    changed = {name for name, path in again.items() if identify(path) != before[name]}
    assert changed == {lost, damaged}


def test_an_interrupted_prediction_is_no_data_set_and_continues(
    estimator, folder, tmp_path, monkeypatch
):
    whole = files_of(run(estimator, folder, tmp_path / "whole"))
    real, calls = partitions.to_parquet, []

    def stop(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(partitions, "to_parquet", stop)
    with pytest.raises(KeyboardInterrupt):
        run(estimator, folder, tmp_path / "out")
    with pytest.raises(PredictionError, match="cannot be read"):
        read_partitions(tmp_path / "out")
    out = files_of(run(estimator, folder, tmp_path / "out"))
    assert len(calls) == 4
    assert {n: p.read_bytes() for n, p in out.items()} == {
        n: p.read_bytes() for n, p in whole.items()
    }


def test_what_is_refused(estimator, folder, tmp_path):
    out = run(estimator, folder, tmp_path / "out")
    with pytest.raises(PredictionError, match="of another prediction"):
        run(estimator, folder, out, provenance={"SURVEY": "other"})
    with pytest.raises(PredictionError, match="among the partitions"):
        run(estimator, folder, folder / "out")
    bad = sorted(folder.rglob("dataset/**/Npix=2.parquet"))[0]
    content = bad.read_bytes()
    bad.write_bytes(content[:-20])
    with pytest.raises(CatalogError, match=r"Npix=2.parquet' cannot be read"):
        run(estimator, folder, tmp_path / "new")
    bad.write_bytes(content)
    pq.write_table(pq.read_table(bad).drop_columns(["b"]), bad)
    with pytest.raises(CatalogError, match="no column 'b'"):
        run(estimator, folder, tmp_path / "new")
    # What was done is kept.
    assert len(list((tmp_path / "new").rglob("*.parquet"))) == 1
    pq.write_table(pa.table({"x": [1]}), read_partitions(out).files[0])
    with pytest.raises(PredictionError, match="is not a table of predictions"):
        run(estimator, folder, out)
    (out / MANIFEST).write_text('{"rows": 1, "files": ["../p.parquet"]}')
    with pytest.raises(PredictionError, match="outside of its folder"):
        read_partitions(out)


@pytest.mark.parametrize("text", [False, True])
def test_identifiers_that_repeat_anywhere_are_found(tmp_path, monkeypatch, text):
    """Against numpy, for any number of files and of buckets."""
    monkeypatch.setattr(uniqueness, "ROWS", 50)
    monkeypatch.setattr(uniqueness, "BATCH", 64)
    rng = np.random.default_rng(0)
    ids = rng.choice(2**62, 1000, replace=False) * rng.choice([-1, 1], 1000)
    named = np.array([f"J{i}" for i in ids.tolist()]) if text else ids
    files = [tmp_path / f"{i}.parquet" for i in range(4)]

    def write(values):
        for file, part in zip(files, np.array_split(values, 4), strict=True):
            pq.write_table(pa.table({"id": part}), file)

    write(named)
    assert validate_unique(files, "id", tmp_path) == 1000
    for one, other in ((0, 999), (400, 401), (250, 750)):
        changed = named.copy()
        changed[one] = changed[other]
        write(changed)
        with pytest.raises(CatalogError, match="occur more than once") as caught:
            validate_unique(files, "id", tmp_path)
        assert text or str(ids[other]) in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == [file.name for file in files]
