"""A number as a histogram of probability: softmax over equal bins, cross-entropy or CRPS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import ops
from astrocnn.errors import ConfigError
from astrocnn.targets.families._kernel import smoothed_histogram
from astrocnn.targets.families._quantity import Quantity, mean_of

__all__ = ["Binned", "examples"]

Array = NDArray[np.float64]

_SCORES = ("nll", "crps")
# What rounding to half precision may take from a sum of probabilities.
_SLACK = 0.01


@dataclass(frozen=True)
class Binned(Quantity):
    """A density that is constant within each of `n_bins` equal bins.

    The parameters are the probabilities of the bins.  The redshift networks of Pasquet et al.
    (2019) end in 180 such bins between 0 and 0.4.

    Parameters
    ----------
    low, high : float
        Ends of the range; labels outside it are not trained on.
    n_bins : int
        Number of bins, and of the network's outputs.
    chapter : str
        Chapter of the evaluation: ``"redshift"`` or ``"regression"``.
    score : str
        What is trained: ``"nll"``, the cross-entropy in the bin [nat], or ``"crps"``, the
        continuous ranked probability score in units of the range, which also knows how far off a
        bin is.

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
    chapter: str = "redshift"
    score: str = "nll"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score not in _SCORES:
            raise ConfigError(
                "There is no such loss of a binned density.", received=self.score, allowed=_SCORES
            )

    @property
    def units(self) -> int:
        """Number of bins."""
        return self.n_bins

    @property
    def initial_loss(self) -> float:
        """log n_bins [nat]; for the CRPS 1/6, the mean over labels spread evenly in the range."""
        return math.log(self.n_bins) if self.score == "nll" else 1.0 / 6.0

    def activate(self, raw: Any) -> Any:
        """Softmax over the bins."""

        return ops.softmax(ops.cast(raw, "float32"), axis=-1)

    def loss(self, encoded: Any, raw: Any) -> Any:
        """Minus the log probability of the label's bin [nat], or the CRPS [range]."""

        raw = ops.cast(raw, "float32")
        value = ops.cast(encoded, "float32")[:, 0]
        place = (value - self.low) * (self.n_bins / (self.high - self.low))
        place = ops.clip(place, 0.0, float(self.n_bins))
        if self.score == "crps":
            return self._crps(ops.softmax(raw, axis=-1), place)
        index = ops.clip(ops.cast(ops.floor(place), "int32"), 0, self.n_bins - 1)
        log_p = ops.take_along_axis(ops.log_softmax(raw, axis=-1), index[:, None], axis=-1)
        return -log_p[:, 0]

    def _crps(self, masses: Any, place: Any) -> Any:
        """CRPS in units of the range; `place` is the label in units of bins.

        In a bin the CDF runs from a to b linearly, over which the integral of its square is
        (a^2 + a b + b^2) / 3 per width.  The label cuts its bin in two; in all others one of the
        two parts has no width, so that one formula serves them all.
        """

        upper = ops.cumsum(masses, axis=-1)
        lower = upper - masses
        bins = ops.arange(self.n_bins, dtype="float32")
        share = ops.clip(place[:, None] - bins, 0.0, 1.0)
        cut = lower + share * masses
        left = share * (lower * lower + lower * cut + cut * cut)
        a, b = 1.0 - cut, 1.0 - upper
        right = (1.0 - share) * (a * a + a * b + b * b)
        return ops.sum(left + right, axis=-1) / (3.0 * self.n_bins)

    def masses(self, samples: NDArray[np.floating]) -> NDArray[np.float64]:
        """The samples themselves, to double precision.

        Raises
        ------
        ConfigError
            If one of them is negative, or they do not sum to one for an object.
        """
        p = np.array(samples, np.float64, order="C")
        total = p.sum(axis=-1, keepdims=True)
        bad = (np.abs(total - 1.0) > _SLACK)[..., 0] | (p < 0).any(axis=-1)
        if bad.any():
            raise ConfigError(
                f"{int(bad.sum())} densities are none: their probabilities do not sum to one, "
                "or some are negative.",
                received=[f"sum {v:.4g}" for v in total[bad][:5, 0]],
                hint="give the probability in each bin, not the density; divide by the sum",
            )
        p /= total
        return p

    def cumulative(
        self, samples: NDArray[np.floating], values: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """CDF at one value per object, linear within bins, of shape (n_draws, n)."""
        place = (np.asarray(values, np.float64) - self.low) / (self.high - self.low)
        place = np.clip(place * self.n_bins, 0.0, self.n_bins)
        index = np.minimum(np.floor(np.nan_to_num(place)), self.n_bins - 1).astype(np.intp)
        out = np.empty(samples.shape[:2])
        for t, draw in enumerate(samples):
            p = self.masses(draw)
            cdf = np.cumsum(p, axis=1)
            inside, until = (np.take_along_axis(a, index[:, None], axis=1)[:, 0] for a in (p, cdf))
            out[t] = np.clip(until - (index + 1 - place) * inside, 0.0, 1.0)
        return np.where(place >= self.n_bins, np.where(np.isnan(out), np.nan, 1.0), out)

    def from_values(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probabilities of the bins from m values per object, smoothed; shape (n, n_bins).

        A Gaussian kernel (Silverman 1986) over values drawn together such that mean and variance
        stay those of the values.
        """
        return smoothed_histogram(values, self.edges).astype(np.float32)

    def _moments(self, draw: Array) -> tuple[Array, Array]:
        p = self.masses(draw)
        edges = self.edges
        centers, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
        mean = np.sum(p * centers, axis=-1)
        offset = centers - mean[:, None]
        return mean, np.sum(p * offset * offset, axis=-1) + width * width / 12.0

    def _grid(self, samples: Array) -> tuple[Array, Array]:
        p = mean_of(self.masses(draw) for draw in samples)
        cdf = np.concatenate([np.zeros((len(p), 1)), np.cumsum(p, axis=1)], axis=1)
        return np.broadcast_to(self.edges, cdf.shape), cdf / cdf[:, -1:]


def examples() -> tuple[Binned, ...]:
    """Instances for the contract tests."""
    return (
        Binned(),
        Binned(0.0, 3.0, 60, score="crps"),
        Binned(-5.0, 10.0, 15, "regression"),
    )
