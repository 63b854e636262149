"""Scores on the SDSS main galaxy sample, where published methods give known numbers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from astrocnn.evaluation import evaluate_target, fit_prior
from astrocnn.targets import Binned, Target


@pytest.mark.real_data
def test_fifteen_neighbors_have_the_published_scores(real_data):
    """A sigma_MAD of 0.018 in five folds, by r and the four colors."""
    path = real_data / "photoz_catalogs" / "SDSS_MGS.train"
    names = path.read_text().partition("\n")[0].lstrip("# ").replace(",", " ").split()
    table = np.loadtxt(path)
    z = table[:, names.index("zs")]
    seen = table[:, [names.index(b) for b in ("r", "u-g", "g-r", "r-i", "i-z")]]
    family = Binned(0.0, 0.4)
    target = Target("z", family, "zs")
    fold = np.random.default_rng(0).permutation(len(z)) % 5
    samples = np.empty((1, len(z), family.units))
    for k in range(5):
        train, test = fold != k, fold == k
        nearest = NearestNeighbors(n_neighbors=15).fit(seen[train])
        places = nearest.kneighbors(seen[test], return_distance=False)
        samples[0, test] = family.from_values(z[train][places])
    labels = target.encode(z)
    found = {s.name: s for s in evaluate_target(target, *labels, samples).scores(n_resamples=200)}
    assert found["sigma_mad"].value == pytest.approx(0.018, abs=0.001)
    assert 0.01 < found["eta_005"].value < 0.03
    assert abs(found["bias"].value) < 0.002
    prior = evaluate_target(target, *labels, fit_prior(target, *labels).sample(len(z)))
    lazy = {s.name: s for s in prior.scores(n_resamples=0)}
    assert found["crps"].high < 0.6 * lazy["crps"].value
