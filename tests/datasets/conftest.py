"""A small survey in memory with every kind of trouble, and its shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards, write_shards
from astrocnn.imaging import ArraySource, Inputs

N, SIZE, BANDS = 50, 12, ("g", "r", "i")
INPUTS = Inputs(BANDS, SIZE, pixel_scale=0.2, unit="nJy", scalars=("ebv",))


class Backwards(ArraySource):
    """Visits its rows in an order of its own, as tiles do."""

    def order(self) -> np.ndarray:
        return np.roll(np.arange(len(self), dtype=np.int64)[::-1], 7)


def make_images(n: int = N) -> np.ndarray:
    """Noise with negatives, holes, a missing band (row 3), no data at all (4), a duplicate (6)."""
    rng = np.random.default_rng(11)
    images = rng.normal(scale=[1.0, 3.0, 0.1], size=(n, SIZE, SIZE, 3)).astype(np.float32)
    images[2, :3, :4, 1] = np.nan
    images[3, :, :, 2] = np.nan
    images[4] = np.nan
    images[6] = images[5]
    return images


def make_catalog(n: int = N) -> Catalog:
    """Identifiers near both ends of int64, a masked label, a missing scalar (row 8)."""
    ids = np.arange(n, dtype=np.int64) + 2**62
    ids[::2] *= -1
    ebv = np.linspace(0, 0.5, n)
    ebv[8] = np.nan
    kind = np.where(np.arange(n) % 3 == 0, "spiral", "elliptical")
    table = Table(
        {
            "OBJECT_ID": ids,
            "RA": np.linspace(359.9, 360.1, n) % 360,
            "Dec": np.linspace(-1, 1, n),
            "kind": MaskedColumn(kind, mask=np.arange(n) == 9),
            "smooth-or-featured": np.arange(n) % 7,
            "EBV": ebv,
        }
    )
    return Catalog.from_table(table)


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return make_images()


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return make_catalog()


@pytest.fixture(scope="session")
def source(images: np.ndarray) -> Backwards:
    return Backwards(images, BANDS, pixel_scale=0.2, unit="nJy")


@pytest.fixture(scope="session")
def inputs() -> Inputs:
    return INPUTS


@pytest.fixture(scope="session")
def shards(tmp_path_factory, catalog: Catalog, source: Backwards) -> Shards:
    folder: Path = tmp_path_factory.mktemp("shards")
    return write_shards(folder, catalog, source, INPUTS, rows_per_shard=16)
