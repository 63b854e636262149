"""Chapters over a number, on simulated densities whose truth is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.patches import StepPatch
from scipy import stats

from astrocnn import metrics
from astrocnn.errors import PredictionError
from astrocnn.evaluation import baseline_scores, evaluate, evaluate_target, score
from astrocnn.evaluation.kinds import DensityEvaluation
from astrocnn.evaluation.report_chapters import (
    figure_chapters,
    gallery_chapter,
    make_headline,
    scores_chapter,
)
from astrocnn.report import render_svg
from astrocnn.targets import Bernoulli, Binned, Gaussian, Mixture, Target, Task

LOW, HIGH = 0.0, 0.4
N, DRAWS = 800, 5


def foretold(factor=1.0, seed=0):
    """Means and widths such that the truth is drawn from each density (for factor 1)."""
    rng = np.random.default_rng(seed)
    mean, sigma = rng.uniform(0.08, 0.32, N), rng.uniform(0.008, 0.02, N)
    truth = rng.normal(mean, sigma)
    return truth, mean, np.broadcast_to(factor * sigma, mean.shape)


def binned(mean, sigma, family):
    cdf = stats.norm.cdf(family.edges, mean[..., None], np.asarray(sigma)[..., None])
    cdf[..., 0], cdf[..., -1] = 0, 1
    return np.diff(cdf, axis=-1)


def made(factor):
    truth, mean, sigma = foretold(factor)
    family = Binned(LOW, HIGH, 160)
    target = Target("z", family, "z")
    task = Task("photoz", (target,), "z.sigma_mad")
    rng = np.random.default_rng(1)
    shift = rng.normal(0, 1e-3, (DRAWS, 1))
    samples = binned(mean + shift, sigma, family).astype(np.float32)
    labels = truth.copy()
    labels[:3] = np.nan
    samples[:, 5] = np.nan
    encoded, weights = task.encode({"z": labels})
    return SimpleNamespace(
        factor=factor,
        target=target,
        task=task,
        truth=truth,
        mean=mean,
        sigma=sigma,
        encoded=encoded,
        weights=weights,
        samples={"z": samples},
        keep=np.setdiff1d(np.arange(3, N), [5]),
    )


@pytest.fixture(scope="module", params=[1.0, 0.5], ids=["calibrated", "sure"])
def case(request):
    return made(request.param)


@pytest.fixture(scope="module")
def sure():
    return made(0.5)


def part(case):
    return case.target, case.encoded["z"], case.weights["z"], case.samples["z"]


def by_name(scores):
    return {s.name: s for s in scores}


def test_scores_are_those_of_the_columns_and_of_the_mean_density(case):
    found = by_name(score(case.task, case.encoded, case.weights, case.samples, n_resamples=150))
    keep, family = case.keep, case.target.family
    truth = case.encoded["z"][keep, 0].astype(float)
    table = family.summarize(case.samples["z"])
    dz = (table["mean"][keep] - truth) / (1 + truth)
    assert found["sigma_mad"].value == pytest.approx(stats.median_abs_deviation(dz) * 1.4826)
    assert found["bias"].value == pytest.approx(dz.mean())
    assert found["bias_median"].value == pytest.approx(np.median(dz))
    assert found["eta_005"].value == pytest.approx((np.abs(dz) > 0.05).mean())
    other = (table["mode"][keep] - truth) / (1 + truth)
    assert found["mode_bias"].value == pytest.approx(other.mean())
    masses = case.samples["z"][:, keep].astype(float).mean(axis=0)
    densities = metrics.Densities(masses / masses.sum(axis=1, keepdims=True), family.edges)
    for name in ("crps", "cde_loss", "nll"):
        expected = getattr(densities, name)(truth).mean()
        assert found[name].value == pytest.approx(expected, rel=1e-6)
    pit = densities.cumulative(truth)
    assert found["pit_ks"].value == pytest.approx(stats.kstest(pit, "uniform").statistic, abs=1e-6)
    assert found["spread"].value == pytest.approx(table["std"][keep].astype(float).mean())
    for s in found.values():
        assert (s.n_used, s.n_excluded, s.target) == (N - 4, 4, "z"), s.name
        assert s.reason == "3 without a value between 0 and 0.4, 1 without a prediction"
        if s.name in ("pit_ks", "pit_cvm", "pit_ad"):
            assert np.isnan(s.low) and "calibrated" in s.note
        else:
            assert s.low <= s.value <= s.high, s.name
    assert found["sigma_mad"].note == "point estimate: mean of p(z)"


def test_overconfidence_worsens_every_score_of_densities(case):
    found = by_name(score(case.task, case.encoded, case.weights, case.samples, n_resamples=0))
    calibrated = case.factor == 1
    p = float(found["pit_ks"].note.split()[2])
    assert (p > 0.01) == calibrated
    for level, half in ((68, 0.38), (95, 0.67)):
        coverage = found[f"coverage_{level}"].value
        expected = level / 100 if calibrated else half  # 2 Phi(t / 2) - 1 of half the width
        assert coverage == pytest.approx(expected, abs=0.05)
    assert (found["pit_ad"].value < 4) == calibrated
    assert (found["pit_outliers"].value < 0.01) == calibrated


def test_the_order_of_rows_does_not_matter(case):
    order = np.random.default_rng(1).permutation(N)
    mixed = score(
        case.task,
        {"z": case.encoded["z"][order]},
        {"z": case.weights["z"][order]},
        {"z": case.samples["z"][:, order]},
        n_resamples=0,
    )
    for a, b in zip(
        score(case.task, case.encoded, case.weights, case.samples, n_resamples=0),
        mixed,
        strict=True,
    ):
        assert a.value == pytest.approx(b.value, rel=1e-6, abs=1e-9), a.name


def test_chunks_do_not_change_the_scores(case, monkeypatch):
    whole = evaluate_target(*part(case))
    monkeypatch.setattr("astrocnn.evaluation.kinds.density._ELEMENTS_AT_ONCE", 5000)
    parts = evaluate_target(*part(case))
    np.testing.assert_allclose(parts.densities.masses, whole.densities.masses, rtol=1e-12)
    np.testing.assert_allclose(parts.pit, whole.pit, rtol=1e-12)
    np.testing.assert_allclose(parts.stacked, whole.stacked, rtol=1e-12)
    for name, values in whole.columns.items():
        np.testing.assert_allclose(parts.columns[name], values, rtol=1e-6)
    np.testing.assert_allclose(whole.stacked.sum(axis=1), len(whole))


@pytest.mark.parametrize("kind", ["mixture", "gaussian"])
def test_every_family_over_a_number_has_the_same_scores(kind):
    """The same densities in the parameters of another family."""
    truth, mean, sigma = foretold()
    if kind == "gaussian":
        family = Gaussian(LOW, HIGH, 160, relative_errors=True)
        samples = np.stack([mean, sigma], axis=1)[None]
    else:
        family = Mixture(LOW, HIGH, 2, n_bins=160)
        samples = None
    histogram = Binned(LOW, HIGH, 160)
    bins = binned(mean, sigma, histogram)[None]
    if samples is None:
        grid = stats.norm.ppf((np.arange(400) + 0.5) / 400)
        samples = family.from_values(mean[:, None] + sigma[:, None] * grid)[None]
    found = []
    for f, s in ((family, samples), (histogram, bins)):
        target = Target("z", f, "z")
        evaluation = evaluate_target(target, *target.encode(truth), s)
        found.append(by_name(evaluation.scores(n_resamples=0)))
    for name in ("sigma_mad", "crps", "nll", "coverage_68", "coverage_95", "spread"):
        assert found[0][name].value == pytest.approx(found[1][name].value, rel=0.04), name


def test_the_prior_has_a_flat_pit_and_a_large_crps(case):
    train = foretold(seed=7)[0]
    train_labels = case.task.encode({"z": train})
    column = ("r", train + 0.001, np.where(np.arange(N) == 50, np.nan, case.truth))
    scores, descriptions = baseline_scores(
        case.task, train_labels, (case.encoded, case.weights), column=column, n_resamples=0
    )
    network = by_name(score(case.task, case.encoded, case.weights, case.samples, n_resamples=0))
    prior, alone = by_name(scores["Prior"]), by_name(scores["r alone"])
    assert float(prior["pit_ks"].note.split()[2]) > 0.01
    for name in ("crps", "cde_loss", "nll", "sigma_mad"):
        assert prior[name].value > network[name].value + 0.01, name
    assert prior["coverage_68"].value == pytest.approx(0.68, abs=0.06)
    # The number that was given is the answer but for 0.001: that of its neighbors.
    assert abs(alone["bias"].value) < 0.002
    assert alone["sigma_mad"].value < 0.4 * prior["sigma_mad"].value
    assert alone["sigma_mad"].n_excluded == 4  # the column is known in all rows
    assert set(descriptions) == {"Prior", "r alone"}


def test_no_objects_to_score(case):
    target, encoded, weight, samples = part(case)
    nothing = evaluate_target(target, encoded, 0 * weight, samples)
    for s in nothing.scores():
        assert s.n_used == 0 and np.isnan(s.value), s.name
    assert nothing.figures() == {}
    picked = nothing.stamps(4)
    assert picked["largest errors"] == [] and len(picked["most certain"]) == 4


def test_a_family_of_classes_is_refused():
    target = Target("q", Bernoulli(), "q")
    with pytest.raises(PredictionError, match="cannot score target 'q'"):
        DensityEvaluation(target, np.zeros((2, 1)), np.ones(2), np.zeros((1, 2, 1)))


def test_stamps_are_the_extremes(case):
    target, encoded, weight, samples = part(case)
    picked = evaluate_target(target, encoded, weight, samples).stamps(5)
    table = target.family.summarize(samples)
    order = np.argsort(table["std"])  # NaN sorts last
    assert [s.row for s in picked["most certain"]] == order[:5].tolist()
    dz = np.abs(metrics.deviation(table["mean"][case.keep], encoded[case.keep, 0]))
    worst = case.keep[np.argsort(-dz)[:5]]
    assert [s.row for s in picked["largest errors"]] == worst.tolist()
    first = picked["largest errors"][0]
    assert first.label == f"{case.truth[first.row]:.{len(first.predicted) - 2}f}"
    assert first.is_error == (dz.max() > 0.05)
    assert first.title == f"{first.label} → {first.predicted}"


def test_figures_of_redshifts(sure):
    mag = np.where(np.arange(N) % 7 == 0, np.nan, np.linspace(15, 18, N))
    evaluation = evaluate_target(*part(sure))
    drawn = evaluation.figures({"r [mag]": mag, "empty": np.full(N, np.nan)})
    assert set(drawn) == {*evaluation.get_figure_specs(), "by_r [mag]"}
    for kind in ("against_truth", "pit", "stacked"):
        assert render_svg(drawn[kind]).startswith("<svg")
    steps = [p for p in drawn["pit"].axes[0].patches if isinstance(p, StepPatch)]
    counts = steps[0].get_data().values
    assert counts.mean() == pytest.approx(1)
    assert counts[0] > 1.5 and counts[9] < 0.9  # the valley of over-confidence
    panels = drawn["examples"].axes
    assert len(panels) == 12
    truth = [axes.lines[-1].get_xdata()[0] for axes in panels[-4:]]
    worst = evaluation.stamps(4)["largest errors"]
    np.testing.assert_allclose(truth, sure.truth[[s.row for s in worst]], rtol=1e-6)


def test_trend_finds_a_slope_where_there_is_one():
    rng = np.random.default_rng(0)
    mag = rng.uniform(14, 18, 4000)
    dz = rng.normal(0.01 * (mag - 16), 0.005 * (mag - 13))
    mag[:9] = np.nan
    found = metrics.trend(dz, mag, n_bins=8)
    assert found.n_excluded == 9 and found.count.sum() == 3991
    assert np.ptp(found.count) <= 1
    expected = 0.01 * (found.center - 16)
    error = np.diff(found.bias_interval, axis=0)[0]
    assert np.all(np.abs(found.bias - expected) < error)
    assert found.sigma[-1] > 3 * found.sigma[0]
    assert len(metrics.trend(dz, np.full(4000, 3.0)).count) == 1
    assert len(metrics.trend(dz[:25], mag[9:34]).count) == 2


def test_regression_scores_residuals_and_not_those_of_redshifts():
    rng = np.random.default_rng(3)
    truth = rng.uniform(-4, 8, 500)
    mean = truth + rng.normal(0, 0.7, 500)
    target = Target("ttype", Gaussian(-6.0, 11.0, 170), "t")
    samples = np.stack([mean, np.full(500, 0.7)], axis=1)[None]
    encoded, weight = target.encode(truth)
    evaluation = evaluate_target(target, encoded, weight, samples)
    found = by_name(evaluation.scores(n_resamples=100))
    off = mean - truth
    assert found["rmse"].value == pytest.approx(np.sqrt((off**2).mean()), rel=1e-3)
    assert found["mean_absolute"].value == pytest.approx(np.abs(off).mean(), rel=1e-3)
    assert found["bias"].value == pytest.approx(off.mean(), abs=1e-3)
    assert found["crps"].value == pytest.approx(0.7 / np.sqrt(np.pi), rel=0.1)
    assert "eta_005" not in found
    assert set(evaluation.figures()) == set(evaluation.get_figure_specs())
    worst = evaluation.stamps(3)["largest errors"][0]
    assert worst.row == int(np.abs(off).argmax())


def test_chapters_of_a_redshift_without_images(sure):
    case = sure
    scores = score(case.task, case.encoded, case.weights, case.samples, n_resamples=50)
    evaluations = evaluate(case.task, case.encoded, case.weights, case.samples)
    chapters = figure_chapters(case.task, evaluations, by={"r [mag]": case.truth})
    assert [c.title for c in chapters] == ["Redshifts", "Uncertainty", "Objects"]
    captions = [picture.caption for picture in chapters[0].figures]
    assert any("in bins of r [mag]" in caption for caption in captions)
    assert any("Predicted with 5 draws" in line for line in chapters[1].text)
    no_images = gallery_chapter(case.task, evaluations, lambda rows: np.zeros((len(rows), 0, 0, 0)))
    assert no_images is None
    images = np.random.default_rng(0).normal(size=(N, 12, 12, 1))
    gallery = gallery_chapter(case.task, evaluations, lambda rows: images[rows], count=3)
    assert "photometric redshift" in gallery.text[0] and len(gallery.figures) == 3
    table = scores_chapter(case.task, scores)
    assert any("mean of p(z)" in line for line in table.text)
    assert not any("mean of p(z)" in cell for row in table.tables[0].rows for cell in row)
    head = make_headline(case.task, scores, {"other": []})
    assert head.name == "Scatter, sigma_MAD, z" and head.baselines == []
    assert "point estimate: mean of p(z)" in head.sentence


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("family", [Binned(LOW, HIGH, 40), Gaussian(LOW, HIGH, 40)])
def test_few_equal_objects_are_scored_and_plotted(n, family):
    target = Target("z", family, "z")
    samples = family.from_values(np.full((n, 9), 0.1))[None]
    evaluation = evaluate_target(target, *target.encode(np.full(n, 0.1)), samples)
    assert evaluation.scores(n_resamples=10)[0].n_used == n
    drawn = evaluation.figures({"mag": np.full(n, 17.0)})
    assert all(len(figure.axes) for figure in drawn.values())
