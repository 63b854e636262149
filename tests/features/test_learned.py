"""Features that learn from images first: eigenimages and a vocabulary."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from astrocnn.errors import ConfigError
from astrocnn.features import compute, fit
from astrocnn.features.pixels import _vector

from .test_features import galaxies


def gratings(angle: float, n: int, seed: int, size: int = 32) -> np.ndarray:
    """Waves of a period of 6 pixels that run in one direction, of any phase and of some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    along = x * np.cos(angle) + y * np.sin(angle)
    phase = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    waves = np.sin(2 * np.pi * along / 6 + phase) + 0.02 * rng.normal(size=(n, size, size))
    return waves[..., None]


def test_components_are_principal():
    """Against another implementation, up to the sign of a direction."""
    training, others = galaxies(60, bands=2)[:50], galaxies(60, bands=2)[50:]
    fitted = fit("pixels", training)
    state = fitted["pixels"]
    flat = [np.stack([_vector(i.astype(float), state["softening"]) for i in part])
            for part in (training, others)]  # fmt: skip
    oracle = PCA(32, svd_solver="full").fit(flat[0])
    found, names = compute("pixels", others, fitted=fitted)
    expected = oracle.transform(flat[1])
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=2e-3)
    np.testing.assert_allclose(state["share"], oracle.explained_variance_ratio_, atol=1e-5)
    assert names[:2] == ("component_0", "component_1")


def test_few_images_have_few_directions():
    fitted = fit("pixels", galaxies(4))
    values, _ = compute("pixels", galaxies(9), fitted=fitted)
    assert (values[:, 3:] == 0).all() and (np.ptp(values[:, :3], axis=0) > 0).all()
    assert fitted["pixels"]["share"].sum() == pytest.approx(1)
    alike = fit("pixels", np.repeat(galaxies(1), 3, axis=0))
    assert (compute("pixels", galaxies(2), fitted=alike)[0] == 0).all()


def test_bands_keep_their_ratio():
    """A galaxy that is twice as bright in one band moves along one direction, not none."""
    base = galaxies(30, bands=2)
    redder = base * np.array([1.0, 2.0], np.float32)
    fitted = fit("pixels", base)
    apart = [compute("pixels", images, fitted=fitted)[0] for images in (base, redder)]
    assert np.abs(apart[1] - apart[0]).max() > 1


def test_words_distinguish_directions():
    """An image of two halves has the words of both, in equal parts."""
    across, along = gratings(0.0, 12, 0), gratings(np.pi / 2, 12, 1)
    fitted = fit("descriptors", np.concatenate([across[:8], along[:8]]))
    values, names = compute("descriptors", np.concatenate([across[8:], along[8:]]), fitted=fitted)
    assert len(names) == 64
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-6)
    first, second = values[:4].mean(axis=0), values[4:].mean(axis=0)
    assert np.minimum(first, second).sum() < 0.02
    halves = np.concatenate([across[8:, :, :16], along[8:, :, 16:]], axis=2)
    both = compute("descriptors", halves, fitted=fitted)[0].mean(axis=0)
    of_first = both[first > second].sum()
    assert of_first == pytest.approx(0.5, abs=0.15)


def test_word_frequencies_do_not_depend_on_place():
    images = galaxies(40, size=41, bands=1)
    fitted = fit("descriptors", images[:20])
    moved = np.roll(images, (4, -4), axis=(1, 2))
    before, after = (compute("descriptors", i[20:], fitted=fitted)[0] for i in (images, moved))
    other = np.abs(before - before[::-1]).sum(axis=1).mean()
    assert np.abs(after - before).sum(axis=1).mean() < 0.6 * other


def test_fitting_is_repeatable_and_depends_on_the_seed():
    images = galaxies(12)
    once, again, other = (
        fit("descriptors", images, seed=s)["descriptors"]["words"] for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).max() > 1e-3


def test_families_that_are_not_fitted_are_refused():
    with pytest.raises(ConfigError, match=r"(?s)'pixels' are not fitted.*features\.fit"):
        compute(["cas", "pixels"], galaxies(), fitted=fit("descriptors", galaxies()))
    with pytest.raises(ConfigError, match="no image has data"):
        fit(["hog", "pixels"], np.full((3, 16, 16, 1), np.nan))
    assert fit(["hog", "cas"], galaxies()) == {}
