"""Commands on several processes: the files are those of one process."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.clusters import open_scheduler

from .command import astrocnn


def test_cutouts_of_processes_are_those_of_one(home, tmp_path):
    said = astrocnn("cutouts", home / "run.toml", "--out", tmp_path / "run", "--workers", 2)
    assert "objects in" in said
    names = sorted(path.name for path in (home / "run/shards").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "run/shards").iterdir())
    for name in names:
        one, two = home / "run/shards" / name, tmp_path / "run/shards" / name
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_a_network_on_a_cluster_gives_the_bytes_of_one_process(home, tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="the extra 'survey' is not installed")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    one, two = tmp_path / "one.fits", tmp_path / "two.fits"
    # A running cluster for both commands: each worker of a new one imports TensorFlow.
    with open_scheduler("local:1") as client:
        cluster = ("--cluster", client.scheduler.address)
        astrocnn("predict", home / "run", "--out", one)
        astrocnn("predict", home / "run", "--out", two, *cluster)
        assert one.read_bytes() == two.read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one.fits", "two.fits"]
        scores = []
        for name, options in (("one", ()), ("two", cluster)):
            shutil.copytree(home / "run", tmp_path / name)
            astrocnn("evaluate", tmp_path / name, *options)
            scores.append((tmp_path / name / "scores.json").read_bytes())
            assert not (tmp_path / name / "evaluation/.session").exists()
        assert scores[0] == scores[1]


def test_a_folder_of_partitions(home, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    table = Table.read(home / "sky/catalog.fits")
    places = np.array_split(np.arange(len(table)), 3)
    for number, rows in enumerate(places):
        path = tmp_path / f"catalog/{number}.parquet"
        path.parent.mkdir(exist_ok=True)
        columns = {name: np.ma.getdata(table[name])[rows].tolist() for name in table.colnames}
        pq.write_table(pa.table(columns), path)
    catalog = ("--catalog", tmp_path / "catalog")
    said = astrocnn("predict", home / "run", *catalog, "--out", tmp_path / "out")
    assert f"{len(table)} rows in 3 partitions" in said
    astrocnn("predict", home / "run", *catalog, "--out", tmp_path / "p.fits")
    with fits.open(tmp_path / "p.fits") as hdus:
        whole = hdus["PREDICTIONS"].data
        found = pq.read_table(tmp_path / "out")
        assert found.num_rows == len(table)
        for name in ("morphology_p_spiral", "flags"):
            np.testing.assert_array_equal(found[name].to_numpy(), whole[name])
    kept = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    shutil.rmtree(tmp_path / "out")
    share = ("--out", tmp_path / "out", "--worker")
    said = astrocnn("predict", home / "run", *catalog, *share, "1/2")
    assert "the parts of worker 1/2 are done; others are missing" in said
    astrocnn("predict", home / "run", *catalog, *share, "2/2")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == kept
    said = astrocnn("predict", home / "run", "--out", tmp_path / "one")
    assert f"{len(table)} rows in 1 partition:" in said
    said = astrocnn(
        "predict",
        home / "run",
        "--out",
        tmp_path / "p.fits",
        "--worker",
        "1/2",
        "--workers",
        2,
        code=2,
    )
    assert "--worker i/n computes in this process only" in said
