"""The quality survey: stamps, signal-to-noise ratios and neighbors, against independent sums."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.simulation import get_preset, simulate_quality
from astrocnn.simulation.objects import render_objects, sample_object
from astrocnn.simulation.quality import FRACTIONS, PER_ROW

SIZE, N = 48, 20


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A survey without artefacts and neighbors."""
    folder = tmp_path_factory.mktemp("clean")
    return simulate_quality(folder, n_objects=N, size=SIZE, seed=7, fraction=0.0, neighbors=0.0)


def stamps(path, hdu: str) -> np.ndarray:
    mosaic = fits.getdata(path, hdu)
    return mosaic.reshape(PER_ROW, SIZE, PER_ROW, SIZE).swapaxes(1, 2).reshape(-1, SIZE, SIZE)


def test_survey_without_artefacts_has_empty_masks(clean):
    truth = Table.read(clean.catalog)
    assert (truth["usable"] == 1).all()
    assert not any(fits.getdata(path, "TRUTH").any() for path in clean.truth)
    images = stamps(clean.tiles[0], "IMAGE")
    # Cells of the grid without an object have no data.
    assert np.isfinite(images[:N]).all() and np.isnan(images[N:]).all()


def test_signal_to_noise_is_that_of_the_optimal_filter(clean):
    """Square root of the sum of flux^2 / variance over the noiseless object alone."""
    truth = Table.read(clean.catalog)
    preset = get_preset("euclid", ("VIS",), fractions=FRACTIONS)
    (band,) = preset.bands
    center = np.full((1, 2), (SIZE - 1) / 2)
    for row in range(6):
        item = sample_object(7, row, preset).rendered(preset)
        image = render_objects([item], center, SIZE, preset.bands)[0].astype(float)
        variance = band.sky_sigma**2 + np.maximum(image, 0) / band.gain
        expected = np.sqrt(np.sum(image**2 / variance))
        # Objects are shifted by up to half a pixel: the sum changes a little.
        assert truth["snr"][row] == pytest.approx(expected, rel=0.1)


def test_objects_lie_within_half_a_pixel_of_the_center(clean):
    truth = Table.read(clean.catalog)
    stars = np.flatnonzero((truth["morphology"] == "star") & (truth["mag_VIS"] < 23))
    assert len(stars)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    for image in stamps(clean.tiles[0], "IMAGE")[stars]:
        core = np.hypot(x, y) < 6
        total = image[core].sum(dtype=float)
        offset = [(axis[core] * image[core]).sum() / total for axis in (x, y)]
        assert np.abs(offset).max() < 0.75


def test_neighbors_keep_away_from_the_center(tmp_path):
    """Nothing but the object within a fifth of the side: the same light as without neighbors."""
    many = simulate_quality(tmp_path, n_objects=N, size=SIZE, seed=7, fraction=0.0, neighbors=6.0)
    crowded = stamps(many.tiles[0], "IMAGE")[:N]
    assert np.isfinite(crowded).all()
    table = Table.read(many.catalog)
    assert (np.array(table["snr"]) > 0).all()
    # The brightest pixels off the center belong to neighbors in most stamps.
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    outside = np.hypot(x, y) > 0.15 * SIZE
    band = get_preset("euclid", ("VIS",)).band("VIS")
    bright = crowded[:, outside] * band.unit > 6 * band.sky_sigma
    assert np.mean(bright.any(axis=1)) > 0.5


def test_mergers_do_not_occur():
    assert "merger" not in FRACTIONS and sum(FRACTIONS.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "arguments", [{"n_objects": 0}, {"size": 33}, {"size": 30}, {"neighbors": -1.0}]
)
def test_invalid_parameters_are_refused(tmp_path, arguments):
    with pytest.raises(ConfigError, match="Invalid simulation parameters"):
        simulate_quality(tmp_path, **{"n_objects": 2, "size": 32, **arguments})
    assert not list(tmp_path.iterdir())
