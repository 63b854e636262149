"""Objects in memory, and pages of them in a browser."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.imaging import ArraySource
from astrocnn.labeling import build_page, build_questions
from astrocnn.targets import make

from .browser import Browser, missing_programs

BANDS = ("g", "r", "i", "z")
FIRST = -(2**62) - 1
"""An identifier that no double can hold."""


def make_objects(n=30, size=16):
    """Objects with a bright pixel at their own place; the third has no image."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (n, size, size, len(BANDS))).astype(np.float32)
    images[np.arange(n), np.arange(n) % size, 2] = 500
    images[2] = np.nan
    names = [f'a "quoted", name {i}' for i in range(n)]
    table = Table({"objid": np.arange(n) + FIRST, "ra": np.arange(n) / 3, "dec": np.zeros(n)})
    table["name"], table["mag"] = names, np.float32(np.arange(n) / 7)
    table["spectrum"] = np.zeros((n, 5))
    return Catalog.from_table(table), ArraySource(images, bands=BANDS, pixel_scale=0.2)


def classes():
    return build_questions(
        make("morphology", classes=("spiral", "elliptical", "edge_on"), column="kind")
    )


def tree():
    """A class, a question that depends on it, and votes that depend on that."""
    return build_questions(
        make(
            "morphology",
            classes=("smooth", "featured"),
            column="shape",
            questions={
                "bar": {"column": "has_bar", "depends_on": "arms.yes"},
                "arms": {
                    "answers": {"yes": "arms_yes", "no": "arms_no"},
                    "total": "arms_all",
                    "depends_on": "morphology.featured",
                },
            },
        )
    )


@pytest.fixture(scope="session")
def content():
    catalog, source = make_objects()
    return build_page(catalog, source, classes(), title="A <survey> & more")


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if reason := missing_programs():
        pytest.skip(reason)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    window = Browser(tmp_path_factory.mktemp("browser"), port)
    yield window
    window.close()
