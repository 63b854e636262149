"""The contract of a family: the predictive distribution of one quantity.

A network ends in `Family.units` raw numbers per object.  The family alone knows what they mean:
how a label becomes a training value, how raw numbers become parameters, which loss trains them,
and which columns describe them in a table.  Nothing else in the package asks which family it is.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from astrocnn.column import Column

__all__ = ["ClassFamily", "Family", "QuantityFamily"]


@runtime_checkable
class Family(Protocol):
    """The predictive distribution of one quantity.

    A family is a frozen dataclass in a module of its own, which also exposes
    ``examples() -> tuple[Family, ...]`` for the contract tests.  Samples have the shape
    (n_draws, n_objects, units) and hold activated parameters; a row holding NaN is a row without
    a prediction.
    """

    @property
    def chapter(self) -> str:
        """Which chapter of the evaluation scores and draws it."""

    @property
    def units(self) -> int:
        """Width of the network's last layer."""

    @property
    def initial_loss(self) -> float:
        """Expected loss of a head that knows nothing (raw parameters all zero)."""

    def encode(
        self, values: Any, missing: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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
            1 where there is a label, 0 where there is none.

        Raises
        ------
        CatalogError
            If a label is not one the family knows.
        """

    def activate(self, raw: Any) -> Any:
        """Parameters of the distribution from raw network output of shape (..., units)."""

    def loss(self, encoded: Any, raw: Any) -> Any:
        """Loss of each object, of shape (n,), from encoded labels and raw network output."""

    def summarize(self, samples: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
        """Columns of a table, by suffix, each of shape (n,), in the order of `columns`."""

    def columns(self) -> tuple[Column, ...]:
        """Declarations of what `summarize` returns; a target puts its own name before theirs."""

    def tally(self, encoded: NDArray[np.floating], weight: NDArray[np.floating]) -> dict[str, int]:
        """How many labelled objects there are, by class or by range."""


@runtime_checkable
class ClassFamily(Family, Protocol):
    """A family over named classes; what the chapter ``classification`` asks for."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of probabilities."""

    def to_probabilities(self, samples: NDArray[np.floating]) -> NDArray[np.floating]:
        """Samples as class probabilities of shape (n_draws, n, n_classes)."""

    def from_probabilities(self, probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
        """The inverse of `to_probabilities`, for predictors that are not networks."""

    def to_truth(self, encoded: NDArray[np.floating]) -> NDArray[np.floating]:
        """Encoded labels as class fractions of shape (n, n_classes)."""


@runtime_checkable
class QuantityFamily(Family, Protocol):
    """A family over one real number, whose predictive distribution is a density p(z).

    Its densities are told on `n_bins` equal bins between `low` and `high`; what little
    probability lies outside counts to the first and the last bin.
    """

    @property
    def low(self) -> float:
        """Lower end of the range."""

    @property
    def high(self) -> float:
        """Upper end of the range."""

    @property
    def edges(self) -> NDArray[np.float64]:
        """Edges of the bins in which `masses` tells the density, of shape (n_bins + 1,)."""

    def to_values(self, encoded: NDArray[np.floating]) -> NDArray[np.float64]:
        """Encoded labels as numbers of shape (n,)."""

    def masses(self, samples: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probability in each bin, of shape (n_draws, n, n_bins), summing to 1."""

    def cumulative(
        self, samples: NDArray[np.floating], values: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Probability of at most values[i] for object i, of shape (n_draws, n)."""

    def from_values(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Parameters of shape (n, units) that describe m equally probable values per object.

        For predictors that are not networks: `values` has the shape (n, m).
        """
