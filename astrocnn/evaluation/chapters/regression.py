"""A number that is no redshift, a T-type for instance: scores, and the pictures of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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

NAMES = {
    "rmse": "Root mean square error",
    "mean_absolute": "Mean absolute error",
    **_numbers.NAMES,
}
PERCENT = _numbers.PERCENT
CAPTIONS = {
    "value_against_truth": (
        "Values",
        "Predicted value (mean of the density) against the true one.",
    ),
    "residual_by_truth": (
        "Values",
        "Bias and scatter in bins of the true value that hold equally many objects, with 95 % "
        "bootstrap intervals. Even a perfect forecaster has a slope here: it draws the ends "
        "towards the middle.",
    ),
    "residual_by_prediction": (
        "Values",
        "The same in bins of the predicted value. A perfect forecaster has no bias here.",
    ),
    "stacked_values": (
        "Values",
        "The sum of all densities against the histogram of the true values. The band is the "
        "spread over draws, which are joint over all objects.",
    ),
    **_numbers.CAPTIONS,
}
TEXT = {
    "Values": (),
    **_numbers.TEXT,
}
POINT = "of the mean of the density"
SAID = {
    POINT: "Errors, scatter and bias are those of the predicted less the true value, where the "
    "mean of the density is the prediction unless the score names the median or the mode."
}
BY = "Bias and scatter in bins of {} that hold equally many objects."
GALLERY = (
    "Below each stamp: true \u2192 predicted value and its predicted spread, orange for errors "
    "beyond three times the scatter. Pink pixels have no data."
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
        Rows without a value in range or without a prediction are excluded and counted.
    """
    q = measured(target, encoded, weight, samples)
    points = _points(q)
    notes = dict.fromkeys(points, POINT)
    for point in POINTS[1:]:
        other = _residual(q.columns[point], q.truth)
        points[f"{point}_bias"] = partial(metrics.bias, other)
        points[f"{point}_sigma_mad"] = partial(metrics.sigma_mad, other)
    densities, more = _numbers.density_scores(q)
    return _numbers.finished(
        target,
        q,
        points | densities,
        notes | more,
        fractions=("pit_outliers",),
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
    off = _residual(q.columns["mean"], q.truth)
    return {
        "rmse": lambda w: np.sqrt(metrics.average(off**2, w)),
        "bias": partial(metrics.bias, off),
        "bias_median": partial(metrics.bias_median, off),
        "sigma_mad": partial(metrics.sigma_mad, off),
        "mean_absolute": partial(metrics.average, np.abs(off)),
    }


def across(parts: Sequence[tuple[Target, Any, Any, Any]], **options: Any) -> list[Score]:
    """Several numbers, of several units, have no common score."""
    return []


def figures(
    target: Target,
    encoded: Any,
    weight: Any,
    samples: Any,
    by: Mapping[str, Any] | None = None,
) -> dict[str, Figure]:
    """Value against truth, residuals, stacked densities, PIT, QQ, credible sets, objects.

    Parameters
    ----------
    target, encoded, weight, samples
        As for `scores`.
    by : mapping of str to array_like of shape (n,), optional
        More columns along which to show bias and scatter, by their name on the axis.
    """
    from astrocnn.evaluation import figures as draw

    q = measured(target, encoded, weight, samples)
    if not len(q):
        return {}
    mean, name = q.columns["mean"], _numbers.symbol_of(target)
    off = _residual(mean, q.truth)
    said = rf"RMSE = {np.sqrt((off**2).mean()):.3g}"
    words: dict[str, str] = {"symbol": r"\Delta"}
    out = {
        "value_against_truth": draw.plot_against_truth(
            mean, q.truth, xlabel=f"true {name}", ylabel=f"predicted {name}", limits=(), text=said
        ),
        "stacked_values": draw.plot_stacked_densities(
            q.stacked, q.densities.edges, q.truth, xlabel=name
        ),
        "residual_by_truth": draw.plot_errors(off, q.truth, xlabel=f"true {name}", **words),
        "residual_by_prediction": draw.plot_errors(off, mean, xlabel=f"predicted {name}", **words),
    }
    for column, values in (by or {}).items():
        along = np.asarray(values, np.float64)[q.rows]
        if np.isfinite(along).any():
            out[f"residual_by_{column}"] = draw.plot_errors(off, along, xlabel=column, **words)
    found = _numbers.picked(stamps(target, encoded, weight, samples, 4), q.rows)
    return out | _numbers.density_figures(target, samples, q, found)


def stamps(
    target: Target, encoded: Any, weight: Any, samples: Any, count: int = 12
) -> dict[str, list[Stamp]]:
    """Objects worth looking at: the narrowest density, the widest, the farthest off."""
    return _numbers.objects(target, encoded, weight, samples, count, _residual, _three_sigma)


def _residual(predicted: Any, truth: Any) -> NDArray[np.float64]:
    return np.asarray(predicted, np.float64) - np.asarray(truth, np.float64)


def _three_sigma(off: NDArray[np.float64]) -> float:
    # The median of |off| is that of a half normal distribution: 1.4826 of it is its sigma.
    return 3 * 1.4826 * float(np.median(off))
