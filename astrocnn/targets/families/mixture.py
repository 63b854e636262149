"""A number as a mixture of normal distributions: mixture density network."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from astrocnn.backend import Tensor, ops
from astrocnn.errors import ConfigError
from astrocnn.targets import density_grid
from astrocnn.targets.families._quantity import QuantityFamily, mean_of_draws
from astrocnn.targets.families.base import Array

__all__ = ["Mixture", "NormalMixture", "examples"]

# The standard deviation stays within exp(-7) to exp(7) times its initial value.
_LARGEST_LOG_VARIANCE = 14.0
_GRID_CELLS = 128
# The grid of an object reaches so many standard deviations beyond the means of its components,
# but for components of less weight than this.
_REACH = 6.0
_NEGLIGIBLE_WEIGHT = 1e-5
_BISECTIONS = 8


class NormalMixture(QuantityFamily):
    """A family whose draws are mixtures of K normal distributions.

    Raw output has the layout of the parameters, K numbers each: logits, offsets and log variances
    for weights, means and standard deviations.  Lengths inside the head and the loss are in half
    ranges, so that neither depends on the unit of the label.
    """

    @property
    @abstractmethod
    def n_components(self) -> int:
        """Number K of normal densities."""

    @property
    def initial_loss(self) -> float:
        """Mean over labels spread evenly over the range [nat]."""
        k = self.n_components
        x = (np.arange(4000) + 0.5) / 2000.0 - 1.0
        z = (x[:, None] - (2.0 * np.arange(k) + 1.0) / k + 1.0) * k
        density = np.exp(-0.5 * z * z).sum(axis=1) / math.sqrt(2.0 * math.pi)
        return float(-np.log(density).mean())

    def activate(self, raw: Tensor) -> Tensor:
        """Weights, means and standard deviations."""
        log_weight, mean, log_std = self._head(raw)
        half = 0.5 * (self.high - self.low)
        return ops.concatenate(
            [ops.exp(log_weight), self.low + half * (1.0 + mean), half * ops.exp(log_std)], axis=-1
        )

    def loss(self, encoded: Tensor, raw: Tensor) -> Tensor:
        """Minus the log density of the label, with half the range as unit of length [nat]."""
        log_weight, mean, log_std = self._head(raw)
        half = 0.5 * (self.high - self.low)
        x = (ops.cast(encoded, "float32") - (self.low + half)) / half
        z = (x - mean) * ops.exp(-log_std)
        log_density = log_weight - log_std - 0.5 * z * z - 0.5 * math.log(2.0 * math.pi)
        return -ops.logsumexp(log_density, axis=-1)

    def _head(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights, means and log standard deviations, in half ranges from the middle.

        Zero gives even weights, means at the centers of K equal parts of the range and standard
        deviations of half such a part: a nearly even density.
        """
        k = self.n_components
        raw = ops.cast(raw, "float32")
        logits, offset, log_variance = (raw[..., i * k : (i + 1) * k] for i in range(3))
        place = ops.cast((2.0 * np.arange(k) + 1.0) / k - 1.0, "float32")
        # Bent, not cut, so that the gradient never vanishes where training is alive.
        log_variance = _LARGEST_LOG_VARIANCE * ops.tanh(log_variance / _LARGEST_LOG_VARIANCE)
        log_std = 0.5 * log_variance - math.log(k)
        return ops.log_softmax(logits, axis=-1), place + offset / k, log_std

    def point_estimate(self, parameters: Tensor) -> Tensor:
        """Mean of the density, tails counted at the ends of the range."""
        weight, mean, std = self._split(parameters)
        below, above = self.low - mean, self.high - mean
        a, b = below / std, above / std
        f_a, f_b = (ops.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi) for t in (a, b))
        center = mean + below * _normal_cdf(a) + above * _normal_cdf(-b) - std * (f_b - f_a)
        return ops.sum(weight * center, axis=-1)

    def interval_probability(self, parameters: Tensor, low: float, high: float) -> Tensor:
        """Probability between two values; an end at or beyond the range includes the tail."""
        weight, mean, std = self._split(parameters)
        above = _normal_cdf((high - mean) / std) if high < self.high else 1.0
        below = _normal_cdf((low - mean) / std) if low > self.low else 0.0
        return ops.sum(weight * (above - below), axis=-1)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, means and standard deviations, each of shape (..., K)."""
        k = self.n_components
        weight, mean, std = (parameters[..., i * k : (i + 1) * k] for i in range(3))
        return weight, mean, std

    def _components(self, samples: NDArray[np.floating]) -> tuple[Array, Array, Array]:
        """The same in float64, with weights that sum to one."""
        weight, mean, std = self._split(np.asarray(samples, np.float64))
        return weight / weight.sum(axis=-1, keepdims=True), mean, std

    def cdf(self, draw: NDArray[np.floating], points: Array) -> Array:
        """Sum of normal distribution functions."""
        weight, mean, std = self._components(draw)
        out = np.zeros(points.shape)
        for k in range(weight.shape[-1]):
            z = (points - mean[:, k, None]) / std[:, k, None]
            out += weight[:, k, None] * ndtr(z)
        return out

    def moments(self, draw: NDArray[np.floating]) -> tuple[Array, Array]:
        """Mean and variance with the tails moved to the ends of the range, in closed form."""
        weight, mean, std = self._components(draw)
        below, above = self.low - mean, self.high - mean
        a, b = below / std, above / std
        p_below, p_above = ndtr(a), ndtr(-b)
        f_a, f_b = (np.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi) for t in (a, b))
        # Moments of the distance from the mean of the component, which keeps all digits.
        shift = below * p_below + above * p_above - std * (f_b - f_a)
        square = below**2 * p_below + above**2 * p_above
        square += std**2 * (1.0 - p_below - p_above) - std * (above * f_b - below * f_a)
        variance = np.maximum(square - shift * shift, 0.0)
        center = mean + shift
        total = np.sum(weight * center, axis=-1)
        offset = center - total[:, None]
        return total, np.sum(weight * (variance + offset * offset), axis=-1)

    def grid(self, samples: Array) -> tuple[Array, Array]:
        """A grid over the part of the range that holds the probability of each object."""
        first = np.full(samples.shape[1], np.inf)
        last = -first
        for draw in samples:
            weight, mean, std = self._components(draw)
            counts = weight > _NEGLIGIBLE_WEIGHT
            start = np.where(counts, mean - _REACH * std, np.inf).min(axis=-1)
            end = np.where(counts, mean + _REACH * std, -np.inf).max(axis=-1)
            first, last = np.minimum(first, start), np.maximum(last, end)
        low, high = (np.clip(x, self.low, self.high)[:, None] for x in (first, last))
        points = low + (high - low) * np.linspace(0.0, 1.0, _GRID_CELLS + 1)
        return points, mean_of_draws(self.cdf(draw, points) for draw in samples)

    def quantiles(self, samples: Array, grid: Array, cdf: Array, levels: Array) -> Array:
        """Where the CDF itself, not its interpolation, reaches the levels."""
        i = density_grid.cell(cdf, levels)
        start, end, under, over = (
            np.take_along_axis(a, j, axis=1) for a in (grid, cdf) for j in (i - 1, i)
        )
        for _ in range(_BISECTIONS):
            middle = 0.5 * (start + end)
            value = mean_of_draws(self.cdf(draw, middle) for draw in samples)
            below = value < levels
            start, end = np.where(below, middle, start), np.where(below, end, middle)
            under, over = np.where(below, value, under), np.where(below, over, value)
        rise = over - under
        fraction = np.where(rise > 0, (levels - under) / np.where(rise > 0, rise, 1.0), 0.5)
        inverse = start + np.clip(fraction, 0.0, 1.0) * (end - start)
        inverse = np.where(levels <= cdf[:, :1], grid[:, :1], inverse)
        return np.where(levels > cdf[:, -1:], grid[:, -1:], inverse)

    @property
    def smallest_std(self) -> float:
        """Standard deviation of an even density in one bin: what equal values are given."""
        return (self.high - self.low) / self.n_bins / math.sqrt(12.0)


@dataclass(frozen=True)
class Mixture(NormalMixture):
    """A weighted sum of K normal densities.

    The activated parameters are K weights, K means and K standard deviations, in this order.
    Raw output zero is a nearly even density over the range.

    Parameters
    ----------
    low, high
        Ends of the range, by default those of a redshift between 0 and 0.4.
    components : int
        Number of normal densities.
    n_bins, relative_errors, ucd
        As for `astrocnn.targets.QuantityFamily`.

    References
    ----------
    Bishop 1994, Mixture density networks, Aston University NCRG/94/004, equations 22 to 29.
    D'Isanto & Polsterer 2018, A&A 609, A111 (for redshifts).

    Examples
    --------
    >>> two = np.array([[[0.5, 0.5, 0.1, 0.3, 0.01, 0.01]]])
    >>> round(float(Mixture(0.0, 0.4, components=2).summarize(two)["mean"][0]), 6)
    0.2
    """

    low: float = 0.0
    high: float = 0.4
    components: int = 5
    relative_errors: bool = field(default=True, kw_only=True)
    ucd: str = field(default="src.redshift.phot", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.components, int) or self.components < 1:
            raise ConfigError(
                "`components` must be an integer >= 1.",
                received=self.components,
                hint="components = 5",
            )

    @property
    def n_components(self) -> int:
        """Number of normal densities."""
        return self.components

    @property
    def units(self) -> int:
        """Three numbers a component."""
        return 3 * self.components

    def from_values(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """One component for each K-th part of the sorted values; shape (n, 3 K).

        Mean and variance are those of the values.
        """
        x = np.sort(np.clip(np.asarray(values, np.float64), self.low, self.high), axis=1)
        # Sorting moves NaN to the end; one is enough to leave the row without a prediction.
        x = np.where(np.isnan(x[:, -1:]), np.nan, x)
        m = x.shape[1]
        ends = np.round(np.linspace(0, m, self.components + 1)).astype(int)
        middle = np.minimum(ends[:-1], m - 1)
        parts = [x[:, a : max(b, a + 1)] for a, b in zip(middle, ends[1:], strict=True)]
        mean = np.stack([part.mean(axis=1) for part in parts], axis=1)
        std = np.stack([part.std(axis=1) for part in parts], axis=1)
        weight = np.where(np.isnan(mean), np.nan, np.diff(ends) / m)
        return np.concatenate([weight, mean, np.maximum(std, self.smallest_std)], axis=1).astype(
            np.float32
        )


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * (1.0 + ops.erf(x / math.sqrt(2.0)))


def examples() -> tuple[Mixture, ...]:
    """Instances for the contract tests."""
    return (
        Mixture(),
        Mixture(0.0, 4.0, 2, n_bins=50),
        Mixture(-5.0, 10.0, 3, n_bins=30, relative_errors=False, ucd=""),
    )
