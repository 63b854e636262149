"""Ways to store a density: what is lost, for any density and not for the likely ones only."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.errors import PredictionError
from astrocnn.prediction.pdf import PDF_FORMS, DensityPlane, build_planes, round_up
from astrocnn.prediction.pdf_forms import FORMS, LEVELS, compute_largest_error
from astrocnn.targets import Bernoulli, Target, Task
from astrocnn.targets.families import binned, gaussian, mixture
from astrocnn.targets.families.binned import Binned
from astrocnn.targets.families.gaussian import Gaussian

NAMES = sorted(FORMS)


@st.composite
def densities(draw):
    """Densities smooth and spiky, narrow and wide, with empty bins anywhere."""
    n_bins = draw(st.integers(2, 60))
    low = draw(st.floats(-5, 5))
    edges = np.linspace(low, low + draw(st.floats(0.01, 100)), n_bins + 1)
    seed = draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    masses = rng.random((draw(st.integers(1, 5)), n_bins)) ** draw(st.sampled_from([0, 1, 9, 60]))
    masses[rng.random(masses.shape) < draw(st.sampled_from([0, 0.5, 0.95]))] = 0
    masses[np.arange(len(masses)), rng.integers(0, n_bins, len(masses))] += 1e-3
    return masses / masses.sum(axis=1, keepdims=True), edges


def cdf_at(points, masses, edges):
    return np.interp(points, edges, np.concatenate([[0], np.cumsum(masses)]))


@pytest.mark.parametrize("name", NAMES)
@given(case=densities())
def test_the_stated_error_holds_everywhere(name, case):
    masses, edges = case
    form = FORMS[name]
    stored = form.encode(masses, edges)
    assert stored.dtype == form.dtype and stored.shape == (len(masses), form.width(len(edges) - 1))
    error = compute_largest_error(form, masses, stored, edges)
    decoded = form.decode(stored, edges)
    assert np.all(decoded >= 0)
    np.testing.assert_allclose(decoded.sum(axis=1), 1, atol=1e-5 if name == "float32" else 1e-12)
    # Any value at all, not the edges at which the error was measured.
    points = np.linspace(edges[0] - 1, edges[-1] + 1, 997)
    for truth, found in zip(masses, decoded, strict=True):
        change = np.abs(cdf_at(points, truth, edges) - cdf_at(points, found, edges))
        assert change.max() <= error + 1e-12
    bound = {"float32": 1e-5, "int16": 0.5 / 32767 + 1e-9, "quantiles": 0.021}[name]
    assert error <= bound


@given(case=densities())
def test_integers_of_a_row_sum_to_all_and_empty_bins_are_empty(case):
    masses, edges = case
    stored = FORMS["int16"].encode(masses, edges)
    assert np.all(stored.sum(axis=1, dtype=int) == 32767) and stored.min() >= 0
    assert np.all(stored[masses == 0] == 0)
    scale = FORMS["int16"].scale(edges)
    width = (edges[-1] - edges[0]) / (len(edges) - 1)
    np.testing.assert_allclose(stored.sum(axis=1) * scale * width, 1, rtol=1e-12)


@given(case=densities())
def test_quantiles_are_the_inverse_of_the_cumulative_probability(case):
    masses, edges = case
    values = FORMS["quantiles"].encode(masses, edges).astype(float)
    assert np.all(np.diff(values, axis=1) >= 0)
    # A value of single precision is off by half a unit in its last place.
    slack = np.spacing(np.float32(np.abs(edges).max())).astype(float)
    for row, truth in zip(values, masses, strict=True):
        assert np.all(cdf_at(row - slack, truth, edges) <= LEVELS + 1e-9)
        assert np.all(cdf_at(row + slack, truth, edges) >= LEVELS - 1e-9)
        inside = np.flatnonzero(truth)
        assert abs(row[0] - edges[inside[0]]) <= slack
        assert row[-1] <= edges[inside[-1] + 1] + slack


def test_quantiles_of_a_uniform_density_are_its_levels():
    masses, edges = np.full((1, 7), 1 / 7), np.linspace(2, 5, 8)
    values = FORMS["quantiles"].encode(masses, edges)
    np.testing.assert_allclose(values[0], 2 + 3 * LEVELS, rtol=1e-7)
    np.testing.assert_allclose(FORMS["quantiles"].decode(values, edges), masses, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@given(case=densities())
def test_a_row_is_stored_by_itself(name, case):
    masses, edges = case
    whole = FORMS[name].encode(masses, edges)
    for i in range(len(masses)):
        assert np.array_equal(FORMS[name].encode(masses[i : i + 1], edges)[0], whole[i])


@given(st.floats(1e-30, 1e6))
def test_a_bound_is_never_below_and_has_two_digits(value):
    bound = round_up(value)
    assert value <= bound <= value * (1 + Fraction(11, 100))
    assert float(f"{bound:.1e}") == bound


def sample_of(family, n_draws=3, n=5, seed=0):
    values = np.random.default_rng(seed).uniform(family.low, family.high, (n_draws, n, 4))
    return np.stack([family.from_values(v) for v in values])


@pytest.mark.parametrize("family", [Binned(0.0, 0.4, 12), Gaussian(-4.0, 11.0, 40)])
def test_the_predictive_density_is_the_mean_over_draws(family):
    samples = sample_of(family)
    samples[:, 2] = np.nan
    plane = DensityPlane(Target("z", family, "z"), "PDF", "float32")
    stored, error = plane.store(samples)
    expected = family.masses(samples).mean(axis=0)
    width = (family.high - family.low) / (len(family.edges) - 1)
    np.testing.assert_allclose(stored * width, expected, rtol=1e-6)
    assert np.isnan(stored[2]).all() and 0 < error < 1e-6


@pytest.mark.parametrize("form", NAMES)
@pytest.mark.parametrize(
    "family", [*binned.examples(), *gaussian.examples(), *mixture.examples()], ids=repr
)
def test_an_object_is_told_by_itself(family, form):
    samples = sample_of(family)
    plane = DensityPlane(Target("z", family, "z"), "PDF", form)
    whole, error = plane.store(samples)
    alone = [plane.store(samples[:, i : i + 1]) for i in range(5)]
    np.testing.assert_array_equal(np.concatenate([stored for stored, _ in alone]), whole)
    assert error == max(e for _, e in alone)
    told = family.summarize(samples)
    for i in range(5):
        for name, values in family.summarize(samples[:, i : i + 1]).items():
            assert values[0] == told[name][i], name


def test_masses_that_are_no_probabilities_are_refused():
    class Wrong(Binned):
        def masses(self, samples):
            return super().masses(samples) * 1.01

    plane = DensityPlane(Target("z", Wrong(0.0, 0.4, 12), "z"), "PDF", "int16")
    with pytest.raises(PredictionError, match=r"(?s)'z' is not one.*sum of 1\.01"):
        plane.store(sample_of(Binned(0.0, 0.4, 12)))


def test_the_unit_of_a_density_is_one_over_that_of_the_quantity():
    family = Gaussian(0.0, 10.0, 20)
    unit = DensityPlane(Target("t", family, "t"), "PDF", "float32").image().unit
    assert unit == ""

    class Heavy(Gaussian):
        def columns(self):
            import dataclasses

            return tuple(dataclasses.replace(c, unit="km / s") for c in super().columns())

    plane = DensityPlane(Target("t", Heavy(0.0, 10.0, 20), "t"), "PDF", "float32")
    assert plane.image().unit == "s km-1"
    quantiles = DensityPlane(Target("t", Heavy(0.0, 10.0, 20), "t"), "PDF", "quantiles")
    assert quantiles.image().unit == "km / s"


def test_names_of_extensions():
    one, two = (Target(name, Binned(0.0, 0.4, 12), name) for name in ("z", "t-type"))
    yes = Target("bar", Bernoulli(), "bar")
    assert [p.name for p in build_planes(Task("a", (yes, one), "bar.auc"), "int16")] == ["PDF"]
    both = build_planes(Task("a", (one, yes, two), "bar.auc"), "int16")
    assert [p.name for p in both] == ["PDF_Z", "PDF_T_TYPE"]
    assert build_planes(Task("a", (one,), "z.x"), "none") == ()
    with pytest.raises(PredictionError, match="no target whose prediction is a density"):
        build_planes(Task("a", (yes,), "bar.auc"), "float32")
    with pytest.raises(PredictionError, match="did you mean 'quantiles'"):
        build_planes(Task("a", (one,), "z.x"), "quantile")
    assert PDF_FORMS == ("none", "float32", "int16", "quantiles")
