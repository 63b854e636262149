"""A small task with known answers: three classes, a yes/no question, missing labels, a lost row."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from astrocnn.targets import make

CLASSES = ("elliptical", "spiral", "edge_on")


@pytest.fixture(scope="package")
def case():
    rng = np.random.default_rng(0)
    n, draws = 160, 8
    task = make("morphology", classes=CLASSES, column="kind", questions={"bar": "bar"})
    truth = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    kind = np.array(CLASSES, dtype=object)[truth]
    kind[:4] = None
    bar = rng.integers(0, 2, n).astype(float)
    asked = bar.copy()
    asked[::9] = np.nan
    encoded, weights = task.encode({"kind": kind, "bar": asked})
    raw = 2 * np.eye(3)[truth] + rng.normal(0, 1, (n, 3)) + rng.normal(0, 0.5, (draws, n, 3))
    p = np.exp(raw) / np.exp(raw).sum(axis=-1, keepdims=True)
    p[:, 10] = np.nan
    q = 1 / (1 + np.exp(-(2 * bar - 1 + rng.normal(0, 1, n) + rng.normal(0, 0.3, (draws, n)))))
    samples = {"morphology": p.astype(np.float32), "bar": q[..., None].astype(np.float32)}
    images = rng.normal(10, 1, (n, 16, 16, 3)).astype(np.float32)
    images[:, 6:10, 6:10] += 50 * (1 + truth[:, None, None, None])
    images[5, :3] = np.nan
    return SimpleNamespace(
        task=task, truth=truth, encoded=encoded, weights=weights, samples=samples, images=images
    )
