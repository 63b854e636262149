"""A number as a histogram of probability: softmax over equal bins, cross-entropy or CRPS."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import Tensor, ops
from astrocnn.errors import ConfigError
from astrocnn.targets import density_grid
from astrocnn.targets.families._quantity import QuantityFamily, mean_of_draws
from astrocnn.targets.families.base import Array

__all__ = ["Binned", "examples"]

_LOSSES = ("nll", "crps")
# What rounding to half precision may take from a sum of probabilities.
_SLACK = 0.01


@dataclass(frozen=True)
class Binned(QuantityFamily):
    """A density that is constant within each of `n_bins` equal bins.

    The parameters are the probabilities of the bins.  The redshift networks of Pasquet et al.
    (2019) end in 180 such bins between 0 and 0.4.

    Parameters
    ----------
    low, high, relative_errors, ucd
        As for `astrocnn.targets.QuantityFamily`; by default a redshift between 0 and 0.4.
    n_bins : int
        Number of bins, and of the network's outputs.
    objective : str
        Loss of the training: ``"nll"``, the cross-entropy in the bin [nat], or ``"crps"``, the
        continuous ranked probability score in units of the range, which also counts by how many
        bins a prediction misses.

    References
    ----------
    Pasquet et al. 2019, A&A 621, A26, section 3.  Gneiting & Raftery 2007, JASA 102, 359,
    equation 20 (CRPS).

    Examples
    --------
    >>> family = Binned(0.0, 0.4, n_bins=4)
    >>> family.masses(np.full((1, 1, 4), 0.25)).tolist()
    [[[0.25, 0.25, 0.25, 0.25]]]
    """

    low: float = 0.0
    high: float = 0.4
    n_bins: int = 180
    objective: str = field(default="nll", metadata={"option": "loss"})
    relative_errors: bool = field(default=True, kw_only=True)
    ucd: str = field(default="src.redshift.phot", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective not in _LOSSES:
            raise ConfigError(
                "The loss of a binned density must be one of those allowed.",
                received=self.objective,
                allowed=_LOSSES,
            )

    @property
    def units(self) -> int:
        """Number of bins."""
        return self.n_bins

    @property
    def initial_loss(self) -> float:
        """log n_bins [nat]; for the CRPS 1/6, the mean over labels spread evenly in the range."""
        return math.log(self.n_bins) if self.objective == "nll" else 1.0 / 6.0

    def activate(self, raw: Tensor) -> Tensor:
        """Softmax over the bins."""
        return ops.softmax(ops.cast(raw, "float32"), axis=-1)

    def loss(self, encoded: Tensor, raw: Tensor) -> Tensor:
        """Minus the log probability of the label's bin [nat], or the CRPS [range]."""
        raw = ops.cast(raw, "float32")
        value = ops.cast(encoded, "float32")[:, 0]
        place = (value - self.low) * (self.n_bins / (self.high - self.low))
        place = ops.clip(place, 0.0, float(self.n_bins))
        if self.objective == "crps":
            return self._crps(ops.softmax(raw, axis=-1), place)
        index = ops.clip(ops.cast(ops.floor(place), "int32"), 0, self.n_bins - 1)
        log_p = ops.take_along_axis(ops.log_softmax(raw, axis=-1), index[:, None], axis=-1)
        return -log_p[:, 0]

    def _crps(self, masses: Tensor, place: Tensor) -> Tensor:
        """CRPS in units of the range; `place` is the label in units of bins.

        In a bin the CDF runs from a to b linearly, over which the integral of its square is
        (a^2 + a b + b^2) / 3 per width.  The label cuts its bin in two; in all others one of the
        two parts has no width, so that one formula serves them all.
        """
        upper = ops.cumsum(masses, axis=-1)
        lower = upper - masses
        bins = ops.arange(self.n_bins, dtype="float32")
        fraction = ops.clip(place[:, None] - bins, 0.0, 1.0)
        cut = lower + fraction * masses
        left = fraction * (lower * lower + lower * cut + cut * cut)
        a, b = 1.0 - cut, 1.0 - upper
        right = (1.0 - fraction) * (a * a + a * b + b * b)
        return ops.sum(left + right, axis=-1) / (3.0 * self.n_bins)

    def masses(self, samples: NDArray[np.floating]) -> Array:
        """The samples themselves, to double precision.

        Raises
        ------
        ConfigError
            If one of them is negative, or they do not sum to one for an object.
        """
        p = np.array(samples, np.float64, order="C")
        total = p.sum(axis=-1, keepdims=True)
        bad = (np.abs(total - 1.0) > _SLACK)[..., 0] | (p.min(axis=-1) < 0)
        if bad.any():
            raise ConfigError(
                f"{int(bad.sum())} densities are invalid: their probabilities do not sum to one, "
                "or some are negative.",
                received=[f"sum {v:.4g}" for v in total[bad][:5, 0]],
                hint="give the probability in each bin, not the density; divide by the sum",
            )
        p /= total
        return p

    def cdf(self, draw: NDArray[np.floating], points: Array) -> Array:
        """Linear within bins."""
        p = self.masses(draw)
        until = np.cumsum(p, axis=1)
        place = np.clip((points - self.low) / (self.high - self.low) * self.n_bins, 0, self.n_bins)
        # An index must be a number; the NaN of such a row stays in its masses.
        index = np.minimum(np.floor(np.nan_to_num(place)), self.n_bins - 1).astype(np.intp)
        inside, above = (np.take_along_axis(a, index, axis=1) for a in (p, until))
        return np.clip(above - (index + 1 - place) * inside, 0.0, 1.0)

    def point_estimate(self, parameters: Tensor) -> Tensor:
        """Mean of the density: the sum of the centers of the bins by their probability."""
        edges = self.edges
        centers = (0.5 * (edges[1:] + edges[:-1])).astype(np.float32)
        return ops.sum(parameters * centers, axis=-1)

    def interval_probability(self, parameters: Tensor, low: float, high: float) -> Tensor:
        """Sum of the probabilities of the bins, each by the fraction of it in the interval."""
        edges = self.edges
        overlap = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
        fraction = (np.maximum(overlap, 0.0) / np.diff(edges)).astype(np.float32)
        return ops.sum(parameters * fraction, axis=-1)

    def from_values(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probabilities of the bins from m values per object, smoothed; shape (n, n_bins).

        A Gaussian kernel (Silverman 1986) over values drawn together such that mean and variance
        stay those of the values.
        """
        return density_grid.smoothed_histogram(values, self.edges).astype(np.float32)

    def moments(self, draw: NDArray[np.floating]) -> tuple[Array, Array]:
        """Mean and variance, that of an even density within each bin included."""
        p = self.masses(draw)
        edges = self.edges
        centers, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
        mean = np.sum(p * centers, axis=-1)
        offset = centers - mean[:, None]
        return mean, np.sum(p * offset * offset, axis=-1) + width * width / 12.0

    def grid(self, samples: Array) -> tuple[Array, Array]:
        """Edges of the bins, and the CDF there."""
        p = mean_of_draws(self.masses(draw) for draw in samples)
        cdf = np.concatenate([np.zeros((len(p), 1)), np.cumsum(p, axis=1)], axis=1)
        return np.broadcast_to(self.edges, cdf.shape), cdf / cdf[:, -1:]


def examples() -> tuple[Binned, ...]:
    """Instances for the contract tests."""
    return (
        Binned(),
        Binned(0.0, 3.0, 60, "crps"),
        Binned(-5.0, 10.0, 15, relative_errors=False, ucd=""),
    )
