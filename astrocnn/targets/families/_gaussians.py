"""Mixtures of normal distributions over a range: head, loss, moments, CDF.

A mixture of K components is held as ``units = 3 K`` numbers: K weights, K means, K standard
deviations.  Raw network output has the same layout: logits, offsets and log variances.  Lengths
inside the head and the loss are in half ranges, so that neither depends on the unit of the label.

References
----------
Bishop 1994, Mixture density networks, Aston University NCRG/94/004.  Kendall & Gal 2017, NeurIPS,
section 2.2 (log variance).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from astrocnn.backend import ops
from astrocnn.targets.families._density import cell
from astrocnn.targets.families._quantity import Quantity, mean_of

__all__ = ["Gaussians", "activate", "initial_loss", "negative_log_likelihood"]

Array = NDArray[np.float64]

# The standard deviation stays within exp(-7) to exp(7) times its initial value.
_WIDEST = 14.0
_GRID_CELLS = 128
_REACH = 6.0
_NEGLIGIBLE = 1e-5
_BISECTIONS = 8


def _head(raw: Any, components: int) -> tuple[Any, Any, Any]:
    """Log weights, means and log standard deviations, in half ranges from the middle.

    Zero gives even weights, means at the centers of K equal parts of the range and standard
    deviations of half such a part: a nearly even density.  The log variance is bent, not cut, so
    that its gradient never vanishes where training is alive.
    """

    raw = ops.cast(raw, "float32")
    logits, offset, log_variance = (
        raw[..., i * components : (i + 1) * components] for i in range(3)
    )
    place = ops.cast((2.0 * np.arange(components) + 1.0) / components - 1.0, "float32")
    log_variance = _WIDEST * ops.tanh(log_variance / _WIDEST)
    log_std = 0.5 * log_variance - math.log(components)
    return ops.log_softmax(logits, axis=-1), place + offset / components, log_std


def activate(raw: Any, components: int, low: float, high: float) -> Any:
    """Weights, means and standard deviations from raw output of shape (..., 3 K)."""

    log_weight, mean, log_std = _head(raw, components)
    half = 0.5 * (high - low)
    return ops.concatenate(
        [ops.exp(log_weight), low + half * (1.0 + mean), half * ops.exp(log_std)], axis=-1
    )


def negative_log_likelihood(
    encoded: Any, raw: Any, components: int, low: float, high: float
) -> Any:
    """Minus the log density of the label, per half range [nat], of shape (n,)."""

    log_weight, mean, log_std = _head(raw, components)
    half = 0.5 * (high - low)
    x = (ops.cast(encoded, "float32") - (low + half)) / half
    miss = (x - mean) * ops.exp(-log_std)
    log_density = log_weight - log_std - 0.5 * miss * miss - 0.5 * math.log(2.0 * math.pi)
    return -ops.logsumexp(log_density, axis=-1)


def initial_loss(components: int) -> float:
    """The loss of raw output zero, mean over labels spread evenly over the range."""
    x = (np.arange(4000) + 0.5) / 2000.0 - 1.0
    mean = (2.0 * np.arange(components) + 1.0) / components - 1.0
    miss = (x[:, None] - mean) * components
    density = np.exp(-0.5 * miss * miss).sum(axis=1) / math.sqrt(2.0 * math.pi)
    return float(-np.log(density).mean())


class Gaussians(Quantity):
    """A family whose draws are mixtures of normal distributions."""

    def _parts(self, samples: NDArray[np.floating]) -> tuple[Array, Array, Array]:
        """Weights, means and standard deviations, each of shape (..., K), in float64."""
        p: Array = np.asarray(samples, np.float64)
        k = p.shape[-1] // 3
        weight, mean, std = (p[..., i * k : (i + 1) * k] for i in range(3))
        return weight / weight.sum(axis=-1, keepdims=True), mean, std

    def _cdf(self, draw: NDArray[np.floating], points: Array) -> Array:
        """CDF of each row at points of shape (n, m), the tails included."""
        weight, mean, std = self._parts(draw)
        out = np.zeros(points.shape)
        for k in range(weight.shape[-1]):
            z = (points - mean[:, k, None]) / std[:, k, None]
            out += weight[:, k, None] * ndtr(z)
        return out

    def cumulative(
        self, samples: NDArray[np.floating], values: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """CDF at one value per object, of shape (n_draws, n)."""
        points = np.asarray(values, np.float64)[:, None]
        out = np.stack([self._cdf(draw, points)[:, 0] for draw in samples])
        out = np.where((points[:, 0] < self.low) & ~np.isnan(out), 0.0, out)
        return np.where((points[:, 0] >= self.high) & ~np.isnan(out), 1.0, np.minimum(out, 1.0))

    def masses(self, samples: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probability in each bin; the tails count to the first and the last."""
        edges = self.edges
        out = np.empty((*samples.shape[:2], self.n_bins))
        for t, draw in enumerate(samples):
            cdf = self._cdf(draw, np.broadcast_to(edges, (len(draw), len(edges))))
            known = ~np.isnan(cdf[:, 0])
            cdf[known, 0], cdf[known, -1] = 0.0, 1.0
            out[t] = np.maximum(np.diff(cdf, axis=1), 0.0)
        return out

    def _moments(self, draw: Array) -> tuple[Array, Array]:
        """Mean and variance with the tails moved to the ends of the range, in closed form."""
        weight, mean, std = self._parts(draw)
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

    def _grid(self, samples: Array) -> tuple[Array, Array]:
        """A grid over the part of the range that holds the probability of this object."""
        first, last = None, None
        for draw in samples:
            weight, mean, std = self._parts(draw)
            counts = weight > _NEGLIGIBLE
            start = np.where(counts, mean - _REACH * std, np.inf).min(axis=-1)
            end = np.where(counts, mean + _REACH * std, -np.inf).max(axis=-1)
            first = start if first is None else np.minimum(first, start)
            last = end if last is None else np.maximum(last, end)
        assert first is not None and last is not None
        first, last = (np.clip(x, self.low, self.high)[:, None] for x in (first, last))
        grid = first + (last - first) * np.linspace(0.0, 1.0, _GRID_CELLS + 1)
        return grid, mean_of(self._cdf(draw, grid) for draw in samples)

    def _quantiles(self, samples: Array, grid: Array, cdf: Array, levels: Array) -> Array:
        """Where the CDF itself, not its interpolation, reaches the levels."""
        i = cell(cdf, levels)
        start, end = (np.take_along_axis(grid, j, axis=1) for j in (i - 1, i))
        under, over = (np.take_along_axis(cdf, j, axis=1) for j in (i - 1, i))
        for _ in range(_BISECTIONS):
            middle = 0.5 * (start + end)
            value = mean_of(self._cdf(draw, middle) for draw in samples)
            below = value < levels
            start, end = np.where(below, middle, start), np.where(below, end, middle)
            under, over = np.where(below, value, under), np.where(below, over, value)
        rise = over - under
        share = np.where(rise > 0, (levels - under) / np.where(rise > 0, rise, 1.0), 0.5)
        found = start + np.clip(share, 0.0, 1.0) * (end - start)
        found = np.where(levels <= cdf[:, :1], grid[:, :1], found)
        return np.where(levels > cdf[:, -1:], grid[:, -1:], found)

    def _least_std(self) -> float:
        """Standard deviation of an even density in one bin: what equal values are given."""
        return (self.high - self.low) / self.n_bins / math.sqrt(12.0)
