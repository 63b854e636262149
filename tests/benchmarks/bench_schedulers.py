"""What a scheduler costs: a prediction against two processes by hand, and each chunk."""

from __future__ import annotations

import statistics
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.clusters import open_scheduler
from astrocnn.datasets import write_shards
from astrocnn.estimators import ClassicalEstimator
from astrocnn.imaging import Inputs, NoImages
from astrocnn.prediction import chunks, engine, predict
from astrocnn.scheduling import run_tasks
from astrocnn.targets import Binned, Target, Task
from tests.benchmarks._table import Row

ROWS, FITTED, CHUNK, REPEATS = 8_000, 300, 256, 5
EMPTY, PLANNED = 2_000, 1_000_000


def _make() -> tuple[ClassicalEstimator, Catalog]:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(2, ROWS))
    z = 0.5 + 0.2 * np.tanh(a)
    table = Table({"id": np.arange(ROWS), "a": a, "b": b, "z": z})
    catalog = Catalog.from_table(table, missing=())
    inputs = Inputs((), 0, scalars=("a", "b"))
    with tempfile.TemporaryDirectory() as folder:
        shards = write_shards(folder, catalog[:FITTED], NoImages(FITTED), inputs)
        task = Task("photoz", (Target("z", Binned(0.0, 1.0, 200), "z"),), "z.sigma_mad")
        return ClassicalEstimator(task, inputs, "knn").fit(shards, np.arange(FITTED)), catalog


class _Halves:
    """Two processes with every other chunk: what a user would do by hand."""

    def __init__(self) -> None:
        self.pool = ProcessPoolExecutor(2, get_context("spawn"))

    def run(self, scheduler: Any, task: Any, numbers: Any, *_: Any, **__: Any) -> list[int]:
        halves = [self.pool.submit(task, numbers[first::2]) for first in (0, 1)]
        return [half.result() for half in halves]


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Any:
    old = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, old)


class _Immediate:
    """An executor without workers: only the planning costs."""

    _max_workers = 64

    def submit(self, function: Any, part: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(0)
        return future


def rows() -> list[Row]:
    """Time of a prediction, of an empty chunk, and of planning."""
    with _replaced(chunks, "_MAX_ROWS", CHUNK), open_scheduler("local:2") as client:
        assert client is not None
        compared = _compare(client)
        list(run_tasks(client, len, range(64), ""))
        started = time.perf_counter()
        list(run_tasks(client, len, range(EMPTY), ""))
        each = 1e3 * (time.perf_counter() - started) / EMPTY
        started = time.perf_counter()
        list(run_tasks(client, len, range(EMPTY // 8), "", bundle=1))
        alone = 8e3 * (time.perf_counter() - started) / EMPTY
    started = time.perf_counter()
    for _ in run_tasks(_Immediate(), len, range(PLANNED), ""):  # type: ignore[arg-type]
        pass
    planning = time.perf_counter() - started
    note = f"in tasks of at most 16 chunks; {alone:.2f} ms for tasks of one"
    return [
        compared,
        Row("Dask: cost of a chunk [ms]", "nothing to compute", each, "<= 5", note),
        Row("planning of 10^6 chunks [s]", "no workers", planning, "<= 60"),
    ]


def _compare(client: Any) -> Row:
    estimator, catalog = _make()
    hand, by_hand, by_dask = _Halves(), [], []
    with hand.pool, tempfile.TemporaryDirectory() as folder:
        for repeat in range(REPEATS + 1):
            for times, run in ((by_hand, hand.run), (by_dask, run_tasks)):
                out = Path(folder, f"{repeat}-{len(times)}-{run.__name__}.fits")
                started = time.perf_counter()
                with _replaced(engine, "run_tasks", run):
                    predict(estimator, catalog, NoImages(ROWS), out, scheduler=client)
                times.append(time.perf_counter() - started)
                out.unlink()
    # The first ones load packages.
    ratios = [dask / two for two, dask in zip(by_hand[1:], by_dask[1:], strict=True)]
    note = f"{statistics.median(by_dask[1:]):.2f} s, {ROWS} rows in {-(-ROWS // CHUNK)} chunks"
    return Row(
        "predict by Dask, local:2",
        "two processes by hand",
        statistics.median(ratios),
        "<= 1.05",
        note,
    )
