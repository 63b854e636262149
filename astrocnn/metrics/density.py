"""Scores of predictive densities of one number: CRPS, CDE loss, likelihood, credible sets, PIT.

The probability integral transform is uniform for calibrated densities, but a PIT alone is gamed by
giving every object the n(z) of the sample: it belongs beside the CRPS or the CDE loss.  Statistics
of the PIT take weights of shape (..., n).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrocnn.errors import ConfigError
from astrocnn.metrics.weighted import average, ratio, validate_finite, validate_weights

__all__ = [
    "Densities",
    "MASS_FLOOR",
    "PIT_FLOOR",
    "crps_ensemble",
    "credible_coverage",
    "pit",
    "pit_ad",
    "pit_cvm",
    "pit_ks",
    "pit_outliers",
]

MASS_FLOOR: float = 2.0**-24
"""Bins with less probability than this count as this in the likelihood (float32 rounding)."""

PIT_FLOOR: float = 2.0**-24
"""Smallest distance from 0 and 1 in `pit_ad`: float32 cannot distinguish 1 - p from 1."""

_ELEMENTS_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Densities:
    """Densities of n objects, as probabilities in bins; flat within each bin.

    Every score is one number per object: `astrocnn.metrics.average` takes their mean.

    Parameters
    ----------
    masses : array_like of shape (n, n_bins)
        Probability in each bin; each row sums to 1.
    edges : array_like of shape (n_bins + 1,)
        Rising edges of the bins, not necessarily of equal width.

    Raises
    ------
    ConfigError
        If a probability is negative or not finite, a row does not sum to 1, or the edges do not
        rise or are of another number.

    Examples
    --------
    >>> flat = Densities([[0.5, 0.5]], [0.0, 0.5, 1.0])
    >>> round(float(flat.crps([0.5])[0]), 4), float(flat.cde_loss([0.5])[0])
    (0.0833, -1.0)
    """

    masses: NDArray[np.float64]
    edges: NDArray[np.float64]

    def __post_init__(self) -> None:
        m = validate_finite(self.masses, "probabilities", 2)
        edges = validate_finite(self.edges, "edges", 1)
        if len(edges) != m.shape[1] + 1 or np.any(np.diff(edges) <= 0) or len(edges) < 2:
            raise ConfigError(
                "Bins need rising edges, one more than there are bins.",
                received=f"{len(edges)} edges for {m.shape[1]} bins",
            )
        total = m.sum(axis=1)
        bad = np.flatnonzero((np.abs(total - 1) > 1e-3) | (m.min(axis=1) < -1e-6))
        if len(bad):
            raise ConfigError(
                f"{len(bad)} densities are negative somewhere or do not sum to 1.",
                received=f"row {bad[0]} sums to {total[bad[0]]:.6g}",
                hint="divide each row of probabilities by its sum",
            )
        m = np.clip(m, 0.0, None)
        object.__setattr__(self, "masses", m / m.sum(axis=1, keepdims=True))
        object.__setattr__(self, "edges", edges)

    def __len__(self) -> int:
        return len(self.masses)

    @property
    def widths(self) -> NDArray[np.float64]:
        """Width of each bin, of shape (n_bins,)."""
        return np.diff(self.edges)

    def at(self, truth: ArrayLike) -> NDArray[np.float64]:
        """Density at one value per object; 0 outside the bins.

        Parameters
        ----------
        truth : array_like of shape (n,)

        Returns
        -------
        ndarray of shape (n,)
            [1 / unit of the value]
        """
        x, bins, inside = self._place(truth)
        return np.where(inside, self.masses[np.arange(len(x)), bins] / self.widths[bins], 0.0)

    def cumulative(self, truth: ArrayLike) -> NDArray[np.float64]:
        """Probability of at most one value per object: the PIT when it is the true one."""
        x, bins, _ = self._place(truth)
        below = np.concatenate([np.zeros((len(x), 1)), np.cumsum(self.masses, axis=1)], axis=1)
        row = np.arange(len(x))
        share = np.clip((x - self.edges[bins]) / self.widths[bins], 0.0, 1.0)
        return np.clip(below[row, bins] + share * self.masses[row, bins], 0.0, 1.0)

    def nll(self, truth: ArrayLike) -> NDArray[np.float64]:
        """Negative log of the density at the truth [nat]; see `MASS_FLOOR`.

        Depends on the unit of the value, and may be negative; a true value outside the bins has
        the floor of the bin at the end.
        """
        _, bins, _ = self._place(truth)
        return -np.log(np.maximum(self.at(truth), MASS_FLOOR / self.widths[bins]))

    def cde_loss(self, truth: ArrayLike) -> NDArray[np.float64]:
        """Integral of p^2, less twice the density at the truth.

        Its mean estimates the squared distance from the true conditional densities up to a
        constant that no forecaster changes: it ranks, and has no zero.

        References
        ----------
        Izbicki and Lee (2017), Electron. J. Stat. 11, 2800, equation 7; Dalmasso et al. (2020).
        """
        return (self.masses**2) @ (1 / self.widths) - 2 * self.at(truth)

    def crps(self, truth: ArrayLike) -> NDArray[np.float64]:
        """Continuous ranked probability score, the integral of (F(x) - H(x - truth))^2.

        In closed form, for F is linear within a bin.

        Parameters
        ----------
        truth : array_like of shape (n,)
            True values; outside the bins the distance to them is added.

        Returns
        -------
        ndarray of shape (n,)
            In the unit of the value; |x - truth| for a density without width.

        References
        ----------
        Gneiting and Raftery (2007), JASA 102, 359, equation 20.
        """
        x = validate_finite(truth, "true values", 1)
        out = np.empty(len(self))
        for rows in self._blocks():
            out[rows] = self._crps(x[rows], self.masses[rows])
        return out

    def credible(self, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the truth stands among the bins, the densest first.

        The smallest highest-density set that holds the truth has at least `before` and at most
        `before + within`; a calibrated forecaster's truth is uniform over these intervals.

        Parameters
        ----------
        truth : array_like of shape (n,)
            True values; one outside the bins comes after them all.

        Returns
        -------
        before, within : ndarray of shape (n,)
            Probability in bins denser than that of the truth, and in those as dense as it.
        """
        _, bins, inside = self._place(truth)
        before, within = np.ones(len(self)), np.zeros(len(self))
        for rows in self._blocks():
            density = self.masses[rows] / self.widths
            mine = np.take_along_axis(density, bins[rows, None], axis=1)
            # Bins that differ by rounding alone are equally dense.
            denser = density > mine * (1 + 1e-9)
            equal = ~denser & (density >= mine * (1 - 1e-9))
            before[rows] = np.where(denser, self.masses[rows], 0.0).sum(axis=1)
            within[rows] = np.where(equal, self.masses[rows], 0.0).sum(axis=1)
        return np.where(inside, before, 1.0), np.where(inside, within, 0.0)

    def _place(
        self, truth: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
        x = validate_finite(truth, "true values", 1)
        if len(x) != len(self):
            raise ConfigError(
                "There must be one true value per density.", received=f"{len(x)} for {len(self)}"
            )
        last = len(self.edges) - 2
        bins = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, last)
        return x, bins, (x >= self.edges[0]) & (x <= self.edges[-1])

    def _blocks(self) -> Iterator[slice]:
        step = max(1, _ELEMENTS_AT_ONCE // self.masses.shape[1])
        return (slice(start, start + step) for start in range(0, len(self), step))

    def _crps(self, x: NDArray[np.float64], m: NDArray[np.float64]) -> NDArray[np.float64]:
        _, bins, _ = Densities(m, self.edges)._place(x)
        row, h = np.arange(len(x)), self.widths
        left = np.concatenate([np.zeros((len(x), 1)), np.cumsum(m, axis=1)], axis=1)
        left[:, -1] = 1.0
        lower_squares = h * _square(left[:, :-1], left[:, 1:])
        upper_squares = h * _square(1 - left[:, :-1], 1 - left[:, 1:])
        number = np.arange(len(h))
        out = np.where(number < bins[:, None], lower_squares, 0.0).sum(axis=1)
        out += np.where(number > bins[:, None], upper_squares, 0.0).sum(axis=1)
        fraction = np.clip((x - self.edges[bins]) / h[bins], 0.0, 1.0)
        a, b = left[row, bins], left[row, bins + 1]
        middle = a + fraction * (b - a)
        out += fraction * h[bins] * _square(a, middle)
        out += (1 - fraction) * h[bins] * _square(1 - middle, 1 - b)
        return out + np.abs(x - np.clip(x, self.edges[0], self.edges[-1]))


def credible_coverage(before: ArrayLike, within: ArrayLike, level: float) -> NDArray[np.float64]:
    """How much of each object's truth a highest-density set of a given probability holds.

    Whole bins overshoot: the least dense bin of a set enters with the share that makes its
    probability exactly `level`, and a truth in that bin counts by this share.  The mean is
    `level` for a calibrated forecaster, however coarse the bins.

    Parameters
    ----------
    before, within : array_like of shape (n,)
        From `Densities.credible`.
    level : float
        Probability of the sets.

    Returns
    -------
    ndarray of shape (n,)
        Between 0 and 1; its mean is the coverage.
    """
    a, b = validate_finite(before, "probabilities", 1), validate_finite(within, "probabilities", 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(b > 0, (level - a) / b, np.where(a < level, 1.0, 0.0))
    return np.clip(share, 0.0, 1.0)


def crps_ensemble(draws: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """CRPS of predictions that are given as equally probable values, E|X - y| - E|X - X'| / 2.

    Parameters
    ----------
    draws : array_like of shape (n, m)
        m values per object.
    truth : array_like of shape (n,)
        True values.

    References
    ----------
    Gneiting and Raftery (2007), equation 21.
    """
    x = np.sort(validate_finite(draws, "draws", 2), axis=1)
    y = validate_finite(truth, "true values", 1)
    m = x.shape[1]
    rank = 2.0 * np.arange(1, m + 1) - m - 1
    return np.abs(x - y[:, None]).mean(axis=1) - x @ rank / m**2


def _square(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the square of what runs linearly from a to b."""
    return (a * a + a * b + b * b) / 3


def pit(cumulative: ArrayLike) -> NDArray[np.float64]:
    """PIT values from the predicted probability of at most the true value.

    Parameters
    ----------
    cumulative : array_like of shape (n,)
        Each object's distribution function at its true value.

    Raises
    ------
    ConfigError
        If a value is not finite (it is never imputed), or outside [0, 1] by more than rounding.

    References
    ----------
    Dawid (1984), J. R. Stat. Soc. A 147, 278; Polsterer et al. (2016), arXiv:1608.08016.
    """
    u = validate_finite(cumulative, "cumulative probabilities", 1)
    if u.size and (u.min() < -1e-5 or u.max() > 1 + 1e-5):
        raise ConfigError(
            "A cumulative probability lies between 0 and 1.",
            received=f"{u.min():g} to {u.max():g}",
        )
    return np.clip(u, 0.0, 1.0)


def pit_ks(values: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Kolmogorov-Smirnov distance from uniform: the largest gap of the two distributions.

    Parameters
    ----------
    values : array_like of shape (n,)
        From `pit`.
    weights : array_like of shape (..., n), optional
    """
    u, _, below = _compute_distribution(values, weights)
    if not len(u):
        return np.full(below.shape[:-1], np.nan)
    return np.maximum((below[..., 1:] - u).max(axis=-1), (u - below[..., :-1]).max(axis=-1))


def pit_cvm(values: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Cramer-von Mises statistic against uniform, n times the integral of (F_n(u) - u)^2.

    Parameters
    ----------
    values, weights
        As for `pit_ks`; n is the sum of the weights.
    """
    u, total, below = _compute_distribution(values, weights)
    edges = np.r_[0.0, u, 1.0]
    # Between two values F_n = c, and (c - u)^2 = c^2 - 2 c u + u^2.
    return total * (below**2 @ np.diff(edges) - below @ np.diff(edges**2) + 1 / 3)


def pit_ad(values: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Anderson-Darling statistic against uniform, which looks at the tails.

    n times the integral of (F_n(u) - u)^2 / (u (1 - u)); above 2.49 a uniform sample is
    rejected at 5 %.

    Parameters
    ----------
    values, weights
        As for `pit_cvm`; nearer to 0 or 1 than `PIT_FLOOR` counts as that, else it were infinite.

    References
    ----------
    Anderson and Darling (1952), Ann. Math. Stat. 23, 193; Stephens (1974), JASA 69, 730 (case 0).
    """
    u, total, below = _compute_distribution(values, weights)
    if not len(u):
        return np.full(below.shape[:-1], np.nan)
    u = np.clip(u, PIT_FLOOR, 1 - PIT_FLOOR)
    # Between two values F_n = c, and (c - u)^2 / (u - u^2) = c^2 / u + (1 - c)^2 / (1 - u) - 1.
    rise = np.r_[0.0, np.log(u[1:] / u[:-1]), -np.log(u[-1])]
    fall = np.r_[-np.log1p(-u[0]), np.log1p(-u[:-1]) - np.log1p(-u[1:]), 0.0]
    return total * (below**2 @ rise + (1 - below) ** 2 @ fall - 1.0)


def pit_outliers(
    values: ArrayLike, weights: ArrayLike | None = None, *, tail: float = 1e-4
) -> NDArray[np.float64]:
    """Fraction of PIT values below `tail` or above 1 - `tail`.

    Parameters
    ----------
    values, weights
        As for `pit_ks`.
    tail : float
        Twice this is expected of a calibrated prediction.

    References
    ----------
    Schmidt, Malz et al. (2020), MNRAS 499, 1587, section 4.1.
    """
    u = pit(values)
    return average((u < tail) | (u > 1 - tail), weights)


def _compute_distribution(
    values: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sorted values, sum of weights, and the distribution function between values: (..., n+1)."""
    u = pit(values)
    w = validate_weights(weights, len(u))
    order = np.argsort(u, kind="stable")
    total = w.sum(axis=-1)
    below = np.zeros((*w.shape[:-1], len(u) + 1))
    np.cumsum(w[..., order], axis=-1, out=below[..., 1:])
    return u[order], total, ratio(below, total[..., None])
