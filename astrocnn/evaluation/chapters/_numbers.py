"""What the chapters of redshifts and of other numbers share: scores of densities, and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import cramervonmises, kstwo

from astrocnn import metrics
from astrocnn.evaluation.priors import Neighbors, Prior, fit_neighbors, fit_prior
from astrocnn.evaluation.quantities import Quantities, family_of, measured
from astrocnn.metrics import Score
from astrocnn.metrics.density import MASS_FLOOR
from astrocnn.metrics.intervals import Statistic
from astrocnn.metrics.pit import PIT_FLOOR
from astrocnn.report.gallery import Stamp
from astrocnn.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "NAMES",
    "baselines",
    "by_number",
    "density_figures",
    "density_scores",
    "finished",
    "fraction",
    "objects",
    "picked",
]

POINTS = ("mean", "median", "mode")

NAMES = {
    "sigma_mad": "Scatter, sigma_MAD",
    "sigma_iqr": "Scatter, sigma_IQR",
    "bias": "Bias, mean deviation",
    "bias_median": "Bias, median deviation",
    **{f"{p}_bias": f"Bias of the {p}, mean deviation" for p in POINTS[1:]},
    **{f"{p}_sigma_mad": f"Scatter of the {p}, sigma_MAD" for p in POINTS[1:]},
    "crps": "CRPS",
    "cde_loss": "CDE loss (ranks; no zero)",
    "nll": "Negative log likelihood [nat]",
    "pit_ks": "PIT, Kolmogorov-Smirnov distance",
    "pit_cvm": "PIT, Cramer-von Mises statistic",
    "pit_ad": "PIT, Anderson-Darling statistic",
    "pit_outliers": "PIT below 0.0001 or above 0.9999",
    "coverage_68": "Truths in the 68 % highest-density sets",
    "coverage_95": "Truths in the 95 % highest-density sets",
    **{f"conf{p}_coverage": f"Truths in the conformal {p} % intervals" for p in (68, 95)},
    **{f"conf{p}_width": f"Mean width of the conformal {p} % intervals" for p in (68, 95)},
    "spread": "Mean predicted spread",
    "spread_epistemic": "of which between draws (epistemic)",
}

PERCENT = ("pit_outliers", "coverage_")

CAPTIONS = {
    "pit": (
        "Uncertainty",
        "The probability foretold below the true value, for all objects: flat when densities mean "
        "what they say. A valley in the middle is over-confidence, a hill the contrary, a slope a "
        "bias. Gray: what chance alone does.",
    ),
    "qq": (
        "Uncertainty",
        "The same, summed: the fraction of objects below each PIT. Below, the difference from the "
        "diagonal; gray, where 95 % of calibrated samples lie at each point.",
    ),
    "credible": (
        "Uncertainty",
        "How many truths the highest-density sets of a given probability hold. Below the diagonal "
        "the densities are too narrow. The band is a 95 % interval.",
    ),
    "examples": (
        "Objects",
        "Densities of single objects: the mean over draws (dark), the draws (light) and the true "
        "value (orange). First the narrowest, then the widest, then those farthest off.",
    ),
}

TEXT = {
    "Uncertainty": (
        "The density of an object is the mean over the draws. A flat PIT alone proves little: the "
        "prior, which gives everybody the same density, has one too. The CRPS and the CDE loss "
        "tell them apart; both are smaller for the better forecaster.",
    ),
    "Objects": (),
}


def density_scores(q: Quantities) -> tuple[dict[str, Statistic], dict[str, str]]:
    """Statistics of the densities for the bootstrap, and what the reader must know of them."""
    u, p, truth = q.pit, q.densities, q.truth
    each = {"crps": p.crps(truth), "cde_loss": p.cde_loss(truth), "nll": p.nll(truth)}
    for level in (68, 95):
        each[f"coverage_{level}"] = metrics.held(*q.credible, level / 100)
    each["spread"] = q.columns["std"]
    each["spread_epistemic"] = q.columns["std_epistemic"]
    out: dict[str, Statistic] = {
        name: partial(metrics.average, values) for name, values in each.items()
    }
    out["pit_outliers"] = partial(metrics.pit_outliers, u)
    order = [n for n in NAMES if n in out]
    return {name: out[name] for name in order}, _notes(q)


def fit_scores(q: Quantities) -> list[Score]:
    """Distances of the PIT from uniform, with what chance makes of them instead of an interval.

    They are zero for nobody, and a resample is always farther off than the sample.
    """
    n, u = len(q), q.pit
    found = []
    for name in ("pit_ks", "pit_cvm", "pit_ad"):
        value = float(getattr(metrics, name)(u))
        if n < 2:
            note = ""
        elif name == "pit_ks":
            note = f"p {_p(kstwo.sf(value, n))} if calibrated"
        elif name == "pit_cvm":
            note = f"p {_p(cramervonmises(u, 'uniform').pvalue)} if calibrated"
        else:
            note = "above 2.49 in 5 % of calibrated samples"
            clipped = int(((u < PIT_FLOOR) | (u > 1 - PIT_FLOOR)).sum())
            note += f"; {clipped} values at 0 or 1 count as {PIT_FLOOR:.1g} off" if clipped else ""
        found.append(Score(name, value, np.nan, np.nan, n, note=note))
    return found


def fraction(score: Score, note: str = "") -> Score:
    """A fraction with Wilson's interval: the bootstrap gives none to what never happened."""
    if not np.isfinite(score.value):
        return score
    low, high = metrics.wilson(score.value * score.n_used, score.n_used, score.level)
    return replace(score, low=float(low), high=float(high), note=note or score.note)


def finished(
    target: Target,
    q: Quantities,
    statistics: Mapping[str, Statistic],
    notes: Mapping[str, str],
    *,
    fractions: tuple[str, ...],
    n_resamples: int,
    seed: int,
) -> list[Score]:
    """Scores with intervals, notes, and the count of what was left out."""
    found = metrics.bootstrap(statistics, len(q), n_resamples=n_resamples, seed=seed)
    for name in fractions:
        if n_resamples:
            found[name] = fraction(found[name])
    scores = [*found.values(), *fit_scores(q)]
    return [
        replace(
            score,
            target=target.name,
            n_excluded=q.n_excluded,
            reason=q.reason,
            note="; ".join(part for part in (notes.get(score.name, ""), score.note) if part),
        )
        for score in scores
    ]


def density_figures(target: Target, samples: Any, q: Quantities, stamps: Any) -> dict[str, Figure]:
    """PIT, QQ, credible sets, and the densities of a few objects."""
    from astrocnn.evaluation import figures as draw

    family = family_of(target)
    shown = [(kind, stamp) for kind, found in stamps.items() for stamp in found[:4]]
    rows = np.array([stamp.row for _, stamp in shown], np.intp)
    place = np.searchsorted(q.rows, rows)
    return {
        "pit": draw.plot_pit_histogram({"": q.pit}),
        "qq": draw.plot_qq({"": q.pit}),
        "credible": draw.plot_credible_sets(*q.credible),
        "examples": draw.plot_densities(
            family.masses(np.asarray(samples)[:, rows]),
            q.densities.edges,
            q.truth[place],
            labels=[kind for kind, _ in shown],
            xlabel=symbol_of(target),
        ),
    }


def objects(
    target: Target,
    encoded: Any,
    weight: Any,
    samples: Any,
    count: int,
    error: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    limit: Callable[[NDArray[np.float64]], float],
) -> dict[str, list[Stamp]]:
    """The surest, the least sure and the worst; rows without a label cannot be the worst."""
    weight = np.asarray(weight)
    q = measured(target, encoded, np.ones(len(weight)), samples)
    labelled = weight[q.rows] > 0
    spread, mean = q.columns["std"], q.columns["mean"]
    off = np.abs(error(mean, q.truth))
    bad = off > limit(off[labelled]) if labelled.any() else np.zeros(len(q), bool)
    worst = [i for i in np.argsort(-off, kind="stable") if labelled[i]]
    chosen: dict[str, Any] = {
        "most certain": np.argsort(spread, kind="stable")[:count],
        "most uncertain": np.argsort(-spread, kind="stable")[:count],
        "most wrong": worst[:count],
    }
    digits = _digits(spread)
    return {
        kind: [
            Stamp(
                row=int(q.rows[i]),
                label=f"{q.truth[i]:.{digits}f}" if labelled[i] else "",
                predicted=f"{mean[i]:.{digits}f}",
                detail=f"\u00b1 {spread[i]:.{digits}f}",
                is_error=bool(labelled[i] and bad[i]),
            )
            for i in rows
        ]
        for kind, rows in chosen.items()
    }


def picked(stamps: Mapping[str, list[Stamp]], rows: NDArray[np.intp]) -> dict[str, list[Stamp]]:
    """Only the stamps of some rows."""
    known = set(rows.tolist())
    return {kind: [s for s in found if s.row in known] for kind, found in stamps.items()}


def baselines(target: Target, encoded: Any, weight: Any) -> tuple[Prior, ...]:
    """What one gets without looking: the distribution of the training labels.

    Its mean is that of the training labels, so `fit_mean` would have the same point scores.
    """
    return (fit_prior(target, encoded, weight),)


def by_number(target: Target, name: str, values: Any, encoded: Any, weight: Any) -> Neighbors:
    """What one gets from a single number."""
    return fit_neighbors(target, name, values, encoded, weight)


def symbol_of(target: Target) -> str:
    """The value as an axis calls it."""
    return "$z$" if target.family.chapter == "redshift" else target.name.replace("_", " ")


def _notes(q: Quantities) -> dict[str, str]:
    notes = {
        "coverage_68": "sets trimmed to exactly 68 %",
        "coverage_95": "sets trimmed to exactly 95 %",
        "pit_outliers": "0.02 % if calibrated; Wilson interval",
        "nll": "of the density in bins",
    }
    place = np.searchsorted(q.densities.edges, q.truth, side="right") - 1
    place = np.clip(place, 0, len(q.densities.widths) - 1)
    floored = int((q.densities.masses[np.arange(len(q)), place] < MASS_FLOOR).sum())
    if floored:
        notes["nll"] += f"; {floored} bins of the truth below {MASS_FLOOR:.1g} count as that"
    return notes


def _digits(spread: NDArray[np.float64]) -> int:
    """Digits behind the point that show a typical spread with two figures."""
    typical = float(np.median(spread)) if len(spread) else 1.0
    return int(np.clip(1 - np.floor(np.log10(max(typical, 1e-6))), 0, 6))


def _p(value: float) -> str:
    return f"= {value:.2g}" if value >= 1e-4 else "< 0.0001"
