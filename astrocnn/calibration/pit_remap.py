"""Recalibration of densities by a monotone map of the probability integral transform (PIT)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr, ndtri

from astrocnn.calibration.base import take_labelled
from astrocnn.errors import ConfigError
from astrocnn.metrics import mean_over_draws
from astrocnn.targets import Family, QuantityFamily
from astrocnn.targets.families.binned import Binned

__all__ = ["PitRemap", "examples"]

_LEVELS = np.array([0.005, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 0.995])
_ROWS_BEYOND = 20
"""A knot needs so many objects between itself and the nearer end of [0, 1]."""

_FAR = 8.0
"""Probabilities beyond 8 sigma of either end count as 0 and 1."""

_SLOPES = (0.1, 10.0)
_ROUNDS = 30
_ENOUGH = 1e-3


@dataclass(frozen=True)
class PitRemap:
    """Each draw's distribution function F becomes R(F), stored as probabilities in bins.

    R is monotone on [0, 1] and such that the PIT of the mean over draws of R(F) is uniform.  It is
    kept as a monotone cubic through a few knots in units of a normal deviate, where densities that
    are too narrow or too wide by any factor need a straight line, which also goes on beyond the
    knots.

    Parameters
    ----------
    x, y : tuple of float
        Knots of R: normal deviates of probabilities before and after, both rising.

    References
    ----------
    Bordoloi, Lilly and Amara (2010), MNRAS 406, 881, section 4, for one draw and without smoothing.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    least_rows: ClassVar[int] = 100

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            knots = tuple(float(value) for value in getattr(self, name))
            object.__setattr__(self, name, knots)
            if len(knots) < 2 or not np.all(np.diff(knots) > 0) or not np.isfinite(knots).all():
                raise ConfigError("The knots of a PIT remap are rising numbers.", received=knots)
        if len(self.x) != len(self.y):
            raise ConfigError(
                "The knots of a PIT remap come in pairs.", received=(len(self.x), len(self.y))
            )

    @classmethod
    def suits(cls, family: Family) -> bool:
        """Whether the family has a density over a number."""
        return isinstance(family, QuantityFamily)

    @classmethod
    def fit(cls, family: Family, encoded: Any, weight: Any, samples: Any) -> PitRemap:
        """Fit R iteratively, until the distribution of PITs is uniform.

        How far R departs from doing nothing is shrunk by as much as chance alone would have made
        it depart (James & Stein 1961), so that few objects whose PITs look uniform change little.
        Objects without a label or a prediction are ignored.

        See `Remap.fit` for the parameters.
        """
        assert isinstance(family, QuantityFamily)
        encoded, samples, _ = take_labelled(
            family, encoded, weight, samples, "a PIT remap", cls.least_rows
        )
        low, high, share = _around(family, samples, family.to_values(encoded))

        def pit(g: _Monotone) -> NDArray[np.float64]:
            return mean_over_draws((1 - share) * ndtr(g(low)) + share * ndtr(g(high)))

        levels = _LEVELS[len(encoded) * np.minimum(_LEVELS, 1 - _LEVELS) >= _ROWS_BEYOND]
        expected = ndtri(levels)
        pooled = ndtri(np.clip((1 - share) * ndtr(low) + share * ndtr(high), 1e-15, 1 - 1e-15))
        x = _rising(np.quantile(pooled, levels))
        first = pit(_Monotone(x, x))
        best, y = (np.inf, x), x
        for _ in range(_ROUNDS):
            reached = np.quantile(pit(_Monotone(x, y)), levels)
            gap = float(np.max(np.abs(reached - levels)))
            if gap < best[0]:
                best = (gap, y)
            if gap < _ENOUGH:
                break
            observed = _rising(ndtri(np.clip(reached, 1e-15, 1 - 1e-15)))
            y = _bounded(x, _Monotone(observed, expected)(y))
        kept = _beyond_chance(first, levels)
        return cls(tuple(x.tolist()), tuple((x + kept * (best[1] - x)).tolist()))

    def family(self, family: Family) -> Binned:
        """The family of probabilities in the bins of the original density."""
        assert isinstance(family, QuantityFamily)
        return Binned(
            family.low,
            family.high,
            family.n_bins,
            relative_errors=family.relative_errors,
            ucd=family.ucd,
        )

    def apply(self, family: Family, samples: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probabilities in bins, draw by draw."""
        assert isinstance(family, QuantityFamily)
        g = _Monotone(np.array(self.x), np.array(self.y))
        shape = (*np.shape(samples)[:2], len(family.edges) - 1)
        out = np.empty(shape, np.float32)
        for t in range(len(out)):
            deviates = _deviates(family.masses(samples[t : t + 1])[0])
            inner = np.abs(deviates) < _FAR
            deviates[inner] = g(deviates[inner])
            # If both ends are above the median, the survival probability is more precise.
            below, above = ndtr(deviates), ndtr(-deviates)
            out[t] = np.where(deviates[:, :-1] > 0, -np.diff(above), np.diff(below))
        return out


class _Monotone:
    """A monotone cubic through knots, straight beyond them."""

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self.inside = PchipInterpolator(x, y)
        self.x, self.y = x, y
        i = min(2, len(x) - 1)
        self.left = np.clip((y[i] - y[0]) / (x[i] - x[0]), *_SLOPES)
        self.right = np.clip((y[-1] - y[-1 - i]) / (x[-1] - x[-1 - i]), *_SLOPES)

    def __call__(self, s: NDArray[np.float64]) -> NDArray[np.float64]:
        out = self.inside(np.clip(s, self.x[0], self.x[-1]))
        out += self.left * np.minimum(s - self.x[0], 0.0)
        out += self.right * np.maximum(s - self.x[-1], 0.0)
        return out


def _deviates(masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal deviates of the distribution function at the edges, of shape (n, n_bins + 1)."""
    none = np.zeros((*masses.shape[:-1], 1))
    below = np.concatenate([none, np.cumsum(masses, axis=-1)], axis=-1)
    above = np.concatenate([np.cumsum(masses[..., ::-1], axis=-1)[..., ::-1], none], axis=-1)
    total = below[..., -1:]
    below, above = below / total, above / total
    s = np.where(below < above, ndtri(np.minimum(below, 0.5)), -ndtri(np.minimum(above, 0.5)))
    s[s <= -_FAR], s[s >= _FAR] = -np.inf, np.inf
    return s


def _around(
    family: QuantityFamily, samples: NDArray[Any], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Deviates (n_draws, n) at the edges below and above each value, and its place between."""
    edges = family.edges
    k = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    share = np.clip((values - edges[k]) / np.diff(edges)[k], 0.0, 1.0)
    row = np.arange(len(values))
    pairs = []
    for t in range(len(samples)):  # one draw in memory at a time
        s = _deviates(family.masses(samples[t : t + 1])[0])
        pairs.append([s[row, k], s[row, k + 1]])
    both = np.array(pairs)
    return both[:, 0], both[:, 1], share


def _rising(knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Separate coinciding knots."""
    offsets = 1e-3 * np.arange(len(knots))
    return np.maximum.accumulate(knots - offsets) + 2 * offsets


def _bounded(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Limit the slopes between knots; the middle one is fixed."""
    steps = np.clip(np.diff(y) / np.diff(x), *_SLOPES) * np.diff(x)
    path = np.concatenate([[0.0], np.cumsum(steps)])
    middle = len(x) // 2
    return y[middle] + path - path[middle]


def _beyond_chance(pit: NDArray[np.float64], levels: NDArray[np.float64]) -> float:
    """Fraction of the departure from uniformity that exceeds chance."""
    expected = len(pit) * np.diff(np.concatenate([[0.0], levels, [1.0]]))
    observed = np.bincount(np.searchsorted(levels, pit), minlength=len(expected))
    chi2 = float(((observed - expected) ** 2 / expected).sum())
    return max(0.0, 1.0 - (len(levels) - 2) / chi2) if chi2 > 0 else 0.0


def examples() -> tuple[PitRemap, ...]:
    """Instances for the contract tests."""
    return (PitRemap((-1.5, 0.0, 1.5), (-0.8, 0.1, 0.8)),)
