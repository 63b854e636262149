"""Photometric redshifts: point scores, scores of p(z), and the pictures of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocnn import metrics
from astrocnn.evaluation.chapters import _numbers
from astrocnn.evaluation.chapters._numbers import POINTS, baselines, by_number
from astrocnn.evaluation.quantities import Quantities, measured
from astrocnn.metrics import Score
from astrocnn.metrics.intervals import Statistic
from astrocnn.report.gallery import Stamp
from astrocnn.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["across", "baselines", "by_number", "figures", "scores", "stamps", "statistics"]

OUTLIER = 0.05
"""|dz| above which a gallery calls an object wrong, by the custom of SDSS."""

NAMES = {
    "eta_005": "Outliers, |dz| > 0.05",
    "eta_015": "Outliers, |dz| > 0.15",
    "outliers_rail": "Outliers, |dz| > max(0.06, 3 sigma_IQR)",
    **_numbers.NAMES,
}
PERCENT = ("eta_", "outliers_", *_numbers.PERCENT)
CAPTIONS = {
    "against_truth": (
        "Redshifts",
        "Photometric (mean of the density) against true redshift. Dashed: |dz| = 0.05, dotted: "
        "0.15, where dz = (z_phot - z_spec) / (1 + z_spec).",
    ),
    "deviation_by_truth": (
        "Redshifts",
        "Bias and scatter in bins of the true redshift that hold equally many objects, with 95 % "
        "bootstrap intervals. Even a perfect forecaster has a slope here: it draws the ends "
        "towards the middle.",
    ),
    "deviation_by_prediction": (
        "Redshifts",
        "The same in bins of the photometric redshift, as one would choose objects. A perfect "
        "forecaster has no bias here.",
    ),
    "stacked": (
        "Redshifts",
        "The sum of all densities against the histogram of the true redshifts. The band is the "
        "spread over draws, which are joint over all objects. Below: the excess over the "
        "histogram in units of its Poisson noise.",
    ),
    **_numbers.CAPTIONS,
}
TEXT = {
    "Redshifts": (),
    **_numbers.TEXT,
}
POINT = "of the mean of p(z)"
SAID = {
    POINT: "Scatter, bias and outliers are those of dz = (z_phot - z_spec) / (1 + z_spec), with "
    "the mean of p(z) as z_phot unless the score names the median or the mode."
}
BY = "Bias and scatter of dz in bins of {} that hold equally many objects."
GALLERY = (
    "Below each stamp: true \u2192 photometric redshift and its predicted spread, orange where "
    f"|dz| > {OUTLIER:g}. Pink pixels have no data."
)


def scores(
    target: Target,
    encoded: Any,
    weight: Any,
    samples: Any,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> list[Score]:
    """All scores of one target.

    Parameters
    ----------
    target : Target
        What was predicted.
    encoded, weight : array_like of shape (n, 1) and (n,)
        Labels as `Target.encode` gives them.
    samples : array_like of shape (n_draws, n, units)
        Activated samples.
    n_resamples : int
        Bootstrap resamples behind the intervals.
    seed : int
        Of the bootstrap.

    Returns
    -------
    scores : list of Score
        Rows without a redshift in range or without a prediction are excluded and counted.
    """
    q = measured(target, encoded, weight, samples)
    points = _points(q)
    notes = dict.fromkeys(points, POINT)
    for name in ("eta_005", "eta_015"):
        notes[name] += "; Wilson interval"
    for point in POINTS[1:]:
        other = metrics.deviation(q.columns[point], q.truth)
        points[f"{point}_bias"] = partial(metrics.bias, other)
        points[f"{point}_sigma_mad"] = partial(metrics.sigma_mad, other)
    densities, more = _numbers.density_scores(q)
    return _numbers.finished(
        target,
        q,
        points | densities,
        notes | more,
        fractions=("eta_005", "eta_015", "pit_outliers"),
        n_resamples=n_resamples,
        seed=seed,
    )


def statistics(target: Target, encoded: Any, weight: Any, samples: Any) -> dict[str, Statistic]:
    """Statistics of one target by the name of their score, over the rows that can be scored.

    See `scores`; two predictors of the same rows are compared by these.
    """
    q = measured(target, encoded, weight, samples)
    return _points(q) | _numbers.density_scores(q)[0]


def _points(q: Quantities) -> dict[str, Statistic]:
    dz = metrics.deviation(q.columns["mean"], q.truth)
    return {
        "sigma_mad": partial(metrics.sigma_mad, dz),
        "bias": partial(metrics.bias, dz),
        "bias_median": partial(metrics.bias_median, dz),
        "sigma_iqr": partial(metrics.sigma_iqr, dz),
        "eta_005": partial(metrics.outlier_fraction, dz, 0.05),
        "eta_015": partial(metrics.outlier_fraction, dz, 0.15),
        "outliers_rail": partial(metrics.outliers_rail, dz),
    }


def across(parts: Sequence[tuple[Target, Any, Any, Any]], **options: Any) -> list[Score]:
    """Several redshifts have no common score."""
    return []


def figures(
    target: Target,
    encoded: Any,
    weight: Any,
    samples: Any,
    by: Mapping[str, Any] | None = None,
) -> dict[str, Figure]:
    """Photometric against true, bias and scatter, n(z), PIT, QQ, credible sets, single objects.

    Parameters
    ----------
    target, encoded, weight, samples
        As for `scores`.
    by : mapping of str to array_like of shape (n,), optional
        More columns along which to show bias and scatter, by their name on the axis: magnitudes.
    """
    from astrocnn.evaluation import figures as draw

    q = measured(target, encoded, weight, samples)
    if not len(q):
        return {}
    mean = q.columns["mean"]
    dz = metrics.deviation(mean, q.truth)
    out = {
        "against_truth": draw.plot_against_truth(mean, q.truth, text=_said(dz)),
        "stacked": draw.plot_stacked_densities(q.stacked, q.densities.edges, q.truth),
        "deviation_by_truth": draw.plot_errors(dz, q.truth, xlabel=r"$z_{\mathrm{spec}}$"),
        "deviation_by_prediction": draw.plot_errors(dz, mean, xlabel=r"$z_{\mathrm{phot}}$"),
    }
    for name, column in (by or {}).items():
        along = np.asarray(column, np.float64)[q.rows]
        if np.isfinite(along).any():
            out[f"deviation_by_{name}"] = draw.plot_errors(dz, along, xlabel=name)
    found = _numbers.picked(stamps(target, encoded, weight, samples, 4), q.rows)
    return out | _numbers.density_figures(target, samples, q, found)


def stamps(
    target: Target, encoded: Any, weight: Any, samples: Any, count: int = 12
) -> dict[str, list[Stamp]]:
    """Objects worth looking at: the narrowest p(z), the widest, the farthest off in dz."""
    return _numbers.objects(
        target, encoded, weight, samples, count, metrics.deviation, lambda off: OUTLIER
    )


def _said(dz: Any) -> str:
    bias = f"{float(metrics.bias(dz)):.5f}".replace("-", "\u2212")
    return (
        rf"$\sigma_{{\mathrm{{MAD}}}}$ = {float(metrics.sigma_mad(dz)):.4f}"
        f"\nbias = {bias}\n"
        rf"$\eta_{{0.05}}$ = {100 * float(metrics.outlier_fraction(dz, 0.05)):.2f} %"
    )
