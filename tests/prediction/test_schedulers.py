"""Chunks computed by a Dask cluster: the bytes are those of one process, whatever is killed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.clusters import open_scheduler
from astrocnn.datasets import write_shards
from astrocnn.errors import ClusterError
from astrocnn.estimators import ClassicalEstimator, load_estimator
from astrocnn.imaging import Inputs, NoImages
from astrocnn.prediction import chunks, engine, predict
from astrocnn.targets import Binned, Target, Task

distributed = pytest.importorskip("distributed", reason="the extra 'survey' is not installed")

N, FITTED, ROWS = 2500, 200, 64
JOB = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_schedulers import chunks, load_estimator, make_catalog, open_scheduler, predict_all
if __name__ == "__main__":
    chunks._MAX_ROWS = int(sys.argv[4])
    with open_scheduler("local:1") as client:
        predict_all(load_estimator(sys.argv[2]), Path(sys.argv[3]), client)
"""


def make_catalog() -> Catalog:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(2, N))
    z = 0.5 + 0.2 * np.tanh(a)
    a[3] = np.nan
    table = Table({"id": 10**15 - np.arange(N), "a": a, "b": b, "z": z, "other": np.arange(N)})
    return Catalog.from_table(table, missing=())


def predict_all(estimator, out: Path, scheduler=None) -> Path | None:
    catalog = make_catalog()
    return predict(estimator, catalog, NoImages(N), out, draws=0, pdf="int16", scheduler=scheduler)


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    """Nearest neighbors of two columns: its workers need no TensorFlow."""
    folder = tmp_path_factory.mktemp("knn")
    inputs = Inputs((), 0, scalars=("a", "b"))
    shards = write_shards(folder / "shards", make_catalog()[:FITTED], NoImages(FITTED), inputs)
    task = Task("photoz", (Target("z", Binned(0.0, 1.0, 40), "z"),), "z.sigma_mad")
    fitted = ClassicalEstimator(task, inputs, "knn").fit(shards, np.arange(FITTED))
    fitted.save(folder / "model")
    return load_estimator(folder / "model")


@pytest.fixture(autouse=True)
def fixed(monkeypatch):
    monkeypatch.setattr(chunks, "_MAX_ROWS", ROWS)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture(scope="module")
def whole(estimator, tmp_path_factory) -> bytes:
    """The table of one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_MAX_ROWS", ROWS)
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        out = predict_all(estimator, tmp_path_factory.mktemp("whole") / "p.fits")
        return out.read_bytes()


@pytest.fixture(scope="module")
def client():
    with open_scheduler("local:2") as opened:
        yield opened


def wait_for(parts: Path, count: int, seconds: float = 240) -> dict[Path, int]:
    """Wait until some chunks are there; their inodes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = {path: path.stat().st_ino for path in parts.glob("part-*.fits")}
        if len(found) >= count:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not {count} chunks within {seconds} s")


@contextmanager
def keep_parts(monkeypatch):
    """Chunks are not removed, so that it shows which were written twice."""
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "remove", lambda plan, folder: None)
        yield


def test_a_killed_worker_changes_no_byte(estimator, whole, client, tmp_path, monkeypatch):
    out, parts = tmp_path / "p.fits", tmp_path / "p.fits.parts"
    victims = list(client.run(os.getpid).values())
    before: dict[Path, int] = {}

    def kill():
        before.update(wait_for(parts, 5))
        os.kill(victims[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with keep_parts(monkeypatch):
        predict_all(estimator, out, client)
    killer.join()
    assert out.read_bytes() == whole
    assert 5 <= len(before) < -(-N // ROWS)
    after = {path: path.stat().st_ino for path in before}
    # What was on the disk when the worker died was not computed again, nor by a second command.
    assert after == before
    out.unlink()
    counted = []
    run = engine.run_tasks

    def count(*args, **options):
        for done in run(*args, **options):
            counted.append(done)
            yield done

    monkeypatch.setattr(engine, "run_tasks", count)
    predict_all(estimator, out, client)
    assert out.read_bytes() == whole and sum(counted) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["p.fits"]


def test_what_a_killed_scheduler_left_is_kept(estimator, whole, tmp_path, monkeypatch):
    """Driver, scheduler and workers of a local cluster; then one process ends the work."""
    out, parts = tmp_path / "p.fits", tmp_path / "p.fits.parts"
    estimator.save(tmp_path / "model")
    arguments = (str(Path(__file__).parent), str(tmp_path / "model"), str(out), str(ROWS))
    (tmp_path / "job.py").write_text(JOB)
    command = [sys.executable, str(tmp_path / "job.py"), *arguments]
    job = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(parts, 3)
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    until = time.monotonic() + 60
    while (
        time.monotonic() < until and subprocess.run(["pgrep", "-s", str(job.pid)]).returncode == 0
    ):
        time.sleep(0.2)
    before = wait_for(parts, 3)
    with keep_parts(monkeypatch):
        predict_all(estimator, out)
    assert {path: path.stat().st_ino for path in before} == before
    assert out.read_bytes() == whole


def test_a_cluster_that_never_comes(estimator, client, tmp_path, monkeypatch):
    monkeypatch.setattr("astrocnn.scheduling.WAIT", 0.5)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty,
        open_scheduler(empty.scheduler_address) as none,
        pytest.raises(ClusterError, match="No worker of the cluster came"),
    ):
        predict_all(estimator, tmp_path / "p.fits", none)
    assert (tmp_path / "p.fits.parts").is_dir() and not (tmp_path / "p.fits").exists()


def test_no_scheduler_at_an_address(monkeypatch):
    monkeypatch.setattr("astrocnn.clusters.CONNECT", 0.5)
    with (
        pytest.raises(ClusterError, match="There is no Dask scheduler at this address"),
        open_scheduler("tcp://127.0.0.1:9"),
    ):
        pass


@pytest.fixture
def stored(estimator, tmp_path, monkeypatch):
    """The task that workers get."""
    kept = []
    monkeypatch.setattr(
        engine, "run_tasks", lambda scheduler, task, *a, **k: kept.append(task) or []
    )
    predict_all(estimator, tmp_path / "p.fits", ThreadPoolExecutor(1))
    return kept[0]


def test_a_task_is_small_and_computes_its_chunks(stored, tmp_path):
    assert len(pickle.dumps(stored)) < 1000
    assert stored([1, 38]) == ROWS + ROWS and stored([1, 39]) == N - 39 * ROWS
    names = sorted(path.name for path in (tmp_path / "p.fits.parts").glob("part-*"))
    assert names == ["part-000001.fits", "part-000038.fits", "part-000039.fits"]
    about = json.loads((stored.folder / "objects.json").read_text())
    assert about["columns"] == ["id", "a", "b"]  # what nothing reads is not stored


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("model.model", "f" * 64, "another model than the prediction"),
        ("model.precision", "bfloat16", "another model than the prediction"),
        ("session.fingerprint", "f" * 64, "belongs to another prediction"),
        ("session.rows_per_chunk", "x", "cannot be read"),
        ("objects.id", None, "cannot be read"),
    ],
)
def test_a_worker_refuses_what_does_not_fit(stored, name, value, sentence):
    file, _, key = name.partition(".")
    path = stored.folder / f"{file}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ClusterError, match=sentence):
        stored([0])


def test_a_worker_refuses_another_version_or_a_folder_it_does_not_see(stored, tmp_path):
    with pytest.raises(ClusterError, match="another version of astrocnn"):
        replace(stored, version="0.0.1")([0])
    with pytest.raises(ClusterError, match="does not see the folder"):
        replace(stored, folder=tmp_path / "elsewhere")([0])
    (stored.folder / "order.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ClusterError, match=r"order.npy' cannot be read"):
        stored([0])


def test_versions_of_tensorflow_are_compared(stored):
    path = stored.folder / "model.json"
    about = json.loads(path.read_text())
    about["versions"]["tensorflow"] = "1.0"
    path.write_text(json.dumps(about))
    assert "tensorflow" in sys.modules
    with pytest.raises(ClusterError, match="another version of tensorflow"):
        stored([0])
