from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from astrocnn import metrics
from astrocnn.calibration import Temperature
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.targets import Bernoulli

from .conftest import CLASSES, KIND, classes

FAMILY = KIND.family


def _ece(samples, y):
    p = np.asarray(samples, float).mean(axis=0)
    return float(metrics.ece(p.max(axis=1), p.argmax(axis=1) == y.argmax(axis=1)))


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_the_factor_of_the_logits_is_recovered(factor, ones):
    samples, y = classes(4000, factor)
    found = Temperature.fit(FAMILY, y, ones(y), samples)
    assert found.temperature == pytest.approx(factor, rel=0.06)
    fresh, labels = classes(20000, factor, seed=1)
    assert _ece(fresh, labels) > 0.05
    assert _ece(found.apply(FAMILY, fresh), labels) < 0.02


def test_with_many_draws_the_mean_is_calibrated(ones):
    samples, y = classes(4000, 2.0, draws=8, spread=1.5)
    found = Temperature.fit(FAMILY, y, ones(y), samples)
    fresh, labels = classes(10000, 2.0, draws=8, spread=1.5, seed=1)
    best = metrics.log_loss(found.apply(FAMILY, fresh).mean(axis=0), labels)
    for other in (0.8, 1.25):
        p = Temperature(other * found.temperature).apply(FAMILY, fresh).mean(axis=0)
        assert metrics.log_loss(p, labels) > best
    assert _ece(found.apply(FAMILY, fresh), labels) < _ece(fresh, labels)
    each = Temperature.fit(FAMILY, y, ones(y), samples[:1])
    assert found.temperature < each.temperature - 0.2, "the mean over draws is less sure already"


def test_logits_are_divided_in_every_draw():
    logits = np.random.default_rng(0).normal(0, 3, (5, 40, 3))
    out = Temperature(1.7).apply(FAMILY, softmax(logits, axis=-1).astype(np.float32))
    np.testing.assert_allclose(out, softmax(logits / 1.7, axis=-1), atol=1e-6)
    yes = expit(logits[..., :1]).astype(np.float32)
    np.testing.assert_allclose(
        Temperature(1.7).apply(Bernoulli(), yes), expit(logits[..., :1] / 1.7), atol=1e-5
    )


def test_temperature_one_is_the_identity_bit_for_bit():
    samples, _ = classes(50, 1.0, draws=3)
    assert np.array_equal(Temperature(1.0).apply(FAMILY, samples), samples)


def test_a_question_with_fractions(ones):
    rng = np.random.default_rng(3)
    logit = rng.normal(0, 2, 3000)
    fraction = (rng.random((3000, 20)) < expit(logit)[:, None]).mean(axis=1)
    y = fraction[:, None].astype(np.float32)
    samples = expit(3 * logit).astype(np.float32)[None, :, None]
    found = Temperature.fit(Bernoulli(), y, ones(y), samples)
    assert found.temperature == pytest.approx(3.0, rel=0.05)


def test_certainty_rounded_to_one_can_be_taken_back():
    out = Temperature(5.0).apply(Bernoulli(), np.array([[[1.0]], [[0.0]]], np.float32))
    assert 0.9 < out[0, 0, 0] < 0.99
    assert 0.01 < out[1, 0, 0] < 0.1
    sure = np.array([[[1.0, 0.0, 0.0]]], np.float32)
    np.testing.assert_allclose(Temperature(5.0).apply(FAMILY, sure).sum(), 1, atol=1e-6)


def test_the_temperature_is_finite_without_errors(ones):
    y = np.eye(3, dtype=np.float32)[np.arange(60) % 3]
    samples = (0.98 * y + 0.02 / 3)[None]
    assert 0.2 < Temperature.fit(FAMILY, y, ones(y), samples).temperature < 1


def test_rows_without_label_or_prediction_do_not_count(ones):
    samples, y = classes(300, 2.0)
    found = Temperature.fit(FAMILY, y, ones(y), samples)
    more = np.concatenate([samples, np.full((1, 5, 3), np.nan), samples[:, :5]], axis=1)
    labels = np.concatenate([y, y[:5], np.zeros((5, 3))])
    weight = np.r_[np.ones(305), np.zeros(5)]
    assert Temperature.fit(FAMILY, labels, weight, more) == found
    assert np.isnan(found.apply(FAMILY, more)[:, 300:305]).all()


def test_too_few_objects_and_invalid_parameters_are_refused(ones):
    samples, y = classes(49, 2.0)
    with pytest.raises(PredictionError, match=r"(?s)too few.*49 objects.*50 or more"):
        Temperature.fit(FAMILY, y, ones(y), samples)
    with pytest.raises(PredictionError, match=f"(?s)do not belong.*{len(CLASSES)}"):
        Temperature.fit(FAMILY, y, ones(y), samples[..., :2])
    with pytest.raises(ConfigError, match="positive"):
        Temperature(0.0)
