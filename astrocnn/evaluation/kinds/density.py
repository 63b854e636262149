"""One real number with a predictive density: a redshift, a T-type, a stellar mass.

Families whose errors are relative (`QuantityFamily.relative_errors`) are scored as photometric
redshifts are, on dz = (z_pred - z_true) / (1 + z_true); all others on plain residuals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import cramervonmises, kstwo

from astrocnn import metrics
from astrocnn.evaluation import figures
from astrocnn.evaluation.baselines import ConstantBaseline, Neighbors, fit_neighbors, fit_prior
from astrocnn.evaluation.kinds.base import (
    Array,
    FigureSpec,
    ScoreLabel,
    TargetEvaluation,
    join_notes,
)
from astrocnn.metrics import Densities, Score
from astrocnn.metrics.density import MASS_FLOOR, PIT_FLOOR, pit
from astrocnn.metrics.intervals import Statistic
from astrocnn.report.gallery import Stamp
from astrocnn.targets import QuantityFamily, Target

__all__ = ["DensityEvaluation"]

OUTLIERS = (0.05, 0.15)
"""Thresholds on |dz| beyond which a redshift is an outlier, by the customs of SDSS and Euclid."""

_OTHER_POINTS = ("median", "mode")
_LEVELS = (68, 95)
_ETA = {f"eta_{round(100 * limit):03d}": limit for limit in OUTLIERS}
_EXAMPLES = 4
_ELEMENTS_AT_ONCE = 1 << 22


class DensityEvaluation(TargetEvaluation):
    """Predictive densities beside true values; see `TargetEvaluation`."""

    FAMILY: ClassVar[type] = QuantityFamily
    SCORES: ClassVar[Mapping[str, ScoreLabel]] = {
        "rmse": ScoreLabel("Root mean square error"),
        "mean_absolute": ScoreLabel("Mean absolute error"),
        "sigma_mad": ScoreLabel("Scatter, sigma_MAD"),
        "sigma_iqr": ScoreLabel("Scatter, sigma_IQR"),
        "bias": ScoreLabel("Bias, mean error"),
        "bias_median": ScoreLabel("Bias, median error"),
        **{
            name: ScoreLabel(f"Outliers, |dz| > {limit}", percent=True)
            for name, limit in _ETA.items()
        },
        "outliers_rail": ScoreLabel("Outliers, |dz| > max(0.06, 3 sigma_IQR)", percent=True),
        **{f"{p}_bias": ScoreLabel(f"Bias of the {p}, mean error") for p in _OTHER_POINTS},
        **{f"{p}_sigma_mad": ScoreLabel(f"Scatter of the {p}, sigma_MAD") for p in _OTHER_POINTS},
        "crps": ScoreLabel("CRPS"),
        "cde_loss": ScoreLabel("CDE loss (for ranking; no zero point)"),
        "nll": ScoreLabel("Negative log-likelihood [nat]"),
        "pit_ks": ScoreLabel("PIT, Kolmogorov-Smirnov distance"),
        "pit_cvm": ScoreLabel("PIT, Cramér-von Mises statistic"),
        "pit_ad": ScoreLabel("PIT, Anderson-Darling statistic"),
        "pit_outliers": ScoreLabel("PIT below 0.0001 or above 0.9999", percent=True),
        **{
            f"coverage_{p}": ScoreLabel(f"Coverage of the {p} % highest-density sets", percent=True)
            for p in _LEVELS
        },
        **{
            f"conf{p}_coverage": ScoreLabel(f"Coverage of the conformal {p} % intervals")
            for p in _LEVELS
        },
        **{
            f"conf{p}_width": ScoreLabel(f"Mean width of the conformal {p} % intervals")
            for p in _LEVELS
        },
        "spread": ScoreLabel("Mean predicted standard deviation"),
        "spread_epistemic": ScoreLabel("Mean epistemic part (between draws)"),
    }

    @property
    def is_relative(self) -> bool:
        """Whether errors are divided by 1 + truth."""
        return _is_relative(self.target)

    def describe_unlabelled(self) -> str:
        return f"without a value between {self.family.low:g} and {self.family.high:g}"

    @property
    def family(self) -> QuantityFamily:
        """The family of the target."""
        assert isinstance(self.target.family, QuantityFamily)
        return self.target.family

    def _prepare(self) -> None:
        family, edges = self.family, np.asarray(self.family.edges, np.float64)
        self.truth: Array = family.to_values(self.encoded[self.rows])
        n, n_bins = len(self), len(edges) - 1
        masses, below = np.empty((n, n_bins)), np.empty(n)
        self.stacked: Array = np.zeros((len(self.samples), n_bins))
        self.columns: dict[str, Array] = {c.name: np.empty(n) for c in family.columns()}
        # A few objects at a time: all draws of all bins would not fit into memory.
        for part in _split_chunks(n, len(self.samples) * len(edges)):
            chosen = self.samples[:, self.rows[part]]
            draws = family.masses(chosen)
            masses[part] = draws.mean(axis=0)
            self.stacked += draws.sum(axis=1)
            below[part] = family.cumulative(chosen, self.truth[part]).mean(axis=0)
            for name, values in family.summarize(chosen).items():
                self.columns[name][part] = values
        self.densities = Densities(masses, edges)
        self.pit: Array = pit(below)

    @cached_property
    def credible(self) -> tuple[Array, Array]:
        """Position of each true value among the bins, densest first; see `Densities.credible`."""
        return self.densities.credible(self.truth)

    def compute_error(self, predicted: Array) -> Array:
        """Errors of a point estimate: divided by 1 + truth for families with relative errors."""
        if self.is_relative:
            return metrics.deviation(predicted, self.truth)
        return np.asarray(predicted, np.float64) - self.truth

    @cached_property
    def error(self) -> Array:
        """Errors of the mean of the density, of shape (m,)."""
        return self.compute_error(self.columns["mean"])

    # Scores

    def statistics(self) -> dict[str, Statistic]:
        return self._point_statistics() | self._density_statistics()

    def _point_statistics(self) -> dict[str, Statistic]:
        error = self.error
        common: dict[str, Statistic] = {
            "bias": partial(metrics.bias, error),
            "bias_median": partial(metrics.bias_median, error),
        }
        scatter: dict[str, Statistic] = {"sigma_mad": partial(metrics.sigma_mad, error)}
        # First the usual headline: scatter of redshifts, RMSE of other numbers.
        if self.is_relative:
            out = scatter | common | {"sigma_iqr": partial(metrics.sigma_iqr, error)}
            for name, limit in _ETA.items():
                out[name] = partial(metrics.outlier_fraction, error, limit)
            out["outliers_rail"] = partial(metrics.outliers_rail, error)
        else:
            out = {"rmse": lambda w: np.sqrt(metrics.average(error**2, w)), **common, **scatter}
            out["mean_absolute"] = partial(metrics.average, np.abs(error))
        for point in _OTHER_POINTS:
            other = self.compute_error(self.columns[point])
            out[f"{point}_bias"] = partial(metrics.bias, other)
            out[f"{point}_sigma_mad"] = partial(metrics.sigma_mad, other)
        return out

    def _density_statistics(self) -> dict[str, Statistic]:
        p, truth = self.densities, self.truth
        averages = {"crps": p.crps(truth), "cde_loss": p.cde_loss(truth), "nll": p.nll(truth)}
        out: dict[str, Statistic] = {
            name: partial(metrics.average, values) for name, values in averages.items()
        }
        out["pit_outliers"] = partial(metrics.pit_outliers, self.pit)
        for level in _LEVELS:
            covered = metrics.credible_coverage(*self.credible, level / 100)
            out[f"coverage_{level}"] = partial(metrics.average, covered)
        out["spread"] = partial(metrics.average, self.columns["std"])
        out["spread_epistemic"] = partial(metrics.average, self.columns["std_epistemic"])
        return out

    def extra_scores(self) -> list[Score]:
        """Distances of the PIT from uniform, with their p-values in place of intervals.

        They are positive even for a calibrated model, and larger for a resample than for the
        sample, so a bootstrap interval would mislead.
        """
        n, u = len(self), self.pit
        values = {
            name: float(getattr(metrics, name)(u)) for name in ("pit_ks", "pit_cvm", "pit_ad")
        }
        notes = dict.fromkeys(values, "")
        if n > 1:
            p_ks, p_cvm = kstwo.sf(values["pit_ks"], n), cramervonmises(u, "uniform").pvalue
            notes["pit_ks"] = f"p {_format_p(p_ks)} if calibrated"
            notes["pit_cvm"] = f"p {_format_p(p_cvm)} if calibrated"
            clipped = int(((u < PIT_FLOOR) | (u > 1 - PIT_FLOOR)).sum())
            notes["pit_ad"] = join_notes(
                "above 2.49 in 5 % of calibrated samples",
                f"{clipped} values of 0 or 1 moved by {PIT_FLOOR:.1g}" if clipped else "",
            )
        return [
            Score(name, value, np.nan, np.nan, n, note=notes[name])
            for name, value in values.items()
        ]

    def get_score_notes(self) -> dict[str, str]:
        notes = {
            name: self._point_note(self.target)
            for name in self._point_statistics()
            if not name.startswith(_OTHER_POINTS)
        }
        for name in self.get_binomial_trials():
            notes[name] = join_notes(notes.get(name, ""), "Wilson interval")
        notes["pit_outliers"] = "0.02 % if calibrated; Wilson interval"
        for level in _LEVELS:
            notes[f"coverage_{level}"] = f"sets trimmed to exactly {level} %"
        # A zero probability of the true bin would make the score infinite; `nll` raises it.
        edges = self.densities.edges
        place = np.clip(np.searchsorted(edges, self.truth, side="right") - 1, 0, len(edges) - 2)
        floored = int((self.densities.masses[np.arange(len(self)), place] < MASS_FLOOR).sum())
        raised = f"{floored} probabilities of the true bin raised to {MASS_FLOOR:.1g}"
        notes["nll"] = join_notes("of the binned density", raised if floored else "")
        return notes

    def get_binomial_trials(self) -> dict[str, int]:
        """Number of objects of each fraction with a Wilson interval."""
        return dict.fromkeys(("pit_outliers", *(_ETA if self.is_relative else ())), len(self))

    # Report

    @classmethod
    def _point_note(cls, target: Target) -> str:
        return f"point estimate: mean of {'p(z)' if _is_relative(target) else 'the density'}"

    @classmethod
    def get_sections(cls, target: Target) -> Mapping[str, tuple[str, ...]]:
        """Chapters of the report with their paragraphs."""
        return {
            _get_section(target): (),
            "Uncertainty": (
                "The density of an object is the mean over the draws. A flat PIT histogram alone "
                "proves little: the prior, which assigns the same density to every object, has "
                "one too. The CRPS and the CDE loss tell them apart; both are smaller for the "
                "better model.",
            ),
            "Objects": (),
        }

    @classmethod
    def get_shared_notes(cls, target: Target) -> dict[str, str]:
        """Notes of scores that the text explains once."""
        if _is_relative(target):
            text = (
                "Scatter, bias and outliers are those of dz = (z_phot - z_spec) / (1 + z_spec), "
                "where z_phot is the mean of p(z) unless the score names the median or the mode."
            )
        else:
            text = (
                "Errors are predicted minus true values, where the prediction is the mean of the "
                "density unless the score names the median or the mode."
            )
        return {cls._point_note(target): text}

    @classmethod
    def get_gallery_text(cls, target: Target) -> str:
        """Explanation of a gallery, for the report."""
        if _is_relative(target):
            noun, limit = "photometric redshift", f"|dz| > {OUTLIERS[0]:g}"
        else:
            noun, limit = "predicted value", "errors beyond three times the scatter"
        return (
            f"Below each stamp: true \u2192 {noun} and its standard deviation; orange for {limit}. "
            "Pink pixels have no data."
        )

    def get_figure_specs(self) -> Mapping[str, FigureSpec]:
        section = _get_section(self.target)
        if self.is_relative:
            predicted, true, symbol = "photometric redshift", "true redshift", "dz"
            lines = (
                f" Dashed: |dz| = {OUTLIERS[0]}, dotted: {OUTLIERS[1]}, where "
                "dz = (z_phot - z_spec) / (1 + z_spec)."
            )
        else:
            predicted, true, symbol, lines = "predicted value", "true value", "the error", ""
        specs = {
            "against_truth": FigureSpec(
                section,
                f"{predicted.capitalize()} (mean of the density) against {true}.{lines}",
                _plot_against_truth,
            ),
            "stacked": FigureSpec(
                section,
                f"Sum of all densities and histogram of the {true}s. The band is the spread over "
                "draws, which are joint over all objects. Below: excess over the histogram in "
                "units of its Poisson noise.",
                lambda e: figures.plot_stacked_densities(
                    e.stacked, e.densities.edges, e.truth, xlabel=e.symbol
                ),
            ),
            "error_by_truth": FigureSpec(
                section,
                f"Bias and scatter of {symbol} in bins of the {true} with equal numbers of "
                "objects, with 95 % bootstrap intervals. A slope is expected even of a perfect "
                "model, whose predictions regress to the mean.",
                lambda e: e.plot_errors(e.truth, e.axis_labels[0]),
            ),
            "error_by_prediction": FigureSpec(
                section,
                f"The same in bins of the {predicted}, as objects would be selected. A perfect "
                "model has no bias here.",
                lambda e: e.plot_errors(e.columns["mean"], e.axis_labels[1]),
            ),
        }
        return specs | _DENSITY_FIGURES

    def get_column_spec(self, name: str, column: Array) -> FigureSpec:
        """Bias and scatter along a column."""
        symbol = "dz" if self.is_relative else "the error"
        return FigureSpec(
            _get_section(self.target),
            f"Bias and scatter of {symbol} in bins of {name} with equal numbers of objects.",
            lambda e: e.plot_errors(column, name),
        )

    @property
    def symbol(self) -> str:
        """The value as an axis is labelled with it."""
        return "$z$" if self.is_relative else self.target.name.replace("_", " ")

    @property
    def axis_labels(self) -> tuple[str, str]:
        """Labels of the true and of the predicted value."""
        if self.is_relative:
            return r"$z_{\mathrm{spec}}$", r"$z_{\mathrm{phot}}$"
        return f"true {self.symbol}", f"predicted {self.symbol}"

    def plot_errors(self, by: Array, xlabel: str) -> Figure:
        """Bias and scatter in bins of values given for the scored rows."""
        symbol = r"\Delta z" if self.is_relative else r"\Delta"
        return figures.plot_errors(self.error, by, xlabel=xlabel, symbol=symbol)

    def stamps(self, count: int = 12) -> dict[str, list[Stamp]]:
        """The narrowest densities, the widest, and the largest errors."""
        evaluation = self.with_unlabelled()
        labelled = self.weight[evaluation.rows] > 0
        spread, mean = evaluation.columns["std"], evaluation.columns["mean"]
        size = np.abs(evaluation.error)
        limit = OUTLIERS[0]
        if not self.is_relative:
            # The median of |error| is that of a half normal distribution: 1.4826 of it is sigma.
            limit = 3 * 1.4826 * float(np.median(size[labelled])) if labelled.any() else np.inf
        typical = float(np.median(spread)) if len(spread) else 1.0
        # Decimals that show a typical spread with two significant digits.
        digits = int(np.clip(1 - np.floor(np.log10(max(typical, 1e-6))), 0, 6))

        def stamp(i: int) -> Stamp:
            label = f"{evaluation.truth[i]:.{digits}f}" if labelled[i] else ""
            return Stamp(
                int(evaluation.rows[i]),
                label,
                f"{mean[i]:.{digits}f}",
                f"\u00b1 {spread[i]:.{digits}f}",
                bool(labelled[i] and size[i] > limit),
            )

        return self._choose_stamps(stamp, spread, size, labelled, count)

    def calibration_data(self) -> Array:
        """PIT values, of shape (1, m)."""
        return self.pit[None]

    # Baselines

    @classmethod
    def fit_baselines(
        cls, target: Target, encoded: ArrayLike, weight: ArrayLike
    ) -> tuple[ConstantBaseline, ...]:
        """The distribution of the training labels.

        Its mean is that of the training labels, so `fit_mean` has the same point scores.
        """
        return (fit_prior(target, encoded, weight),)

    @classmethod
    def fit_column_baseline(
        cls, target: Target, name: str, values: ArrayLike, encoded: ArrayLike, weight: ArrayLike
    ) -> Neighbors:
        """Nearest neighbors in one column."""
        return fit_neighbors(target, name, values, encoded, weight)


def _is_relative(target: Target) -> bool:
    return isinstance(target.family, QuantityFamily) and target.family.relative_errors


def _get_section(target: Target) -> str:
    return "Redshifts" if _is_relative(target) else "Values"


def _split_chunks(n: int, size: int) -> Iterator[slice]:
    step = max(1, _ELEMENTS_AT_ONCE // size)
    return (slice(start, start + step) for start in range(0, n, step))


def _format_p(value: float) -> str:
    return f"= {value:.2g}" if value >= 1e-4 else "< 0.0001"


def _plot_against_truth(e: DensityEvaluation) -> Figure:
    limits: tuple[float, ...] = ()
    text = rf"RMSE = {np.sqrt((e.error**2).mean()):.3g}"
    if e.is_relative:
        limits = OUTLIERS
        bias = f"{float(metrics.bias(e.error)):.5f}".replace("-", "\u2212")
        outliers = 100 * float(metrics.outlier_fraction(e.error, OUTLIERS[0]))
        text = (
            rf"$\sigma_{{\mathrm{{MAD}}}}$ = {float(metrics.sigma_mad(e.error)):.4f}"
            f"\nbias = {bias}\n"
            rf"$\eta_{{{OUTLIERS[0]}}}$ = {outliers:.2f} %"
        )
    true, predicted = e.axis_labels
    return figures.plot_against_truth(
        e.columns["mean"], e.truth, xlabel=true, ylabel=predicted, limits=limits, text=text
    )


def _plot_examples(e: DensityEvaluation) -> Figure:
    scored = set(e.rows.tolist())
    examples = [
        (kind, stamp.row)
        for kind, stamps in e.stamps(_EXAMPLES).items()
        for stamp in stamps
        if stamp.row in scored
    ]
    rows = np.array([row for _, row in examples], np.intp)
    return figures.plot_densities(
        e.family.masses(e.samples[:, rows]),
        e.densities.edges,
        e.truth[np.searchsorted(e.rows, rows)],
        labels=[kind for kind, _ in examples],
        xlabel=e.symbol,
    )


_DENSITY_FIGURES = {
    "pit": FigureSpec(
        "Uncertainty",
        "Histogram of the PIT, the predicted probability of at most the true value: flat for a "
        "calibrated model. A valley in the middle means overconfidence, a hill underconfidence, "
        "a slope a bias. Gray: expected scatter of a uniform distribution.",
        lambda e: figures.plot_pit_histogram({"": e.pit}),
    ),
    "qq": FigureSpec(
        "Uncertainty",
        "Q-Q plot of the PIT: fraction of objects below each value. Below: difference from the "
        "diagonal; gray, 95 % of calibrated samples at each point; dotted, 95 % of their largest "
        "differences.",
        lambda e: figures.plot_qq({"": e.pit}),
    ),
    "credible": FigureSpec(
        "Uncertainty",
        "Coverage: fraction of true values inside highest-density sets of a given probability. "
        "Below the diagonal the densities are too narrow. The band is a 95 % interval.",
        lambda e: figures.plot_credible_sets(*e.credible),
    ),
    "examples": FigureSpec(
        "Objects",
        "Densities of single objects: mean over draws (dark), draws (light) and true value "
        "(orange). First the narrowest, then the widest, then those with the largest errors.",
        _plot_examples,
    ),
}
