"""A number as one normal distribution: mean and log variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import ops
from astrocnn.targets.families import _gaussians
from astrocnn.targets.families._gaussians import Gaussians

__all__ = ["Gaussian", "examples"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian(Gaussians):
    """A normal density whose mean and variance both depend on the object.

    The activated parameters are the mean and the standard deviation.  Raw output zero is the
    middle of the range with a standard deviation of half of it.  The variance of a draw is the
    aleatoric part of the uncertainty, that of the mean over draws the epistemic one.

    Parameters
    ----------
    low, high : float
        Ends of the range; labels outside it are not trained on.  Probability outside counts as
        lying at the ends.
    n_bins : int
        Number of bins in which `masses` tells the density.
    chapter : str
        Chapter of the evaluation: ``"redshift"`` or ``"regression"``.

    References
    ----------
    Nix & Weigend 1994, IEEE ICNN.  Kendall & Gal 2017, NeurIPS, equations 8 and 9.

    Examples
    --------
    >>> out = Gaussian(-5.0, 10.0).summarize(np.array([[[2.0, 0.5]], [[4.0, 0.5]]]))
    >>> {name: float(out[name][0]) for name in ("mean", "std_aleatoric", "std_epistemic")}
    {'mean': 3.0, 'std_aleatoric': 0.5, 'std_epistemic': 1.0}
    """

    low: float
    high: float
    n_bins: int = 180
    chapter: str = "regression"

    @property
    def units(self) -> int:
        """Mean and log variance."""
        return 2

    @property
    def initial_loss(self) -> float:
        """Mean over labels spread evenly over the range, log(2 pi) / 2 + 1 / 6 [nat]."""
        return _gaussians.initial_loss(1)

    def activate(self, raw: Any) -> Any:
        """Mean and standard deviation."""
        return _gaussians.activate(_with_weight(raw), 1, self.low, self.high)[..., 1:]

    def loss(self, encoded: Any, raw: Any) -> Any:
        """Minus the log density of the label, with half the range as unit of length [nat]."""
        return _gaussians.negative_log_likelihood(
            encoded, _with_weight(raw), 1, self.low, self.high
        )

    def from_values(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Mean and standard deviation of m values per object, of shape (n, 2)."""
        x = np.clip(np.asarray(values, np.float64), self.low, self.high)
        std = np.maximum(x.std(axis=1), self._least_std())
        return np.stack([x.mean(axis=1), std], axis=1).astype(np.float32)

    def _parts(self, samples: NDArray[np.floating]) -> tuple[Array, Array, Array]:
        p: Array = np.asarray(samples, np.float64)
        mean, std = p[..., :1], p[..., 1:]
        return np.ones_like(mean), mean, std


def _with_weight(raw: Any) -> Any:
    """The same raw output with the logit of the one component before it."""

    raw = ops.cast(raw, "float32")
    return ops.concatenate([ops.zeros_like(raw[..., :1]), raw], axis=-1)


def examples() -> tuple[Gaussian, ...]:
    """Instances for the contract tests."""
    return (Gaussian(-5.0, 10.0), Gaussian(0.0, 0.4, 40, "redshift"))
