"""Rows that can be scored: those with a label and a prediction; the rest are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import PredictionError
from astrocnn.targets import ClassFamily, Target

__all__ = ["Sample", "counted", "matched", "scorable"]


@dataclass(frozen=True, eq=False)
class Sample:
    """Class probabilities of the objects that can be scored, beside their labels.

    Parameters
    ----------
    rows : ndarray of int of shape (n,)
        Their rows in what was handed in.
    truth : ndarray of shape (n, n_classes)
        Labels as fractions, 0 and 1 as a rule.
    draws : ndarray of shape (n_draws, n, n_classes)
        Probabilities of each draw.
    n_excluded : int
        Rows left out.
    reason : str
        Why.
    """

    rows: NDArray[np.intp]
    truth: NDArray[np.float64]
    draws: NDArray[np.float64]
    n_excluded: int
    reason: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean probabilities over draws, of shape (n, n_classes)."""
        return self.draws[0] + (self.draws - self.draws[0]).mean(axis=0)

    @property
    def label(self) -> NDArray[np.intp]:
        """Number of the true class (the commonest answer of a fraction), of shape (n,)."""
        return self.truth.argmax(axis=1)

    @property
    def said(self) -> NDArray[np.intp]:
        """Number of the most probable class, of shape (n,)."""
        return self.mean.argmax(axis=1)


def scorable(target: Target, encoded: Any, weight: Any, samples: Any) -> Sample:
    """The rows of one target that have a label and a prediction.

    Parameters
    ----------
    target : Target
        A target whose family speaks of classes.
    encoded : array_like of shape (n, k)
        Encoded labels.
    weight : array_like of shape (n,)
        0 where there is no label.
    samples : array_like of shape (n_draws, n, units)
        Activated samples; NaN where there is no prediction.

    Raises
    ------
    PredictionError
        If the shapes do not belong together, or the family has no classes.
    """
    family = target.family
    if not isinstance(family, ClassFamily):
        raise PredictionError(
            f"Target '{target.name}' has no classes to score.", received=type(family).__name__
        )
    encoded, samples = np.asarray(encoded), np.asarray(samples)
    rows, n_excluded, reason = matched(target, encoded, weight, samples)
    p = np.asarray(family.to_probabilities(samples[:, rows]), np.float64)
    p = p / p.sum(axis=-1, keepdims=True)
    truth = np.asarray(family.to_truth(encoded[rows]), np.float64)
    return Sample(rows, truth, p, n_excluded, reason)


def matched(
    target: Target, encoded: Any, weight: Any, samples: Any, *, label: str = "a label"
) -> tuple[NDArray[np.intp], int, str]:
    """Rows with a label and a prediction, how many have not, and why.

    Parameters
    ----------
    target : Target
        What was predicted.
    encoded, weight, samples
        As for `scorable`.
    label : str
        What a row without one lacks, as the reason says it.

    Returns
    -------
    rows : ndarray of int of shape (m,)
    n_excluded : int
    reason : str

    Raises
    ------
    PredictionError
        If the shapes do not belong together.
    """
    encoded, weight, samples = np.asarray(encoded), np.asarray(weight), np.asarray(samples)
    units = target.family.units
    if (
        samples.ndim != 3
        or samples.shape[1:] != (len(weight), units)
        or len(encoded) != len(weight)
    ):
        raise PredictionError(
            f"Labels and samples of target '{target.name}' do not belong together.",
            received=f"labels {encoded.shape}, weights {weight.shape}, samples {samples.shape}",
            allowed=f"samples of shape (draws, n, {units}) and n labels",
        )
    labelled = weight > 0
    predicted = np.ones(len(weight), bool)
    for draw in samples:  # one draw at a time: samples of densities are large
        predicted &= np.isfinite(draw).all(axis=1)
    n_excluded, reason = counted(
        {
            f"without {label}": int((~labelled).sum()),
            "without a prediction": int((labelled & ~predicted).sum()),
        }
    )
    return np.flatnonzero(labelled & predicted), n_excluded, reason


def counted(groups: dict[str, int]) -> tuple[int, str]:
    """Total of the groups, and a sentence that names those that are not empty."""
    named = [f"{count} {words}" for words, count in groups.items() if count]
    return sum(groups.values()), ", ".join(named)
