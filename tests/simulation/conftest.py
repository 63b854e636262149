"""One small simulated survey, shared by the tests."""

from __future__ import annotations

import pytest

from astrocnn.simulation import Simulation, simulate

pytest.importorskip("galsim")

N_OBJECTS = 60


@pytest.fixture(scope="session")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """Two overlapping tiles of 400 pixels in two bands, with rms planes, around RA 0."""
    return simulate(
        tmp_path_factory.mktemp("sky"),
        n_objects=N_OBJECTS,
        bands=("g", "r"),
        seed=3,
        tile_size=400,
        overlap=80,
        center=(0.0, -30.0),
        invalid_rows=6,
        rms=True,
    )
