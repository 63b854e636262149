"""Shards of a small sky: bright and faint sources, with some pixels and labels missing."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards, fit_normalization, write_shards
from astrocnn.estimators import Estimator
from astrocnn.imaging import ArraySource, Inputs
from astrocnn.targets import Task, make

SIZE, BANDS = 32, ("g", "r")


def images_and_classes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sources that are wide or narrow, in noise; some pixels and half a band are missing."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    wide = rng.random(n) < 0.5
    width = np.where(wide, 6.0, 2.0)[:, None, None]
    source = np.exp(-(x**2 + y**2) / (2 * width**2)) * rng.uniform(5, 10, n)[:, None, None]
    images = np.stack([source, 0.7 * source], axis=-1) + rng.normal(size=(n, SIZE, SIZE, 2))
    images[rng.random(images.shape) < 0.01] = np.nan
    images[0, : SIZE // 2, :, 1] = np.nan
    return images.astype(np.float32), wide


def measured(images: np.ndarray) -> np.ndarray:
    """Scalars of each image: its brightest pixel, and how many are bright; NaN without any."""
    flux = np.asarray(images, np.float32)[..., 0]
    peak = np.where(np.isfinite(flux), flux, -np.inf).max(axis=(1, 2), initial=-np.inf)
    area = (flux > 3).sum(axis=(1, 2))
    known = np.isfinite(peak)
    return np.where(known, [np.where(known, peak, 0), area], np.nan).T.astype(np.float32)


def predict(estimator: Estimator, images: np.ndarray, **options: object) -> dict[str, np.ndarray]:
    """Samples from images, or from what was measured in them when it takes scalars only."""
    scalars = None if estimator.inputs.bands else measured(images)
    return estimator.sample(images, scalars, **options)


@pytest.fixture(scope="session")
def task() -> Task:
    return make(
        "morphology",
        classes=("galaxy", "star"),
        column="kind",
        questions={"bright": "bright"},
    )


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> Shards:
    n = 120
    images, wide = images_and_classes(n)
    kind = np.where(wide, "galaxy", "star").astype("U6")
    kind[::7] = ""
    bright = np.nanmax(images[..., 0], axis=(1, 2)) > 9
    table = Table({"id": np.arange(n) - 5, "kind": kind, "bright": bright.astype(np.int16)})
    table["ebv"] = np.linspace(0, 0.1, n).astype(np.float32)
    table["peak"], table["area"] = measured(images).T
    return write_shards(
        tmp_path_factory.mktemp("shards") / "s",
        Catalog.from_table(table, id="id"),
        ArraySource(images, BANDS, pixel_scale=0.5, unit="nJy"),
        Inputs(BANDS, SIZE, pixel_scale=0.5, unit="nJy"),
        rows_per_shard=50,
    )


@pytest.fixture(scope="session")
def inputs(shards) -> Inputs:
    bare = Inputs(BANDS, SIZE, pixel_scale=0.5, unit="nJy", mask_channel=True)
    return bare.with_normalization(
        fit_normalization(shards, np.arange(100), "asinh", mask_channel=True)
    )
