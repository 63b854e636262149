"""The loss of a family inside Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from astrocnn.models import FamilyLoss
from astrocnn.targets.families.bernoulli import Bernoulli
from astrocnn.targets.families.categorical import Categorical


def test_objects_without_a_label_do_not_dilute_the_loss():
    family = Categorical(("a", "b", "c"))
    raw = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    encoded, weight = family.encode(["a", "b", "", "", "c", ""])
    got = float(FamilyLoss(family)(encoded, raw, sample_weight=weight))
    logp = raw - np.log(np.exp(raw).sum(1, keepdims=True))
    expected = -np.mean([logp[0, 0], logp[1, 1], logp[4, 2]])
    assert got == pytest.approx(expected, rel=1e-5)


def test_a_batch_without_any_label_has_no_loss():
    loss = FamilyLoss(Bernoulli())
    value = loss(np.zeros((4, 1), "float32"), np.ones((4, 1), "float32"), np.zeros(4, "float32"))
    assert float(value) == 0.0


def test_fit_reports_the_weighted_mean(two_targets):
    x = np.random.default_rng(3).normal(size=(8, 4)).astype("float32")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"merger": keras.layers.Dense(1, name="merger")(inputs)})
    model.compile("sgd", loss={"merger": FamilyLoss(Bernoulli())})
    y = (np.arange(8) % 2).astype("float32")[:, None]
    weight = np.array([1, 1, 0, 0, 0, 0, 0, 0], "float32")
    got = model.evaluate(x, {"merger": y}, sample_weight={"merger": weight}, verbose=0)
    logit = np.asarray(model(x)["merger"])[:2, 0].astype(float)
    expected = np.mean(np.log1p(np.exp(logit)) - logit * y[:2, 0])
    assert np.atleast_1d(got)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", [Bernoulli(), Categorical(("no", "yes", "may-be"))])
def test_a_compiled_model_is_saved_and_loaded_in_safe_mode(family, tmp_path):
    inputs = keras.Input((4,))
    outputs = {"t": keras.layers.Dense(family.units, name="t")(inputs)}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss={"t": FamilyLoss(family)})
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert again.loss["t"].family == family
