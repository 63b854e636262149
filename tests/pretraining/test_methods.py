"""Losses of methods without labels: closed forms, an independent computation, invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.pretraining.fitting import bind_loss
from astrocnn.pretraining.methods import simclr, vicreg

LISTED = plugins.names("pretraining")
RNG = np.random.default_rng(4)
FIRST = RNG.normal(size=(7, 5)).astype("float32")
SECOND = (FIRST + 0.5 * RNG.normal(size=(7, 5))).astype("float32")


def nt_xent(first: np.ndarray, second: np.ndarray, temperature: float) -> np.ndarray:
    """Equation 1 of Chen et al. 2020, view by view."""
    z = np.stack([first, second], axis=1).reshape(-1, first.shape[1]).astype(float)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    losses = []
    for i in range(len(z)):
        partner = i + 1 if i % 2 == 0 else i - 1
        others = [math.exp(z[i] @ z[k] / temperature) for k in range(len(z)) if k != i]
        losses.append(-math.log(math.exp(z[i] @ z[partner] / temperature) / sum(others)))
    return np.reshape(losses, (-1, 2)).mean(axis=1)


def vicreg_terms(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Algorithm 1 of Bardes et al. 2022, with numpy's variance and covariance."""
    d = first.shape[1]
    invariance = ((first - second) ** 2).mean()
    variance = covariance = 0.0
    for z in (first.astype(float), second.astype(float)):
        deviation = np.sqrt(z.var(axis=0, ddof=1) + 1e-4)
        variance += np.maximum(0, 1 - deviation).mean()
        matrix = np.cov(z.T)
        covariance += sum(matrix[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    return float(invariance), float(variance), float(covariance)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_nt_xent_is_that_of_the_paper(temperature):
    found = np.asarray(simclr.loss(FIRST, SECOND, temperature=temperature))
    np.testing.assert_allclose(found, nt_xent(FIRST, SECOND, temperature), rtol=2e-5, atol=5e-6)


def test_nt_xent_of_pairs_made_by_hand():
    """Views on orthogonal axes: similarity 1 with the partner, 0 with the 2 (n - 1) others."""
    n, temperature = 4, 0.5
    axes = np.eye(n, dtype="float32")
    expected = math.log(math.exp(1 / temperature) + 2 * (n - 1)) - 1 / temperature
    found = np.asarray(simclr.loss(axes, 3 * axes, temperature=temperature))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # All views alike: each of the 2 n - 1 others is as likely to be the partner.
    alike = np.ones((n, 3), "float32")
    np.testing.assert_allclose(simclr.loss(alike, alike), math.log(2 * n - 1), rtol=1e-5)


def test_nt_xent_does_not_depend_on_the_length_of_a_projection():
    scale = RNG.uniform(0.1, 10, (7, 1)).astype("float32")
    found = np.asarray(simclr.loss(scale * FIRST, SECOND))
    np.testing.assert_allclose(found, simclr.loss(FIRST, SECOND), rtol=1e-4)


@pytest.mark.parametrize("weights", [(25, 25, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_vicreg_is_that_of_the_paper(weights):
    names = ("invariance", "variance", "covariance")
    expected = np.dot(weights, vicreg_terms(FIRST, SECOND))
    found = vicreg.loss(FIRST, SECOND, **dict(zip(names, map(float, weights), strict=True)))
    np.testing.assert_allclose(np.mean(found), expected, rtol=1e-4)


def test_vicreg_of_constant_and_of_independent_units():
    constant = np.ones((6, 3), "float32")
    # Two hinges of 1 - sqrt(1e-4), and nothing else.
    np.testing.assert_allclose(vicreg.loss(constant, constant), 25 * 2 * 0.99, rtol=1e-5)
    # Columns of a Hadamard matrix without the constant one: variance 4/3, no covariance.
    whole = np.array([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]], "float32")
    np.testing.assert_allclose(vicreg.loss(whole, whole), 0, atol=1e-5)


@pytest.mark.parametrize("name", LISTED)
def test_a_listed_method_keeps_the_contract(name):
    loss, widths = bind_loss(name)
    assert len(widths) >= 2 and min(widths) > 1
    found = np.asarray(loss(FIRST, SECOND))
    assert found.shape == (7,) and np.isfinite(found).all()
    # Neither the order of the objects nor that of the views matters.
    order = RNG.permutation(7)
    np.testing.assert_allclose(loss(FIRST[order], SECOND[order]), found[order], rtol=2e-4)
    np.testing.assert_allclose(loss(SECOND, FIRST), found, rtol=2e-4)
    # Partners are better than strangers.
    strangers = np.asarray(loss(FIRST, np.roll(SECOND, 1, axis=0)))
    assert found.mean() < strangers.mean()


def test_options_are_checked():
    with pytest.raises(ConfigError, match=r"no option 'temprature'(.|\n)*did you mean"):
        bind_loss("simclr", {"temprature": 1.0})
    for name, options in (("simclr", {"temperature": 0.0}), ("vicreg", {"covariance": -1.0})):
        with pytest.raises(ConfigError, match=f"`{next(iter(options))}` must be"):
            bind_loss(name, options)
    with pytest.raises(ConfigError, match=r"no pretraining method 'simcrl'(.|\n)*did you mean"):
        bind_loss("simcrl")
