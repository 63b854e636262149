"""Small networks: linear ones, for which all is known, and the architectures to be explained."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from astrocnn.explain import ExplainTarget
from astrocnn.targets import Bernoulli, Binned, Categorical

SIZE, BANDS = 9, 2
CLASSES = ("smooth", "spiral", "artifact")


def target(name, family):
    return SimpleNamespace(name=name, family=family)


SPIRAL = ExplainTarget(target("shape", Categorical(CLASSES)), "spiral")


def make_images(n, size=SIZE, bands=BANDS, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size, size, bands)).astype(np.float32)


NETWORKS = {
    "plain8": (16, 2, 1, ExplainTarget(target("z", Binned(0.0, 0.4, 12)))),
    "lenet": (
        32,
        1,
        0,
        ExplainTarget(target("shape", Categorical(CLASSES)), "spiral", "probability"),
    ),
    "euclid_quality": (24, 1, 0, ExplainTarget(target("usable", Bernoulli()))),
}
