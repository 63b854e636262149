"""Classes, votes and numbers of one task in one network, with labels missing here and there."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from astrocnn.models import FamilyLoss
from astrocnn.targets import make

N = 600


@pytest.fixture(scope="module")
def sky():
    """Two features decide everything: x the class and the votes, y the number."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-1, 1, (2, N)).astype(np.float32)
    featured = 1 / (1 + np.exp(-4 * x))
    asked = rng.integers(0, 2, N) * 40
    n_featured = rng.binomial(asked, featured)
    barred = rng.binomial(n_featured, 0.25)
    t_type = 2.5 + 5 * y + rng.normal(0, 0.5, N)
    columns = {
        "kind": np.where(rng.random(N) < 0.5, np.where(x > 0, "disk", "spheroid"), ""),
        "featured": n_featured,
        "smooth": asked - n_featured,
        "bar": barred,
        "no_bar": n_featured - barred,
        "ttype": np.where(rng.random(N) < 0.3, np.nan, np.clip(t_type, -5, 10)),
    }
    return np.stack([x, y], axis=1), columns


@pytest.fixture(scope="module")
def trained(sky):
    features, columns = sky
    task = make(
        "morphology",
        classes=["spheroid", "disk"],
        column="kind",
        questions={
            "shape": {"answers": {"smooth": "smooth", "featured": "featured"}},
            "bar": {"answers": {"yes": "bar", "no": "no_bar"}, "depends_on": "shape.featured"},
        },
        values={"t_type": {"column": "ttype", "range": [-5, 10]}},
    )
    encoded, weights = task.encode(columns)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(16, activation="tanh")(inputs)
    model = keras.Model(
        inputs, {t.name: keras.layers.Dense(t.family.units)(hidden) for t in task.targets}
    )
    model.compile(
        keras.optimizers.Adam(0.03), loss={t.name: FamilyLoss(t.family) for t in task.targets}
    )
    model.fit(features, encoded, sample_weight=weights, epochs=25, batch_size=60, verbose=0)
    raw = model.predict(features, verbose=0)
    samples = {t.name: np.array(t.family.activate(raw[t.name]))[None] for t in task.targets}
    return task, encoded, weights, samples


def test_every_target_has_labels_missing(trained):
    _, _, weights, _ = trained
    assert all(0 < weight.mean() < 0.9 for weight in weights.values())
    assert not np.array_equal(weights["shape"], weights["bar"])


def test_all_targets_are_learned_together(sky, trained):
    features, _ = sky
    task, _, _, samples = trained
    x, y = features.T
    out = task.summarize(samples)
    assert np.mean((out["morphology_class"] == "disk") == (x > 0)) > 0.97
    featured = 1 / (1 + np.exp(-4 * x))
    np.testing.assert_allclose(out["shape_featured_fraction"], featured, atol=0.12)
    inside = np.abs(y) < 0.9
    assert np.std((out["t_type_mean"] - 2.5 - 5 * y)[inside]) < 0.3
    assert np.median(out["t_type_std"][inside]) == pytest.approx(0.5, rel=0.25)
    # A quarter of those who see features see a bar; nobody was asked about the smooth ones.
    many = featured > 0.5
    np.testing.assert_allclose(np.median(out["bar_yes_fraction"][many]), 0.25, atol=0.05)
    np.testing.assert_allclose(out["bar_relevance"], out["shape_featured_fraction"], rtol=1e-5)


def test_few_votes_leave_wide_intervals(trained):
    task, encoded, _, samples = trained
    out = task.summarize(samples)
    for name in ("yes", "no"):
        low, high = out[f"bar_{name}_fraction_low"], out[f"bar_{name}_fraction_high"]
        assert np.all(low < out[f"bar_{name}_fraction"])
        assert np.all(out[f"bar_{name}_fraction"] < high)
    assert encoded["bar"].sum(axis=1).min() == 0
