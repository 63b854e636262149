"""Predictions whose truth is known: drawn from distributions that differ from those claimed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from astrocnn.targets import Categorical, Target, Task
from astrocnn.targets.families.binned import Binned
from astrocnn.targets.families.gaussian import Gaussian

CLASSES = ("elliptical", "spiral", "edge-on")
KIND = Target("kind", Categorical(CLASSES), "kind")
Z = Target("z", Gaussian(0.0, 1.0, n_bins=200, relative_errors=True), "z")
Z_BINNED = Target("z", Binned(0.0, 1.0, n_bins=200), "z")
TASK = Task("both", (KIND, Z), "kind.accuracy")


def classes(n: int, factor: float, *, draws: int = 1, spread: float = 0.0, seed: int = 0):
    """Samples of probabilities whose logits are `factor` times the true ones, and labels."""
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.normal(size=(n, len(CLASSES)))
    p = softmax(logits, axis=1)
    label = (rng.random(n)[:, None] > np.cumsum(p, axis=1)).sum(axis=1).clip(0, 2)
    claimed = factor * log_softmax(logits, axis=1)
    samples = softmax(claimed + spread * rng.normal(size=(draws, *logits.shape)), axis=-1)
    return samples.astype(np.float32), np.eye(3, dtype=np.float32)[label]


def gaussians(n: int, factor: float, *, shift: float = 0.0, draws: int = 1, seed: int = 0):
    """Claimed mean and std of Gaussians, the true std being `factor` times as large."""
    rng = np.random.default_rng(seed)
    std = rng.uniform(0.02, 0.04, n)
    mean = rng.uniform(0.3, 0.7, n)
    z = rng.normal(mean + shift * std, factor * std)
    jitter = 0.25 * std * rng.normal(size=(draws, n)) if draws > 1 else np.zeros((1, n))
    samples = np.stack([mean + jitter, np.broadcast_to(std, jitter.shape)], axis=-1)
    return samples.astype(np.float32), z.astype(np.float32)[:, None]


def batch(**parts):
    """What an extra sees, with an estimator of both targets."""
    estimator = SimpleNamespace(task=parts.pop("task", TASK), **parts.pop("estimator", {}))
    return SimpleNamespace(estimator=estimator, **parts)


@pytest.fixture
def ones():
    return lambda y: np.ones(len(y), np.float32)
