"""The contract of a family: the predictive distribution of one quantity.

A network ends in `Family.units` raw numbers per object.  The family alone defines what they mean:
how a label becomes a training value, how raw numbers become parameters, which loss trains them,
which number of them can be explained, which columns describe them in a table, and which kind of
scores judges them.  Nothing else in the package asks which family it is.

A family is one file: a frozen dataclass that extends `ClassFamily` (named classes) or
`QuantityFamily` (one real number), or `Family` itself, and a function ``examples()`` with a few
instances for the contract tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from astrocnn.backend import Tensor, ops
from astrocnn.column import Column
from astrocnn.errors import ModelError
from astrocnn.plugins import nearest

__all__ = [
    "ENTROPY_ROWS",
    "MAX_UNITS",
    "SCALES",
    "ClassFamily",
    "DiscreteFamily",
    "Family",
    "Moments",
    "Part",
    "build_columns",
    "moments",
]

MAX_UNITS = 100_000
"""Most numbers that a family has for an object: a file that states more means harm."""

Array: TypeAlias = NDArray[np.float64]
Encoded: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
Part: TypeAlias = "str | tuple[float, float] | None"
"""What is explained of a prediction: a class, the ends of an interval, or the point estimate."""

SCALES = ("logit", "probability")
"""Scales on which a class is explained."""

ENTROPY_ROWS = (
    ("entropy", "stat.value", "Predictive entropy H[mean p] in nat"),
    ("mutual_info", "stat.value", "H[mean p] - mean H[p] in nat (epistemic)"),
)
"""Name, UCD and description of the columns that all families of classes have."""


def build_columns(rows: Iterable[tuple[str, str, str]]) -> tuple[Column, ...]:
    """Columns of float32 without a unit from names, UCDs and descriptions."""
    return tuple(Column(name, "f4", "", ucd, description) for name, ucd, description in rows)


class Family(ABC):
    """The predictive distribution of one quantity.

    Samples have the shape (n_draws, n_objects, units) and hold activated parameters; a row with
    NaN is a row without a prediction.

    Attributes
    ----------
    kind : str
        Kind of the scores that judge it: ``"classes"``, ``"votes"`` or ``"density"``.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def units(self) -> int:
        """Width of the network's last layer."""

    @property
    @abstractmethod
    def initial_loss(self) -> float:
        """Expected loss of raw output zero: that of an untrained head."""

    @abstractmethod
    def encode(self, values: ArrayLike, missing: ArrayLike | None = None) -> Encoded:
        """Turn labels into training values.

        Parameters
        ----------
        values : array_like of shape (n,), or (n, k) for votes on k answers
            Labels as a catalogue holds them: text, integers, booleans, floats, masked arrays.
        missing : array_like of bool of the shape of `values`, optional
            True where there is no label.

        Returns
        -------
        encoded : ndarray of shape (n, k)
            Always finite, also where there is no label.
        weight : ndarray of shape (n,)
            0 where there is no label, else 1.

        Raises
        ------
        CatalogError
            If a label is not one of the family.
        """

    @abstractmethod
    def activate(self, raw: Tensor) -> Tensor:
        """Parameters of the distribution from raw network output of shape (..., units)."""

    @abstractmethod
    def loss(self, encoded: Tensor, raw: Tensor) -> Tensor:
        """Loss of each object, of shape (n,), from encoded labels and raw network output."""

    @abstractmethod
    def summarize(self, samples: NDArray[np.floating]) -> dict[str, NDArray[np.generic]]:
        """Values of the columns by name, each of shape (n,), in the order of `columns`."""

    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """Declarations of what `summarize` returns; a target puts its own name before theirs."""

    @abstractmethod
    def tally(self, encoded: NDArray[np.floating], weight: NDArray[np.floating]) -> dict[str, int]:
        """Number of labelled objects, by class or by range."""

    @abstractmethod
    def validate_part(self, part: Part) -> Part:
        """Return the part of the prediction that is explained, defaults filled in.

        Raises
        ------
        ModelError
            If the family has no such part.
        """

    @abstractmethod
    def explained(self, raw: Tensor, part: Part = None, scale: str = "logit") -> Tensor:
        """The number that is explained, of shape (...), from raw output of shape (..., units).

        Differentiable: written with `keras.ops`.  `part` comes from `validate_part`; `scale`, for
        classes, is one of `SCALES`.
        """

    @abstractmethod
    def part_label(self, name: str, part: Part, scale: str = "logit") -> str:
        """The explained number of the target `name` in words, for the axis of a figure."""


class DiscreteFamily(Family):
    """A family over a finite list of named classes or answers.

    Attributes
    ----------
    classes : tuple of str
        Their names, in the order of probabilities.
    """

    classes: tuple[str, ...]

    @abstractmethod
    def to_probabilities(self, samples: NDArray[np.floating]) -> NDArray[np.floating]:
        """Samples as probabilities of shape (n_draws, n, n_classes)."""

    @abstractmethod
    def to_truth(self, encoded: NDArray[np.floating]) -> NDArray[np.floating]:
        """Encoded labels as fractions of shape (n, n_classes)."""

    def validate_part(self, part: Part) -> Part:
        """The name of a class; yes is the default of a yes/no question."""
        if part is None and self.units == 1:
            return self.classes[1]
        if part not in self.classes:
            raise ModelError(
                "There is no such class to explain, or none was named.",
                received=repr(part),
                allowed=self.classes,
                hint=nearest(str(part), self.classes) if part else None,
            )
        return part

    def explained(self, raw: Tensor, part: Part = None, scale: str = "logit") -> Tensor:
        """Raw output of the class, which does not saturate, or its probability."""
        place = self.classes.index(str(part))
        if scale == "logit":
            return raw[..., place]
        active = self.activate(raw)
        return active[..., place] / ops.sum(active, axis=-1)

    def part_label(self, name: str, part: Part, scale: str = "logit") -> str:
        """Such as ``"logit of shape = spiral"``."""
        return f"{scale} of {name} = {part}"


class ClassFamily(DiscreteFamily):
    """A family over mutually exclusive classes, given by their probabilities."""

    kind: ClassVar[str] = "classes"

    @abstractmethod
    def from_probabilities(self, probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
        """The inverse of `to_probabilities`, for predictors that are not networks."""


@dataclass(frozen=True)
class Moments:
    """Mean, spread and entropies over draws of class probabilities; every field is float64.

    Parameters
    ----------
    mean, std : ndarray of shape (n, n_classes)
        Mean and standard deviation (over draws, ddof 0) of each probability.
    entropy : ndarray of shape (n,)
        Predictive entropy H[mean p] [nat].
    mutual_info : ndarray of shape (n,)
        H[mean p] - mean H[p_t] [nat], never negative.
    """

    mean: Array
    std: Array
    entropy: Array
    mutual_info: Array


def moments(samples: NDArray[np.floating]) -> Moments:
    """Moments of class probabilities of shape (n_draws, n, n_classes) over draws.

    One draw is in memory at a time; a row with NaN in any draw becomes NaN.
    """
    # Sums run over differences from the first draw, so that equal draws give exactly zero spread
    # and exactly zero mutual information.
    first = _normalized(samples[0])
    first_entropy = _entropy(first)
    shift = np.zeros_like(first)
    square = np.zeros_like(first)
    entropy_shift = np.zeros_like(first_entropy)
    for draw in samples[1:]:
        p = _normalized(draw)
        entropy_shift += _entropy(p) - first_entropy
        p -= first
        shift += p
        square += p * p
    n = len(samples)
    shift /= n
    mean = first + shift
    std = np.sqrt(np.maximum(square / n - shift * shift, 0.0))
    std[np.isnan(mean)] = np.nan
    total = _entropy(mean)
    expected = first_entropy + entropy_shift / n
    return Moments(mean, std, total, np.maximum(total - expected, 0.0))


def _normalized(draw: NDArray[np.floating]) -> Array:
    p = np.array(draw, np.float64)
    with np.errstate(invalid="ignore"):
        p /= p.sum(axis=-1, keepdims=True)
    return p


def _entropy(p: Array) -> Array:
    return np.asarray(entr(p).sum(axis=-1))
