"""A number as one normal distribution: mean and log variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import Tensor, ops
from astrocnn.targets.families.mixture import NormalMixture

__all__ = ["Gaussian", "examples"]


@dataclass(frozen=True)
class Gaussian(NormalMixture):
    """A normal density whose mean and variance both depend on the object.

    The activated parameters are the mean and the standard deviation.  Raw output zero is the
    middle of the range with a standard deviation of half of it.  The variance of a draw is the
    aleatoric part of the uncertainty, that of the mean over draws the epistemic one.

    Parameters
    ----------
    low, high, n_bins, relative_errors, ucd
        As for `astrocnn.targets.QuantityFamily`.

    References
    ----------
    Nix & Weigend 1994, IEEE ICNN.  Kendall & Gal 2017, NeurIPS, equations 8 and 9.

    Examples
    --------
    >>> out = Gaussian(-5.0, 10.0).summarize(np.array([[[2.0, 0.5]], [[4.0, 0.5]]]))
    >>> {name: float(out[name][0]) for name in ("mean", "std_aleatoric", "std_epistemic")}
    {'mean': 3.0, 'std_aleatoric': 0.5, 'std_epistemic': 1.0}
    """

    n_bins: int = 180

    @property
    def n_components(self) -> int:
        """One."""
        return 1

    @property
    def units(self) -> int:
        """Mean and log variance."""
        return 2

    def activate(self, raw: Tensor) -> Tensor:
        """Mean and standard deviation."""
        return super().activate(raw)[..., 1:]

    def from_values(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Mean and standard deviation of m values per object, of shape (n, 2)."""
        x = np.clip(np.asarray(values, np.float64), self.low, self.high)
        std = np.maximum(x.std(axis=1), self.smallest_std)
        return np.stack([x.mean(axis=1), std], axis=1).astype(np.float32)

    def _head(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raw = ops.cast(raw, "float32")
        # The logit of the one component, which is no output of the network.
        return super()._head(ops.concatenate([ops.zeros_like(raw[..., :1]), raw], axis=-1))

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, std = parameters[..., :1], parameters[..., 1:]
        return 0.0 * mean + 1.0, mean, std


def examples() -> tuple[Gaussian, ...]:
    """Instances for the contract tests."""
    return (
        Gaussian(-5.0, 10.0),
        Gaussian(0.0, 0.4, 40, relative_errors=True, ucd="src.redshift.phot"),
    )
