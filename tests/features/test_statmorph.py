"""Concentration, asymmetry, smoothness, Gini and M20 against another implementation.

statmorph (Rodriguez-Gomez et al. 2019, MNRAS 483, 4140) measures the same with other conventions:

* Gini and M20 on the pixels inside an elliptical Petrosian radius, here inside a circular one.
* Asymmetry about a center between the pixels, for which the turned image is interpolated and so
  smoothed, minus the asymmetry of a box of sky, which is not smoothed: noise makes it too small.
  Here the center is on half pixels, nothing is interpolated, and the expectation is subtracted.
* Smoothness without the factor 10, with a filter of a quarter of the Petrosian radius, and without
  the circle of that radius.  Here the filter has 0.3 radii, and it is the circle of that diameter
  that is left out, so that more of the steep center counts.  A filter with an even number of pixels
  moves the image by half a pixel, which outweighs the clumps: the oracle is told 0.3 as well, which
  makes 3 pixels of the radii here.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label
from scipy.special import gammaincinv
from scipy.stats import spearmanr

from astrocnn.features import compute

statmorph = pytest.importorskip("statmorph")

SIZE, OVERSAMPLING, N = 67, 3, 10


def galaxy(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """An inclined Sersic profile with clumps, after a Gaussian seeing; and its noise."""
    index, ratio, radius = rng.uniform(0.8, 4), rng.uniform(0.4, 1), rng.uniform(5, 6.5)
    angle, (dx, dy) = rng.uniform(0, np.pi), rng.uniform(-1, 1, 2)
    fine = (np.arange(SIZE * OVERSAMPLING) + 0.5) / OVERSAMPLING - SIZE / 2
    y, x = fine[:, None] - dy, fine[None, :] - dx
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    r = np.hypot(along * np.sqrt(ratio), across / np.sqrt(ratio)) / radius
    light = np.exp(-gammaincinv(2 * index, 0.5) * r ** (1 / index))
    light /= light.sum()
    share = rng.uniform(0, 0.12)
    for _ in range(4):
        far, where = rng.uniform(3, 9), rng.uniform(0, 2 * np.pi)
        clump = np.exp(-((x - far * np.cos(where)) ** 2 + (y - far * np.sin(where)) ** 2) / 2)
        light += share * clump / clump.sum()
    pixels = light.reshape(SIZE, OVERSAMPLING, SIZE, OVERSAMPLING).sum(axis=(1, 3))
    signal_to_noise = 10 ** rng.uniform(1.2, 2.0)  # of a pixel inside the half-light radius
    noise = 0.5 * light.sum() / (np.pi * radius**2) / signal_to_noise
    return gaussian_filter(pixels, 1.0), noise


def measured_by_statmorph(image: np.ndarray, noise: float) -> tuple[float, ...]:
    above = gaussian_filter(image, 1.5) > 1.5 * noise / (2 * np.sqrt(np.pi) * 1.5)
    regions, _ = label(above)
    region = (regions == regions[SIZE // 2, SIZE // 2]).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit of a profile is not wanted, and stopped at once
        (o,) = statmorph.source_morphology(
            image,
            region,
            weightmap=np.full(image.shape, noise),
            petro_fraction_cas=0.3,
            sersic_fitting_args={"maxiter": 1},
        )
    assert o.flag == 0
    return o.concentration, o.asymmetry, 10 * o.smoothness, o.rpetro_circ, o.r50, o.gini, o.m20


@pytest.fixture(scope="module")
def both() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Ours, those of statmorph, and ours without noise, by name."""
    rng = np.random.default_rng(6)
    clean, noises = zip(*(galaxy(rng) for _ in range(N)), strict=True)
    noisy = [c + s * rng.normal(size=c.shape) for c, s in zip(clean, noises, strict=True)]
    families = ("cas", "gini_m20")
    ours, names = compute(families, np.stack(noisy)[..., None])
    exact, _ = compute(families, np.stack(clean)[..., None])
    theirs = [measured_by_statmorph(*pair) for pair in zip(noisy, noises, strict=True)]
    return tuple(dict(zip(names, np.transpose(v), strict=True)) for v in (ours, theirs, exact))


@pytest.mark.parametrize(
    ("name", "typical", "largest"),
    [("concentration", 0.05, 0.15), ("gini", 0.02, 0.07), ("m20", 0.05, 0.15)],
)
def test_indices_agree(both, name, typical, largest):
    difference = np.abs(both[0][name] - both[1][name])
    assert np.median(difference) < typical and difference.max() < largest
    if name != "gini":  # its range among these galaxies is not much larger than the tolerance
        assert spearmanr(both[0][name], both[1][name]).statistic > 0.9


@pytest.mark.parametrize("name", ["petrosian_radius", "half_light_radius"])
def test_radii_agree(both, name):
    np.testing.assert_allclose(both[0][name], both[1][name], rtol=0.2)
    assert np.median(np.abs(both[0][name] / both[1][name] - 1)) < 0.05


def test_asymmetries_agree_and_noise_takes_less_away(both):
    ours, theirs, exact = (part["asymmetry"] for part in both)
    assert spearmanr(ours, theirs).statistic > 0.8
    assert ((ours > theirs - 0.01) & (ours < theirs + 0.15)).all()
    assert np.mean(np.abs(ours - exact)) < np.mean(np.abs(theirs - exact))


def test_smoothness_ranks_alike(both):
    ours, theirs, exact = (part["smoothness"] for part in both)
    three = (0.3 * both[1]["petrosian_radius"]).astype(int) == 3
    assert three.sum() > N / 2
    assert spearmanr(ours[three], theirs[three]).statistic > 0.6
    np.testing.assert_allclose(ours[three], theirs[three], atol=0.25)
    assert np.mean(np.abs(ours - exact)) < np.mean(np.abs(theirs - exact))
