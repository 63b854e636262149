"""Images on a server whose answers take 50 ms, against the same files on this machine.

``python -m tests.benchmarks.bench_remote``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from astrocnn import block_cache, remote
from astrocnn.catalog import Catalog
from astrocnn.datasets import fit_normalization, write_shards
from astrocnn.estimators import KerasEstimator
from astrocnn.imaging import ArraySource, Survey, open_source
from astrocnn.prediction import predict
from astrocnn.targets import make
from tests.benchmarks._table import Row, seconds, show

SIDE, SIZE, N_TILES, PER_TILE = 512, 32, 200, 50
LATENCY = 0.05


def rows() -> list[Row]:
    """All rows of this module."""
    with tempfile.TemporaryDirectory() as name, _cache(Path(name, "cache")):
        folder = Path(name, "tiles")
        ra, dec = _write_tiles(folder)
        with _serve(folder) as root:
            return _measure(str(folder), root, ra, dec)


def _write_tiles(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Tiles side by side, and the positions of objects on them."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    pixels = rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    positions = []
    for k in range(N_TILES):
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval = [150.0 + 0.05 * (k % 20), 2.0 + 0.05 * (k // 20)]
        wcs.wcs.crpix, wcs.wcs.cdelt = [SIDE / 2, SIDE / 2], [-0.2 / 3600, 0.2 / 3600]
        fits.PrimaryHDU(pixels + k, wcs.to_header()).writeto(folder / f"tile-{k:03d}.fits")
        x, y = rng.uniform(SIZE, SIDE - SIZE, (2, PER_TILE))
        positions.append(wcs.all_pix2world(x, y, 0))
    ra, dec = np.concatenate(positions, axis=1)
    return ra, dec


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """A cache folder of its own."""
    old = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    try:
        yield
    finally:
        del os.environ["XDG_CACHE_HOME"]
        if old is not None:
            os.environ["XDG_CACHE_HOME"] = old


@contextmanager
def _serve(folder: Path) -> Iterator[str]:
    """A server in a process of its own; its address."""
    command = [sys.executable, "-m", "tests.file_server", str(folder), str(LATENCY)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def _forget() -> None:
    """As in a new process."""
    block_cache._files.clear()
    remote._statuses.clear()


def _measure(folder: str, root: str, ra: np.ndarray, dec: np.ndarray) -> list[Row]:
    names = [f"tile-{k:03d}.fits" for k in range(N_TILES)]
    times = {}

    def survey(where: str) -> Survey:
        return Survey.from_dict({"bands": ["r"], "image": [f"{where}/{n}" for n in names]})

    def cut(where: str) -> np.ndarray:
        _forget()
        start = time.perf_counter()
        source = open_source(survey(where), ra, dec, size=SIZE)
        times["open"] = time.perf_counter() - start
        images = source.read(source.order()).images
        times["all"] = time.perf_counter() - start
        return images

    here = cut(folder)
    there = cut(root)
    np.testing.assert_array_equal(here, there)
    cold = dict(times)
    local = seconds(lambda: cut(folder), 3, 0)
    warm = seconds(lambda: cut(root), 3, 0)
    lines = len(ra) * SIZE
    table = Table({"id": np.arange(len(ra)), "ra": ra, "dec": dec, "z": here[:, 16, 16, 0] % 1})
    catalog = Catalog.from_table(table)
    source = open_source(survey(folder), ra, dec, size=SIZE)
    estimator = _fit(catalog, here, Path(folder).parent, source.pixel_scale, source.unit)

    def run(where: str) -> None:
        _forget()
        with tempfile.TemporaryDirectory() as out:
            source = open_source(survey(where), ra, dec, size=SIZE)
            predict(estimator, catalog, source, Path(out, "p.fits"), draws=20)

    predicted = [seconds(lambda w=where: run(w), 3) for where in (folder, root)]
    what = f"{N_TILES} tiles at {1e3 * LATENCY:.0f} ms, {len(ra)} objects of {SIZE}x{SIZE}"
    return [
        Row(f"headers of {what}, first start [s]", "1 s", cold["open"], "<= 3"),
        Row(
            f"pixels of {what}, first start",
            "a request for each line, 64 at a time",
            lines * LATENCY / 64 / (cold["all"] - cold["open"]),
            ">= 5",
            f"{cold['all'] - cold['open']:.1f} s",
        ),
        Row(f"cutouts of {what}, from the cache", "the same files here", local / warm, "",
            f"{warm:.2f} s, open {times['open']:.2f}; here {local:.2f} s"),
        Row(f"predict, {what}, from the cache", "the same files here",
            predicted[0] / predicted[1], ">= 0.8",
            f"lenet, 20 draws: {predicted[1]:.2f} s; here {predicted[0]:.2f} s"),
    ]  # fmt: skip


def _fit(
    catalog: Catalog, images: np.ndarray, folder: Path, scale: float | None, unit: str | None
) -> KerasEstimator:
    some = catalog[:128]
    source = ArraySource(images[:128], ["r"], pixel_scale=scale, unit=unit)
    shards = write_shards(folder / "shards", some, source)
    inputs = shards.inputs.with_normalization(fit_normalization(shards, np.arange(128)))
    task = make("photoz", column="z", range=(0.0, 1.0), n_bins=30)
    estimator = KerasEstimator(task, inputs, "lenet", options={"head_dropout": 0.3})
    return estimator.fit(shards, np.arange(128), epochs=1)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    show(rows())
