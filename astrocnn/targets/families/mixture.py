"""A number as a mixture of normal distributions: mixture density network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ConfigError
from astrocnn.targets.families import _gaussians
from astrocnn.targets.families._gaussians import Gaussians

__all__ = ["Mixture", "examples"]


@dataclass(frozen=True)
class Mixture(Gaussians):
    """A weighted sum of K normal densities.

    The activated parameters are K weights, K means and K standard deviations, in this order.
    Raw output zero is a nearly even density over the range.

    Parameters
    ----------
    low, high : float
        Ends of the range; labels outside it are not trained on.  Probability outside counts as
        lying at the ends.
    components : int
        Number of normal densities.
    n_bins : int
        Number of bins in which `masses` tells the density.
    chapter : str
        Chapter of the evaluation: ``"redshift"`` or ``"regression"``.

    References
    ----------
    Bishop 1994, Mixture density networks, equations 22 to 29.  D'Isanto & Polsterer 2018,
    A&A 609, A111 (for redshifts).

    Examples
    --------
    >>> two = np.array([[[0.5, 0.5, 0.1, 0.3, 0.01, 0.01]]])
    >>> round(float(Mixture(0.0, 0.4, components=2).summarize(two)["mean"][0]), 6)
    0.2
    """

    low: float = 0.0
    high: float = 0.4
    components: int = 5
    n_bins: int = 180
    chapter: str = "redshift"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.components, int) or self.components < 1:
            raise ConfigError(
                "A mixture needs at least one component.",
                received=self.components,
                hint="components = 5",
            )

    @property
    def units(self) -> int:
        """Three numbers a component."""
        return 3 * self.components

    @property
    def initial_loss(self) -> float:
        """Mean over labels spread evenly over the range [nat]."""
        return _gaussians.initial_loss(self.components)

    def activate(self, raw: Any) -> Any:
        """Weights, means and standard deviations."""
        return _gaussians.activate(raw, self.components, self.low, self.high)

    def loss(self, encoded: Any, raw: Any) -> Any:
        """Minus the log density of the label, with half the range as unit of length [nat]."""
        return _gaussians.negative_log_likelihood(
            encoded, raw, self.components, self.low, self.high
        )

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
        weight = np.diff(ends) / m
        parts = [x[:, a : max(b, a + 1)] for a, b in zip(middle, ends[1:], strict=True)]
        mean = np.stack([part.mean(axis=1) for part in parts], axis=1)
        std = np.stack([part.std(axis=1) for part in parts], axis=1)
        shared = np.where(np.isnan(mean), np.nan, weight)
        return np.concatenate([shared, mean, np.maximum(std, self._least_std())], axis=1).astype(
            np.float32
        )


def examples() -> tuple[Mixture, ...]:
    """Instances for the contract tests."""
    return (Mixture(), Mixture(0.0, 4.0, 2, 50), Mixture(-5.0, 10.0, 3, 30, "regression"))
