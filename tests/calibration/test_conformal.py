from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from astrocnn.calibration import ConformalIntervals, ConformalSets
from astrocnn.calibration.conformal import count_rows_needed
from astrocnn.errors import ConfigError, PredictionError

from .conftest import CLASSES, KIND, Z, batch, classes, gaussians


class _Numbers(dict):
    numbers = dict.__getitem__


def _coverages(n_calibration, level, by_class, *, trials=200):
    """Coverage on fresh objects of sets from many calibrations, for all and by class."""
    samples, y = classes(60000, 2.0)
    label, p = y.argmax(axis=1), samples[0]
    rng = np.random.default_rng(1)
    found = []
    for _ in range(trials):
        rows = rng.permutation(60000)[: n_calibration + 2000]
        fit, test = rows[:n_calibration], rows[n_calibration:]
        sets = ConformalSets.fit(
            KIND, y[fit], np.ones(len(fit)), samples[:, fit], levels=(level,), by_class=by_class
        )
        (inside,) = sets.members(p[test])
        hit = inside[np.arange(len(test)), label[test]]
        found.append([hit.mean(), *(hit[label[test] == k].mean() for k in range(3))])
    return np.mean(found, axis=0)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.97])
def test_sets_contain_the_true_class_at_their_level(level):
    covered = _coverages(400, level, by_class=False)[0]
    # Romano et al. (2020), theorem 1: between the level and 1 / (n + 1) more; and never empty.
    assert level - 0.004 <= covered <= level + 1 / 401 + 0.008


def test_sets_by_class_reach_their_level_in_each_class():
    assert _coverages(900, 0.9, by_class=True)[1:] == pytest.approx([0.9] * 3, abs=0.012)


def test_the_cutoff_is_the_finite_sample_quantile():
    # 19 scores 0.05, 0.10 ... 0.95: ceil(20 * 0.9) is the 18th.
    score = np.linspace(0.05, 0.95, 19)
    samples = np.stack([1 - score, score / 2, score / 2], axis=-1)[None]
    y = np.tile([1.0, 0, 0], (19, 1))
    sets = ConformalSets.fit(KIND, y, np.ones(19), samples, levels=(0.9,), by_class=False)
    assert sets.cutoffs[0] == pytest.approx([0.9] * 3)
    # The object that gave the cutoff is inside: no tie is broken by rounding.
    assert sets.members(samples[0])[0][:, 0].sum() == 18


def test_sets_as_columns():
    sets = ConformalSets("kind", "kind", CLASSES, (0.9,), ((0.5, 0.8, 0.95),))
    p = np.array([[[0.6, 0.3, 0.1], [0.2, 0.15, 0.65], [0.4, 0.35, 0.25], [np.nan] * 3]])
    out = sets.compute(batch(samples={"kind": p}))
    assert out["kind_set90"].tolist() == ["elliptical+spiral+edge-on", "edge-on",
                                          "elliptical+spiral+edge-on", ""]  # fmt: skip
    assert out["kind_set90_size"].tolist() == [3, 1, 3, 0]
    text, size = sets.columns()
    assert (text.name, text.dtype, size.name) == ("kind_set90", "U25", "kind_set90_size")
    none = sets.compute(batch(samples={"kind": p[:, :0]}))
    assert none["kind_set90"].shape == none["kind_set90_size"].shape == (0,)


def test_too_few_objects_for_a_level_are_refused():
    assert [count_rows_needed(level) for level in (0.5, 0.68, 0.9, 0.95, 0.99)] == [1, 3, 9, 19, 99]
    samples, y = classes(200, 1.0)
    few = np.flatnonzero(y[:, 2] == 0).tolist() + np.flatnonzero(y[:, 2])[:8].tolist()
    with pytest.raises(PredictionError, match=r"(?s)edge-on.*received: 8 .*allowed:  9 or more"):
        ConformalSets.fit(KIND, y[few], np.ones(len(few)), samples[:, few])
    with pytest.raises(PredictionError, match=r"(?s)18 objects.*19 or more"):
        samples, y = gaussians(18, 1.0)
        ConformalIntervals.fit(Z, y, np.ones(18), samples)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ConformalIntervals.fit(Z, y, np.ones(18), samples, levels=(95,))
    with pytest.raises(PredictionError, match="no classes"):
        ConformalSets.fit(Z, y, np.ones(18), samples)
    with pytest.raises(PredictionError, match="no density"):
        ConformalIntervals.fit(KIND, y, np.ones(18), samples)


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_intervals_contain_the_truth_at_their_level(factor):
    samples, y = gaussians(12000, factor)
    rng = np.random.default_rng(2)
    found = []
    for _ in range(30):
        rows = rng.permutation(12000)[:1500]
        fit, test = rows[:500], rows[500:]
        made = ConformalIntervals.fit(Z, y[fit], np.ones(500), samples[:, fit])
        low68, high68, low95, high95 = made.intervals(Z.family, samples[:, test])
        z = y[test, 0]
        found.append([((a <= z) & (z <= b)).mean() for a, b in ((low68, high68), (low95, high95))])
        assert np.all(low95 <= low68) and np.all(low68 < high68) and np.all(high68 <= high95)
    np.testing.assert_allclose(np.mean(found, axis=0), [0.68, 0.95], atol=0.01)
    # Wide objects have wide intervals: the margin is in units of the width.
    width = (high68 - low68) / samples[0, test, 1]
    assert np.ptp(width) < 0.1 * np.median(width)
    assert np.median(width) == pytest.approx(2 * factor * 0.9945, rel=0.12)


def test_intervals_by_magnitude_reach_their_level_in_each_bin():
    # Faint objects are worse than they say, bright ones better.
    samples, y = gaussians(8000, 1.0)
    mag = np.random.default_rng(0).uniform(16, 22, 8000)
    error = y[:, 0] - samples[0, :, 0]
    y = (samples[0, :, 0] + error * np.where(mag > 20, 2.5, 0.5))[:, None]
    fit, test = slice(None, 3000), slice(3000, None)
    ones = np.ones(3000)

    def covered(**options):
        made = ConformalIntervals.fit(Z, y[fit], ones, samples[:, fit], levels=(0.68,), **options)
        rows = SimpleNamespace(catalog=_Numbers(mag_r=mag[test]))
        out = made.compute(batch(samples={"z": samples[:, test]}, catalog=rows.catalog))
        z = y[test, 0]
        inside = (out["z_conf68_low"] <= z) & (z <= out["z_conf68_high"])
        place = np.searchsorted(cuts, mag[test])
        return [inside[place == k].mean() for k in range(3)], made

    cuts = np.quantile(mag[fit], [1 / 3, 2 / 3])
    alike, _ = covered()
    assert alike[2] < 0.5 and alike[0] > 0.75
    each, made = covered(by="mag_r", by_values=mag[fit], n_bins=3)
    np.testing.assert_allclose(made.cuts, cuts)
    np.testing.assert_allclose(each, 0.68, atol=0.04)
    assert "bin of mag_r" in made.columns()[0].description
    # Without a magnitude, an object gets what suits all objects together.
    lost = made.intervals(Z.family, samples[:, :3], [np.nan] * 3)
    plain = covered()[1].intervals(Z.family, samples[:, :3])
    np.testing.assert_allclose(lost, plain)
    with pytest.raises(ConfigError, match="mag_r"):
        ConformalIntervals.fit(Z, y[fit], ones, samples[:, fit], by="mag_r")


def test_intervals_stay_in_the_range():
    samples = np.array([[[0.01, 0.05], [0.99, 0.05], [np.nan, np.nan]]], np.float32)
    made = ConformalIntervals("z", "z", (0.95,), ((3.0,),))
    low, high = made.intervals(Z.family, samples)
    assert (low[0], high[1]) == (0.0, 1.0)
    assert np.isnan([low[2], high[2]]).all()


@pytest.mark.parametrize("level", [0.68, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("by_class", [False, True])
def test_sets_equal_those_of_crepes(level, by_class):
    crepes = pytest.importorskip("crepes")
    samples, y = classes(1000, 2.0)
    label = y.argmax(axis=1)
    score = 1.0 - samples[0].astype(np.float64) / samples[0].sum(
        axis=-1, keepdims=True, dtype=float
    )
    fit, new = slice(0, 600), slice(600, 1000)
    sets = ConformalSets.fit(
        KIND, y[fit], np.ones(600), samples[:, fit], levels=(level,), by_class=by_class
    )
    (inside,) = sets.members(samples[0, new])
    expected = np.zeros_like(inside)
    for k in range(len(CLASSES)):
        bins = {"bins": label[fit]} if by_class else {}
        classifier = crepes.ConformalClassifier().fit(
            score[fit][np.arange(600), label[fit]], **bins
        )
        bins = {"bins": np.full(400, k)} if by_class else {}
        found = classifier.predict_set(
            score[new, k : k + 1], confidence=level, smoothing=False, **bins
        )
        expected[:, k] = found[:, 0]
    best = np.arange(3) == np.argmin(score[new], axis=1)[:, None]
    assert (expected | best).sum(axis=1).tolist() == inside.sum(axis=1).tolist()
    np.testing.assert_array_equal(inside, expected | best)


@pytest.mark.parametrize("by", [None, "mag"])
def test_intervals_equal_those_of_crepes(by):
    crepes = pytest.importorskip("crepes")
    levels = (0.68, 0.9)
    samples, z = gaussians(1000, 1.4, draws=3)
    mag = np.random.default_rng(1).uniform(18, 22, 1000)
    fit, new = slice(0, 800), slice(800, 1000)
    intervals = ConformalIntervals.fit(
        Z, z[fit], np.ones(800), samples[:, fit], levels=levels, by=by, by_values=mag[fit]
    )
    found = intervals.intervals(Z.family, samples[:, new], mag[new])
    # Without a stretch the intervals are the predictive quantiles themselves.
    plain = ConformalIntervals("z", "z", levels, ((0.0,), (0.0,)))
    ends = plain.intervals(Z.family, samples)
    place = np.searchsorted(intervals.cuts, mag, side="right")
    for j, level in enumerate(levels):
        low, high = ends[2 * j], ends[2 * j + 1]
        score = np.maximum(low - z[:, 0], z[:, 0] - high) / (high - low)
        # crepes takes absolute residuals: a shift makes all scores positive.
        shift = 10.0
        bins = ({}, {}) if by is None else ({"bins": place[fit]}, {"bins": place[new]})
        regressor = crepes.ConformalRegressor().fit(score[fit] + shift, **bins[0])
        margin = regressor.predict_int(np.zeros(200), confidence=level, **bins[1])[:, 1] - shift
        width = (high - low)[new]
        np.testing.assert_allclose(found[2 * j], low[new] - margin * width, atol=1e-9)
        np.testing.assert_allclose(found[2 * j + 1], high[new] + margin * width, atol=1e-9)
