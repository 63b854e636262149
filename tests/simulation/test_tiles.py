"""Tiles on the sky and positions on the tiles, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from astrocnn.simulation.objects import make_rng
from astrocnn.simulation.tiles import (
    GAP,
    Tile,
    layout_tiles,
    sample_position,
    sample_uncovered_position,
)

SCALE = 0.3
SIZE, OVERLAP = 200, 40


@pytest.fixture(scope="module")
def tiles() -> tuple[Tile, ...]:
    return layout_tiles(5, SIZE, OVERLAP, SCALE, (359.999, -30.0))


def gnomonic(ra: float, dec: float, ra0: float, dec0: float) -> tuple[float, float]:
    """Standard coordinates of a tangent projection, east and north [arcsec]."""
    a, d, d0 = np.radians([ra - ra0, dec, dec0])
    cosine = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a)
    xi = np.cos(d) * np.sin(a) / cosine
    eta = (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a)) / cosine
    return xi * 206264.806247, eta * 206264.806247


@pytest.mark.parametrize("scale", [0.3, 0.6])
def test_pixels_are_those_of_the_gnomonic_projection(scale):
    tile = Tile(0, 10.0, 45.0, 120.0)
    rng = np.random.default_rng(0)
    ra, dec = 10 + rng.uniform(-0.02, 0.02, 8), 45 + rng.uniform(-0.02, 0.02, 8)
    center = (tile.size(scale) - 1) / 2
    for pixel, position in zip(tile.pixels(ra, dec, scale), zip(ra, dec, strict=True), strict=True):
        xi, eta = gnomonic(*position, 10.0, 45.0)
        # East is to the left.
        np.testing.assert_allclose(pixel, (center - xi / scale, center + eta / scale), atol=1e-5)


def test_positions_on_the_far_side_of_the_sky_have_no_pixel():
    tile = Tile(0, 10.0, 45.0, 120.0)
    assert np.isnan(tile.pixels(np.array([190.0]), np.array([-45.0]), SCALE)).all()


def test_first_two_tiles_overlap_and_the_others_leave_gaps(tiles):
    centers = np.array([tiles[0].pixels(t.ra, t.dec, SCALE)[0] for t in tiles])
    offsets = centers - centers[0]
    # Columns run eastwards, that is to the left.
    np.testing.assert_allclose(offsets[1], (-(SIZE - OVERLAP), 0), atol=0.1)
    np.testing.assert_allclose(offsets[2], (-2 * (SIZE + GAP), 0), atol=0.2)
    np.testing.assert_allclose(offsets[3], (0, SIZE + GAP), atol=0.2)
    assert [tile.index for tile in tiles] == list(range(5))


def test_positions_are_uniform_over_the_covered_area(tiles):
    """Counts in the first two tiles without and with overlap are proportional to the area."""
    pair = tiles[:2]
    n = 1500
    radec = np.array([sample_position(3, index, pair, SCALE, 0) for index in range(n)])
    first, second = (t.pixels(radec[:, 0], radec[:, 1], SCALE) for t in pair)
    on_first, on_second = (np.all((p > -0.5) & (p < SIZE - 0.5), axis=1) for p in (first, second))
    assert (on_first | on_second).all()
    counts = [np.sum(on_first & ~on_second), np.sum(on_first & on_second)]
    counts.append(n - sum(counts))
    areas = np.array([SIZE - OVERLAP, OVERLAP, SIZE - OVERLAP]) / (2 * SIZE - OVERLAP)
    assert stats.chisquare(counts, n * areas).pvalue > 0.001
    assert stats.kstest(first[on_first, 1] / SIZE, "uniform").pvalue > 0.001


def test_one_object_in_fifty_lies_near_an_edge():
    tile = layout_tiles(1, SIZE, 0, SCALE, (10.0, 0.0))
    n, margin = 1500, 25
    radec = np.array([sample_position(1, index, tile, SCALE, margin) for index in range(n)])
    pixel = tile[0].pixels(radec[:, 0], radec[:, 1], SCALE)
    near = np.minimum(pixel, SIZE - 1 - pixel).min(axis=1) <= margin
    assert near.mean() == pytest.approx(0.02, abs=4 * np.sqrt(0.02 * 0.98 / n))


def test_positions_depend_on_seed_and_number_alone(tiles):
    assert sample_position(1, 7, tiles, SCALE, 5) == sample_position(1, 7, tiles, SCALE, 5)
    assert sample_position(1, 7, tiles, SCALE, 5) != sample_position(2, 7, tiles, SCALE, 5)
    assert sample_position(1, 7, tiles, SCALE, 5) != sample_position(1, 8, tiles, SCALE, 5)


@pytest.mark.parametrize("dec", [-89.0, 0.0, 88.5])
def test_uncovered_positions_lie_on_no_tile_and_on_the_sphere(dec):
    tiles = layout_tiles(4, SIZE, OVERLAP, SCALE, (120.0, dec))
    for number in range(20):
        ra, latitude = sample_uncovered_position(make_rng(0, "rows", number), tiles)
        assert -90 <= latitude <= 90
        for tile in tiles:
            (pixel,) = tile.pixels(ra, latitude, SCALE)
            assert not np.all((pixel > -0.5) & (pixel < SIZE - 0.5))
