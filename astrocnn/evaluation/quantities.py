"""Densities of the objects that can be scored, beside their true values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import PredictionError
from astrocnn.evaluation.sample import matched
from astrocnn.metrics import Densities
from astrocnn.metrics.pit import pit
from astrocnn.targets import QuantityFamily, Target

__all__ = ["Quantities", "family_of", "measured"]

_ELEMENTS_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Quantities:
    """Predictive densities (the mean over draws) and true values of n objects.

    Parameters
    ----------
    rows : ndarray of int of shape (n,)
        Their rows in what was handed in.
    truth : ndarray of shape (n,)
        True values; NaN where there is none (which `scores` never meets).
    densities : Densities
        Mean over draws.
    pit : ndarray of shape (n,)
        Predicted probability of at most the true value.
    columns : dict of str to ndarray of shape (n,)
        What the table of predictions says of them: mean, median, mode, std and so on.
    stacked : ndarray of shape (n_draws, n_bins)
        Sum over objects of the probability in each bin, one n(z) per draw.
    n_excluded : int
        Rows left out.
    reason : str
        Why.
    """

    rows: NDArray[np.intp]
    truth: NDArray[np.float64]
    densities: Densities
    pit: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64]]
    stacked: NDArray[np.float64]
    n_excluded: int
    reason: str

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def credible(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where each truth stands among the bins, densest first; see `Densities.credible`."""
        return self.densities.credible(self.truth)


def measured(target: Target, encoded: Any, weight: Any, samples: Any) -> Quantities:
    """The rows of one target that have a value and a density.

    Parameters
    ----------
    target : Target
        A target whose family speaks of a number.
    encoded : array_like of shape (n, 1)
        Encoded labels.
    weight : array_like of shape (n,)
        0 where there is no label, or one out of range.
    samples : array_like of shape (n_draws, n, units)
        Activated samples; NaN where there is no prediction.

    Raises
    ------
    PredictionError
        If the shapes do not belong together, or the family is not over a number.
    """
    family = family_of(target)
    samples = np.asarray(samples)
    rows, n_excluded, reason = matched(
        target,
        encoded,
        weight,
        samples,
        label=f"a value between {family.low:g} and {family.high:g}",
    )
    truth = family.to_values(np.asarray(encoded)[rows])
    edges = np.asarray(family.edges, np.float64)
    masses = np.empty((len(rows), len(edges) - 1))
    below = np.empty(len(rows))
    stacked = np.zeros((len(samples), len(edges) - 1))
    columns = {c.name: np.empty(len(rows)) for c in family.columns()}
    for part in _parts(len(rows), len(samples) * len(edges)):
        chosen = samples[:, rows[part]]
        each = family.masses(chosen)
        masses[part] = each.mean(axis=0)
        stacked += each.sum(axis=1)
        below[part] = family.cumulative(chosen, truth[part]).mean(axis=0)
        for name, values in family.summarize(chosen).items():
            columns[name][part] = values
    densities = Densities(masses, edges)
    return Quantities(rows, truth, densities, pit(below), columns, stacked, n_excluded, reason)


def family_of(target: Target) -> QuantityFamily:
    """The family of a target over a number.

    Raises
    ------
    PredictionError
        If it is of another kind.
    """
    if not isinstance(target.family, QuantityFamily):
        raise PredictionError(
            f"Target '{target.name}' is not a number with a density.",
            received=type(target.family).__name__,
        )
    return target.family


def _parts(n: int, each: int) -> Iterator[slice]:
    step = max(1, _ELEMENTS_AT_ONCE // each)
    return (slice(start, start + step) for start in range(0, n, step))
