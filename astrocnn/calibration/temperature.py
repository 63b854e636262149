"""Temperature scaling of class probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from astrocnn.calibration.base import take_labelled
from astrocnn.errors import ConfigError
from astrocnn.metrics import log_loss, mean_over_draws
from astrocnn.targets import ClassFamily, Family

__all__ = ["Temperature", "examples"]

_RANGE = (-3.0, 3.0)
"""Of log T that is searched: T from 0.05 to 20."""


@dataclass(frozen=True)
class Temperature:
    """Class probabilities p become softmax(log p / T) in each draw.

    The most probable class of a draw stays what it is; T > 1 takes back overconfidence.

    Parameters
    ----------
    temperature : float
        T; 1 changes nothing, bit for bit.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), ICML, section 4.2, for one draw.  With many draws, each
    is scaled and the loss is that of their mean, which is what is written.

    Examples
    --------
    >>> from astrocnn.targets import Categorical
    >>> family = Categorical(("star", "galaxy"))
    >>> p = np.array([[[0.9, 0.1]]])
    >>> Temperature(2.0).apply(family, p).round(3).tolist()
    [[[0.75, 0.25]]]
    """

    temperature: float
    least_rows: ClassVar[int] = 50

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ConfigError("A temperature is a positive number.", received=self.temperature)

    @classmethod
    def suits(cls, family: Family) -> bool:
        """Whether the family is one of classes."""
        return isinstance(family, ClassFamily)

    @classmethod
    def fit(cls, family: Family, encoded: Any, weight: Any, samples: Any) -> Temperature:
        """Fit the temperature that minimizes the negative log likelihood of the mean over draws.

        A prior on log T, as strong as one object, keeps T finite where no object is wrong.
        Objects without a label or a prediction are ignored.

        See `Remap.fit` for the parameters.
        """
        assert isinstance(family, ClassFamily)
        encoded, samples, _ = take_labelled(
            family, encoded, weight, samples, "a temperature", cls.least_rows
        )
        truth, log_p = family.to_truth(encoded), _log_probabilities(family, samples)

        def loss(log_t: float) -> float:
            p = mean_over_draws(_softmax(log_p / np.exp(log_t)))
            return float(log_loss(p, truth)) + 0.5 * log_t**2 / len(encoded)

        result = minimize_scalar(loss, bounds=_RANGE, method="bounded", options={"xatol": 1e-4})
        return cls(float(np.exp(result.x)))

    def family(self, family: Family) -> Family:
        """The family, unchanged."""
        return family

    def apply(self, family: Family, samples: NDArray[np.floating]) -> NDArray[np.float32]:
        """Rescale samples, draw by draw."""
        samples = np.asarray(samples, np.float32)
        if self.temperature == 1.0:
            return samples
        assert isinstance(family, ClassFamily)
        out = np.empty_like(samples)
        for draw, target in zip(samples, out, strict=True):
            p = _softmax(_log_probabilities(family, draw) / self.temperature)
            target[...] = family.from_probabilities(p)
        return out


def _log_probabilities(family: ClassFamily, samples: NDArray[Any]) -> NDArray[np.float64]:
    p = np.asarray(family.to_probabilities(samples), np.float64)
    # A value that float32 rounded to zero was below its smallest number; for a probability
    # that is stored as what another one leaves over, that is half a step below 1.
    least = 2.0**-149 if p.shape[-1] == family.units else 2.0**-25
    return np.log(np.maximum(p, least))


def _softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def examples() -> tuple[Temperature, ...]:
    """Instances for the contract tests."""
    return (Temperature(1.7),)
