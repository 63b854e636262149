"""What every family over a number must do, and what closed forms say of each."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, interpolate, stats

from astrocnn import plugins
from astrocnn.errors import AstrocnnWarning, CatalogError, ConfigError
from astrocnn.targets import Binned, Gaussian, Mixture, QuantityFamily, density_grid
from astrocnn.targets.families import _quantity as base

NAMES = plugins.module_names("astrocnn.targets.families")
FAMILIES = [
    f
    for n in NAMES
    for f in plugins.load_module("astrocnn.targets.families", n).examples()
    if f.kind == "density"
]
every_quantity = pytest.mark.parametrize("family", FAMILIES, ids=repr)


def activated(family, draws, n, seed=0, scale=1.0):
    raw = np.random.default_rng(seed).normal(0, scale, (draws, n, family.units))
    return np.array(family.activate(raw.astype(np.float32)))


def levels(family, shares):
    return family.low + (family.high - family.low) * np.asarray(shares, float)


@every_quantity
def test_it_is_a_family_over_a_number(family):
    assert isinstance(family, QuantityFamily)
    assert family.edges.shape == (family.n_bins + 1,)
    assert (family.edges[0], family.edges[-1]) == (family.low, family.high)
    assert json.loads(json.dumps(vars(family)))


@every_quantity
def test_masses_sum_to_one_and_agree_with_the_cumulative_at_the_edges(family):
    samples = activated(family, 3, 20)
    masses = family.masses(samples)
    assert masses.shape == (3, 20, family.n_bins)
    assert (masses >= 0).all()
    np.testing.assert_allclose(masses.sum(axis=-1), 1, atol=1e-12)
    until = np.cumsum(masses, axis=-1)
    for i in range(1, family.n_bins + 1):
        at_edge = family.cumulative(samples, np.full(20, family.edges[i]))
        np.testing.assert_allclose(at_edge, until[..., i - 1], atol=1e-9)


@every_quantity
def test_the_cumulative_rises_from_zero_to_one(family):
    samples = activated(family, 2, 15)
    shares = np.linspace(-0.2, 1.2, 141)
    cdf = np.stack([family.cumulative(samples, np.full(15, v)) for v in levels(family, shares)])
    assert cdf.shape == (141, 2, 15)
    assert (np.diff(cdf, axis=0) >= -1e-12).all()
    assert (cdf[shares < -1e-9] == 0).all()
    assert (cdf[shares > 1 + 1e-9] == 1).all()


@every_quantity
def test_rows_without_prediction_or_label_are_nan(family):
    samples = activated(family, 2, 4)
    samples[1, 2, 0] = np.nan
    values = levels(family, [0.2, np.nan, 0.3, 1.0])
    cdf = family.cumulative(samples, values)
    assert np.isnan(cdf).tolist() == [[False, True, False, False], [False, True, True, False]]
    assert np.isnan(family.masses(samples)).all(axis=-1).tolist() == [[False] * 4, [0, 0, 1, 0]]


@every_quantity
def test_summaries_agree_with_the_masses(family):
    samples = activated(family, 4, 30)
    out = family.summarize(samples)
    p = family.masses(samples).mean(axis=0)
    width = family.edges[1] - family.edges[0]
    center = 0.5 * (family.edges[1:] + family.edges[:-1])
    mean = p @ center
    # What lies outside sits at the ends of the range, not in the middle of the outer bins.
    np.testing.assert_allclose(out["mean"], mean, atol=0.5 * width)
    variance = (p * (center - mean[:, None]) ** 2).sum(axis=1) + width**2 / 12
    np.testing.assert_allclose(out["std"], np.sqrt(variance), atol=0.4 * width)
    total = np.hypot(out["std_aleatoric"], out["std_epistemic"])
    np.testing.assert_allclose(out["std"], total, rtol=1e-5)
    spread = family.masses(samples) @ center
    np.testing.assert_allclose(out["std_epistemic"], spread.std(axis=0), atol=0.4 * width)


@every_quantity
@pytest.mark.parametrize("width", [0.05, 0.6])
def test_quantiles_and_intervals_hold_the_probability_they_name(family, width):
    rng = np.random.default_rng(4)
    shares = 0.5 + 0.1 * rng.normal(size=(4, 30, 1)) + width * rng.normal(size=(4, 30, 60))
    samples = np.stack([family.from_values(levels(family, draw)) for draw in shares])
    out = family.summarize(samples)
    assert np.all(out["q16"] <= out["median"]) and np.all(out["median"] <= out["q84"])

    def until(values):
        return family.cumulative(samples, values.astype(float)).mean(axis=0)

    inside = {n: (out[n] > family.low) & (out[n] < family.high) for n in ("q16", "median", "q84")}
    for name, level in (("q16", 0.16), ("median", 0.5), ("q84", 0.84)):
        held = until(out[name])[inside[name]]
        np.testing.assert_allclose(held, level, atol=2e-5)
        assert len(held) >= 5
    for name, mass in (("hdi68", 0.68), ("hdi95", 0.95)):
        low, high = out[f"{name}_low"], out[f"{name}_high"]
        held = until(high) - np.where(low <= family.low, 0, until(low))
        # An interval that reaches an end of the range also holds all that lies outside.
        free = (low > family.low) & (high < family.high)
        np.testing.assert_allclose(held[free], mass, atol=2e-3)
        assert np.all(held > mass - 2e-3)
        assert width > 0.1 or free.all()
        central = _quantile(family, samples, 0.5 + mass / 2) - _quantile(
            family, samples, 0.5 - mass / 2
        )
        assert np.all(high - low <= central * (1 + 1e-3))


def _quantile(family, samples, level):
    low, high = np.full(samples.shape[1], family.low), np.full(samples.shape[1], family.high)
    for _ in range(50):
        middle = 0.5 * (low + high)
        below = family.cumulative(samples, middle).mean(axis=0) < level
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return high


@every_quantity
def test_values_of_a_normal_sample_are_given_back(family):
    middle, span = 0.5 * (family.low + family.high), family.high - family.low
    rng = np.random.default_rng(2)
    values = rng.normal(middle + 0.1 * span, 0.08 * span, (5, 400))
    values[3, 7] = np.nan
    parameters = family.from_values(values)
    assert parameters.shape == (5, family.units)
    assert parameters.dtype == np.float32
    assert np.isnan(parameters[3]).all()
    keep = [0, 1, 2, 4]
    out = family.summarize(parameters[None])
    np.testing.assert_allclose(out["mean"][keep], values[keep].mean(axis=1), atol=1e-3 * span)
    np.testing.assert_allclose(out["std"][keep], values[keep].std(axis=1), rtol=0.01)
    q16 = np.quantile(values[keep], 0.16, axis=1)
    np.testing.assert_allclose(out["q16"][keep], q16, atol=0.03 * span)
    equal = family.summarize(family.from_values(np.full((2, 3), middle))[None])
    np.testing.assert_allclose(equal["mean"], middle, atol=span / family.n_bins)
    assert np.all(equal["std"] <= span / family.n_bins)
    assert np.all(equal["std"] > 0)


@every_quantity
def test_loss_of_raw_zero_is_the_initial_loss_on_average(family):
    values = levels(family, (np.arange(900) + 0.5) / 900)
    encoded, weight = family.encode(values)
    assert weight.all()
    loss = np.asarray(family.loss(encoded, np.zeros((900, family.units), np.float32)))
    assert loss.shape == (900,)
    assert loss.mean() == pytest.approx(family.initial_loss, rel=1e-4)


@every_quantity
def test_the_unit_of_the_label_does_not_matter(family):
    """Millimetres or kilometres: the same loss, the same probabilities, summaries in proportion."""
    other = replace(family, low=1e3 * family.low, high=1e3 * family.high)
    raw = np.random.default_rng(8).normal(size=(30, family.units)).astype(np.float32)
    values = levels(family, np.linspace(0.003, 0.997, 30))
    losses = [
        np.asarray(f.loss(f.encode(v)[0], raw))
        for f, v in ((family, values), (other, 1e3 * values))
    ]
    np.testing.assert_allclose(*losses, rtol=1e-3, atol=1e-4)
    samples = [np.array(f.activate(raw))[None] for f in (family, other)]
    np.testing.assert_allclose(family.masses(samples[0]), other.masses(samples[1]), atol=1e-5)
    out, scaled = family.summarize(samples[0]), other.summarize(samples[1])
    for name in set(out) - {"odds", "mode"}:
        np.testing.assert_allclose(1e3 * out[name], scaled[name], rtol=1e-3, atol=0.3, err_msg=name)


@every_quantity
def test_order_of_values_does_not_matter(family):
    values = levels(family, np.random.default_rng(9).uniform(0.1, 0.9, (4, 21)))
    mixed = np.random.default_rng(1).permuted(values, axis=1)
    np.testing.assert_allclose(family.from_values(values), family.from_values(mixed), rtol=1e-5)


@every_quantity
@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e4, 6e4])
def test_loss_and_its_gradient_stay_finite(family, scale):
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(0)
    raw = tf.constant(np.clip(rng.normal(0, scale, (40, family.units)), -6e4, 6e4), tf.float32)
    encoded, _ = family.encode(levels(family, np.linspace(0, 1, 40)))
    with tf.GradientTape() as tape:
        tape.watch(raw)
        loss = family.loss(encoded, raw)
    assert np.isfinite(loss.numpy()).all()
    assert np.isfinite(tape.gradient(loss, raw).numpy()).all()


@every_quantity
def test_labels_outside_the_range_are_counted_and_have_no_weight(family):
    middle = 0.5 * (family.low + family.high)
    values = [middle, -99.0, family.high + 1, np.inf, np.nan, -9999.0, family.low, family.high]
    with pytest.warns(AstrocnnWarning, match=r"4 of 7 labels lie outside the range") as caught:
        encoded, weight = family.encode(values)
    assert len(caught) == 1
    assert f"{family.low:g} to {family.high:g}" in str(caught[0].message)
    np.testing.assert_array_equal(weight, [1, 0, 0, 0, 0, 0, 1, 1])
    assert np.isfinite(encoded).all()
    np.testing.assert_allclose(family.to_values(encoded)[[0, 6, 7]], np.take(values, [0, 6, 7]))
    tally = family.tally(encoded, weight)
    assert len(tally) == 5
    assert list(tally.values()) == [1, 0, 1, 0, 1]


@every_quantity
def test_numbers_are_read_however_they_are_stored(family):
    a, b = 0.5 * (family.low + family.high), family.high
    for values in (
        [f"{a}", "", f" {b} "],
        np.array([str(a).encode(), b"", str(b).encode()]),
        np.array([a, None, b], dtype=object),
        np.ma.array([a, 1e20, b], mask=[False, True, False]),
        np.array([a, np.nan, b], ">f4"),
    ):
        encoded, weight = family.encode(values)
        np.testing.assert_allclose(encoded[[0, 2], 0], [a, b], rtol=1e-6)
        np.testing.assert_array_equal(weight, [1, 0, 1])
    with pytest.raises(CatalogError, match="1 labels of a quantity are not numbers") as error:
        family.encode([str(a), "spiral", ""])
    assert "'spiral'" in str(error.value)
    with pytest.raises(CatalogError, match="one value per object"):
        family.encode(np.zeros((2, 2)))
    with pytest.raises(CatalogError, match="another length"):
        family.encode([a, b], [True])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Binned(0.4, 0.0), "two finite numbers"),
        (lambda: Gaussian(0.0, np.inf), "two finite numbers"),
        (lambda: Mixture("0", 1.0), "two finite numbers"),
        (lambda: Binned(n_bins=1), "an integer from 2"),
        (lambda: Binned(n_bins=2.5), "an integer from 2"),
        (lambda: Binned(objective="mse"), "must be one of those allowed"),
        (lambda: Mixture(components=0), "integer >= 1"),
    ],
)
def test_bad_options_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


# Closed forms


def test_a_normal_density_has_the_summaries_of_scipy():
    mean, std = np.array([0.1, 0.21, 0.3]), np.array([0.01, 0.0004, 0.02])
    for family in (Gaussian(0.0, 0.4, relative_errors=True), Mixture(components=1)):
        columns = [mean, std] if family.units == 2 else [np.ones(3), mean, std]
        out = family.summarize(np.stack(columns, axis=1)[None])
        exact = stats.norm(mean, std)
        np.testing.assert_allclose(out["mean"], mean, rtol=1e-6)
        np.testing.assert_allclose(out["std"], std, rtol=1e-4)
        np.testing.assert_allclose(out["median"], mean, rtol=1e-6)
        for name, level in (("q16", 0.16), ("q84", 0.84)):
            np.testing.assert_allclose(out[name], exact.ppf(level), atol=2e-5 * std.max())
        np.testing.assert_allclose(out["mode"], mean, atol=0.06 * std.max())
        for name, mass in (("hdi68", 0.68), ("hdi95", 0.95)):
            low, high = exact.interval(mass)
            assert np.all(np.abs(out[f"{name}_low"] - low) < 0.06 * std)
            np.testing.assert_allclose(
                out[f"{name}_high"] - out[f"{name}_low"], high - low, rtol=2e-3
            )
        reach = 0.06 * (1 + out["mode"])
        odds = exact.cdf(out["mode"] + reach) - exact.cdf(out["mode"] - reach)
        np.testing.assert_allclose(out["odds"], odds, atol=1e-6)


def test_moments_count_what_lies_outside_at_the_ends():
    family = Gaussian(0.0, 1.0)
    mean, std = np.array([-0.3, 0.05, 0.5, 1.4, -40.0]), np.array([0.4, 0.2, 0.7, 0.1, 0.5])
    out = family.summarize(np.stack([mean, std], axis=1)[None])
    for i, (m, s) in enumerate(zip(mean, std, strict=True)):
        p = stats.norm(m, s)
        ends = p.sf(1.0)
        first = integrate.quad(lambda z, p=p: z * p.pdf(z), 0, 1)[0] + ends
        second = integrate.quad(lambda z, p=p: z * z * p.pdf(z), 0, 1)[0] + ends
        assert out["mean"][i] == pytest.approx(first, abs=1e-6)
        assert out["std"][i] == pytest.approx(np.sqrt(max(second - first**2, 0)), abs=1e-5)
    assert out["median"].tolist() == pytest.approx([0, 0.05, 0.5, 1, 0])
    assert out["hdi95_low"][4] == out["hdi95_high"][4] == 0


def test_the_predictive_density_is_the_mean_over_draws():
    samples = np.array([[[0.1, 0.01]], [[0.2, 0.01]], [[0.3, 0.03]]])
    out = Gaussian(-1.0, 1.0, relative_errors=True).summarize(samples)
    mean, var = samples[:, 0, 0], samples[:, 0, 1] ** 2
    assert out["std_aleatoric"][0] == pytest.approx(np.sqrt(var.mean()), rel=1e-4)
    assert out["std_epistemic"][0] == pytest.approx(mean.std(), rel=1e-4)
    assert out["std"][0] == pytest.approx(np.sqrt(var.mean() + mean.var()), rel=1e-4)
    same = Mixture(-1.0, 1.0, components=3).summarize(
        np.array([[[1 / 3] * 3 + [0.1, 0.2, 0.3] + [0.01, 0.01, 0.03]]])
    )
    for name in ("mean", "median", "mode", "std", "q16", "q84", "hdi68_low", "hdi95_high", "odds"):
        np.testing.assert_allclose(out[name], same[name], rtol=1e-5, err_msg=name)


def test_a_triangle_of_bins():
    p = np.array([1, 2, 3, 4, 3, 2, 1]) / 16
    out = Binned(0.0, 7.0, 7).summarize(p[None, None])
    assert out["mean"][0] == out["median"][0] == out["mode"][0] == 3.5
    assert out["std"][0] == pytest.approx(np.sqrt((p * (np.arange(7) - 3) ** 2).sum() + 1 / 12))
    assert out["q16"][0] == pytest.approx(1 + (0.16 * 16 - 1) / 2)
    # Two cells of 3 and one of 4 hold 10/16; the rest of 0.68 comes from a cell of 2.
    assert out["hdi68_high"][0] - out["hdi68_low"][0] == pytest.approx(3 + (0.68 * 16 - 10) / 2)
    assert out["odds"][0] == pytest.approx(0.54 * 4 / 16)


def test_cross_entropy_in_the_bin():
    family = Binned(0.0, 0.4, 8)
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 3, (100, 8)).astype(np.float32)
    values = rng.uniform(0, 0.4, 100)
    log_p = raw - np.log(np.exp(raw.astype(float)).sum(axis=1, keepdims=True))
    expected = -log_p[np.arange(100), (values / 0.05).astype(int)]
    loss = np.asarray(family.loss(family.encode(values)[0], raw))
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)


@given(seed=st.integers(0, 10**6), scale=st.floats(0, 4), share=st.floats(0, 1))
def test_crps_equals_its_integral(seed, scale, share):
    family = Binned(-1.0, 2.0, 6, "crps")
    raw = np.random.default_rng(seed).normal(0, scale, (1, 6)).astype(np.float32)
    y = -1.0 + 3.0 * share
    got = float(np.asarray(family.loss(np.array([[y]], np.float32), raw))[0])
    cdf = np.concatenate(
        [[0], np.cumsum(family.masses(np.array(family.activate(raw))[None])[0, 0])]
    )
    z = np.sort(np.concatenate([np.linspace(-1, 2, 6001), [y]]))
    middle = 0.5 * (z[1:] + z[:-1])
    square = (np.interp(middle, family.edges, cdf) - (middle > y)) ** 2
    assert got == pytest.approx(float(np.sum(square * np.diff(z))) / 3, rel=1e-4, abs=1e-6)


def test_crps_of_a_normal_density():
    # Gneiting & Raftery 2007, section 4.2
    family = Binned(0.0, 1.0, 500, "crps")
    mean, std = 0.45, 0.06
    p = np.diff(stats.norm(mean, std).cdf(family.edges))
    values = np.array([0.3, 0.45, 0.5, 0.61])
    x = (values - mean) / std
    exact = std * (x * (2 * stats.norm.cdf(x) - 1) + 2 * stats.norm.pdf(x) - 1 / np.sqrt(np.pi))
    raw = np.tile(np.log(np.maximum(p, 1e-30)).astype(np.float32), (4, 1))
    loss = np.asarray(family.loss(family.encode(values)[0], raw))
    np.testing.assert_allclose(loss, exact, rtol=1e-3)


def test_negative_log_likelihood_of_a_mixture():
    family = Mixture(0.0, 4.0, 3)
    rng = np.random.default_rng(1)
    raw = rng.normal(0, 1.5, (50, 9)).astype(np.float32)
    values = rng.uniform(0, 4, 50)
    w, m, s = np.split(np.array(family.activate(raw), float), 3, axis=1)
    np.testing.assert_allclose(w.sum(axis=1), 1, atol=1e-6)
    density = (w * stats.norm(m, s).pdf(values[:, None])).sum(axis=1)
    loss = np.asarray(family.loss(family.encode(values)[0], raw))
    np.testing.assert_allclose(loss, -np.log(density * 2.0), rtol=1e-4, atol=1e-4)


def test_raw_zero_is_a_nearly_even_density():
    family = Mixture(0.0, 0.4, 5, n_bins=40)
    masses = family.masses(np.array(family.activate(np.zeros((1, 1, 15), np.float32))))[0, 0]
    assert 0.8 < masses[4:-4].min() * 40 < masses[4:-4].max() * 40 < 1.2


def test_a_mixture_learns_two_peaks():
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    z = np.where(rng.random(512) < 0.3, rng.normal(0.1, 0.01, 512), rng.normal(0.3, 0.02, 512))
    share = (z < 0.2).mean()
    family = Mixture(components=2)
    encoded, _ = family.encode(z)
    raw = keras.Variable(np.zeros((1, 6), np.float32))
    tf = pytest.importorskip("tensorflow")
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build([raw])

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(family.loss(encoded, tf.repeat(raw.value, 512, axis=0)))
        optimizer.apply([tape.gradient(loss, raw.value)], [raw])

    for _ in range(150):
        step()
    w, m, s = np.split(np.array(family.activate(raw.value))[0], 3)
    np.testing.assert_allclose(w, [share, 1 - share], atol=0.01)
    np.testing.assert_allclose(m, [0.1, 0.3], atol=0.005)
    np.testing.assert_allclose(s, [0.01, 0.02], atol=0.003)


@pytest.mark.parametrize("p", [[0.5, 0.2, 0.2], [0.7, 0.5, -0.2], [2.0, 3.0, 5.0]])
def test_probabilities_that_are_none_are_refused(p):
    family = Binned(0.0, 3.0, 3)
    samples = np.array([[[0.2, 0.3, 0.5], p, [np.nan] * 3]])
    for ask in (family.masses, family.summarize, lambda s: family.cumulative(s, np.ones(3))):
        with pytest.raises(ConfigError, match="1 densities are invalid"):
            ask(samples)


# Properties of the functions on grids


@st.composite
def rows(draw):
    n_cells = draw(st.integers(1, 12))
    masses = draw(
        st.lists(st.sampled_from([0.0, 0.0, 0.1, 1.0, 3.0]), min_size=n_cells, max_size=n_cells)
    )
    p = np.array(masses) + (0 if sum(masses) else 1)
    cdf = np.concatenate([[0], np.cumsum(p / p.sum())])[None]
    grid = np.linspace(-1.0, 2.0, n_cells + 1)[None]
    return grid, cdf / cdf[:, -1:]


@given(rows(), st.floats(0.001, 0.999))
def test_quantiles_invert_the_cdf(row, level):
    grid, cdf = row
    x = density_grid.quantiles(grid, cdf, np.array([[level]]))[0, 0]
    assert np.interp(x, grid[0], cdf[0]) == pytest.approx(level, abs=1e-9)
    assert density_grid.cdf_at(grid, cdf, np.array([x]))[0] == pytest.approx(level, abs=1e-9)
    before = np.interp(x - 1e-3, grid[0], cdf[0])
    assert before < level or level < 1e-9


@given(rows(), st.floats(0.05, 0.999))
def test_no_interval_of_that_mass_is_shorter(row, mass):
    grid, cdf = row
    low, high = (float(x[0]) for x in density_grid.shortest_interval(grid, cdf, mass))

    def until(x):
        return np.interp(x, grid[0], cdf[0])

    assert until(high) - until(low) == pytest.approx(mass, abs=1e-9)
    starts = np.linspace(-1.0, 2.0, 301)
    ends = starts + (high - low) - 1e-6
    assert np.all(until(ends) - until(starts) <= mass + 1e-9)


@pytest.mark.parametrize("n_bins", [3, 40, 200])
def test_the_shortest_interval_is_that_of_a_search_over_all_starts(n_bins):
    rng = np.random.default_rng(n_bins)
    p = rng.dirichlet(np.full(n_bins, 0.4), 60)
    p[:5] = 0.0
    p[:5, :2] = 0.5
    cdf = np.concatenate([np.zeros((60, 1)), np.cumsum(p, axis=1)], axis=1)
    cdf /= cdf[:, -1:]
    grid = np.broadcast_to(np.linspace(0.0, 3.0, n_bins + 1), cdf.shape)
    for mass in (0.3, 0.68, 0.95):
        low, high = density_grid.shortest_interval(grid, cdf, mass)
        for i in range(60):
            rising = np.flatnonzero(np.diff(cdf[i], prepend=-1.0) > 0)
            quantile = interpolate.interp1d(cdf[i][rising], grid[i][rising])
            levels = np.concatenate([cdf[i][cdf[i] <= 1 - mass], cdf[i][cdf[i] >= mass] - mass])
            lengths = quantile(np.minimum(levels + mass, 1.0)) - quantile(np.maximum(levels, 0.0))
            # Where the CDF is flat the start of a level is its end: an interval may be shorter.
            assert high[i] - low[i] <= lengths.min() + 1e-9
            held = np.interp([low[i], high[i]], grid[i], cdf[i])
            assert held[1] - held[0] == pytest.approx(mass, abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("ends", [(0.0, 0.3), (0.2, 0.55), (0.7, 1.0), (-1.0, 2.0)])
def test_the_explained_probability_of_an_interval_is_that_of_the_cdf(family, ends):
    raw = np.random.default_rng(1).normal(size=(1, 20, family.units)).astype(np.float32)
    low, high = levels(family, ends)
    samples = np.array(family.activate(raw))
    until = [family.cumulative(samples, np.full(20, end)) for end in (low, high)]
    below = 0.0 if low <= family.low else until[0]
    found = np.asarray(family.explained(raw, family.validate_part((low, high))))
    np.testing.assert_allclose(found, until[1] - below, atol=2e-6)
    assert f"{low:g} < z < {high:g}" in family.part_label("z", (low, high))


@every_quantity
def test_moments_of_the_cdf_agree_with_the_closed_forms(family):
    draw = activated(family, 1, 40)[0]
    width = (family.high - family.low) / family.n_bins
    mean, variance = QuantityFamily.moments(family, draw)
    exact_mean, exact_variance = family.moments(draw)
    np.testing.assert_allclose(mean, exact_mean, atol=0.05 * width)
    np.testing.assert_allclose(np.sqrt(variance), np.sqrt(exact_variance), atol=0.3 * width)


@every_quantity
def test_columns_have_the_ucd_of_the_quantity(family):
    by_name = {column.name: column for column in family.columns()}
    word = family.ucd or "stat.value"
    assert by_name["mean"].ucd == f"{word};stat.mean"
    assert by_name["q16"].description.startswith("16 %")
    assert by_name["hdi95_low"].description.startswith("Low end of the shortest interval of 95 %")
    assert ("odds" in by_name) == family.relative_errors


@every_quantity
def test_the_size_of_a_chunk_changes_no_bit(family, monkeypatch):
    samples = activated(family, 3, 70, scale=2.0)
    whole = family.summarize(samples)
    for rows in (1, 7, 64):
        monkeypatch.setattr(base, "_ROWS", rows)
        for name, values in family.summarize(samples).items():
            assert values.tobytes() == whole[name].tobytes(), name


def test_nothing_warns_where_all_probability_lies_in_one_bin():
    one = np.eye(5)[None, 2:3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = Binned(0.0, 5.0, 5).summarize(one)
    assert (out["hdi95_low"][0], out["hdi95_high"][0]) == pytest.approx((2.0, 2.95))
    assert out["median"][0] == 2.5
