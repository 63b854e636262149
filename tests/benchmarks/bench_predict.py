"""Peak memory of a prediction against the number of rows, and the cost of summaries."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from astrocnn.targets import Binned
from tests.benchmarks._table import Row

SMALL, LARGE, DENSITIES = 10_000, 1_000_000, 100_000

# Simulated small stamps are made when they are read, so that only the engine's memory is seen.
_JOB = """
import json, sys, tempfile, time
from pathlib import Path
import numpy as np
from astropy.table import Table
from astrocnn.catalog import Catalog
from astrocnn.imaging import Cutouts, Inputs
from astrocnn.prediction import predict
from astrocnn.targets import make

n, size, bands = int(sys.argv[1]), 16, ("g", "r")

class Made:
    unit = pixel_scale = None
    fingerprint = "made"
    def __init__(self): self.bands, self.size = bands, size
    def __len__(self): return n
    def order(self): return np.arange(n)
    def read(self, rows):
        rng = np.random.default_rng(int(rows[0]))
        images = rng.normal(size=(len(rows), size, size, 2)).astype(np.float32)
        return Cutouts(images, np.zeros(len(rows), np.int32), np.zeros((len(rows), 2), np.float32))

class Mean:
    precision, fingerprint = "float32", "mean"
    task = make("morphology", classes=["a", "b", "c"], column="class")
    inputs = Inputs(bands=bands, size=size)
    def sample(self, images, scalars=None, *, draws=0, seed=0, views="one"):
        mean = images.mean(axis=(1, 2, 3))
        p = np.stack([mean, mean**2, np.ones_like(mean)], axis=-1) ** 2 + 0.1
        p = p / p.sum(axis=-1, keepdims=True)
        return {"morphology": np.repeat(p[None], max(draws, 1), axis=0).astype(np.float32)}

class Peak(Mean):
    task = make("photoz", column="z", range=(0.0, 0.4))
    def sample(self, images, scalars=None, *, draws=0, seed=0, views="one"):
        edges = self.task.targets[0].family.edges
        place = 0.2 + 0.05 * images.mean(axis=(1, 2, 3))[:, None]
        peak = np.exp(-0.5 * ((edges[1:] - place) / 0.02) ** 2)
        peak /= peak.sum(axis=1, keepdims=True)
        return {"z": np.repeat(peak[None], draws, axis=0).astype(np.float32)}

pdf = sys.argv[2]
estimator, draws = (Mean(), 20) if pdf == "none" else (Peak(), 10)
import tensorflow, keras  # as any real prediction holds them
columns = {"id": np.arange(n), "ra": np.linspace(0, 359, n), "dec": np.linspace(-80, 80, n)}
table = Table(columns, copy=False)
del columns
start = time.perf_counter()
with tempfile.TemporaryDirectory() as folder:
    out = Path(folder) / "p.fits"
    predict(estimator, Catalog.from_table(table), Made(), out, draws=draws, pdf=pdf)
# Not getrusage: its peak is that of the process that started this one, if it was larger.
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({"peak": peak, "seconds": time.perf_counter() - start}))
"""


def _run(n: int, pdf: str) -> dict[str, float]:
    command = [sys.executable, "-c", _JOB, str(n), pdf]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def rows() -> list[Row]:
    """Peak resident memory of a prediction of many rows over that of ten thousand."""
    return [
        _row("predict, 10^6 rows", LARGE, "none", "20 draws of a trivial model"),
        _row("predict with densities, 10^5 rows", DENSITIES, "int16", "10 draws of 180 bins"),
        _summaries(),
    ]


def _summaries(n: int = 20_480, bins: int = 200) -> Row:
    family = Binned(0.0, 1.0, bins)
    rng = np.random.default_rng(0)
    center, width = rng.uniform(0.1, 0.9, (n, 1)), rng.uniform(0.01, 0.1, (n, 1))
    p = np.exp(-0.5 * ((0.5 * (family.edges[1:] + family.edges[:-1]) - center) / width) ** 2)
    draw = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)[None]
    ours, floor = 0.0, 0.0
    # Time of the processor, since each is one thread of numpy.
    for _ in range(5):
        pair = _spent(lambda: family.summarize(draw)), _spent(lambda: np.cumsum(draw, axis=-1))
        if not ours or pair[0] < ours:
            ours, floor = pair
    note = f"{1e6 * ours / n:.1f} microseconds a row"
    return Row(
        f"all summaries of a density of {bins} bins", "its sums (cumsum)", ours / floor, "", note
    )


def _spent(job: Callable[[], object]) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start


def _row(what: str, n: int, pdf: str, how: str) -> Row:
    small, large = _run(SMALL, pdf), _run(n, pdf)
    note = (
        f"{small['peak']:.0f} and {large['peak']:.0f} MiB; {n / large['seconds']:.0f} rows/s, {how}"
    )
    return Row(f"memory of {what}", "10^4 rows", large["peak"] / small["peak"], "<= 1.1", note)
