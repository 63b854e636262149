"""Baselines of a number: the prior, its mean, and what one other number tells.

They answer in the format of a network, through `QuantityFamily.from_values`, so that the same
code scores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from astrocnn.errors import PredictionError
from astrocnn.evaluation.quantities import family_of
from astrocnn.metrics import dirichlet_multinomial_nll
from astrocnn.targets import Target

__all__ = ["Neighbors", "Prior", "fit_mean", "fit_neighbors", "fit_prior", "fit_votes"]


@dataclass(frozen=True, eq=False)
class Prior:
    """Every object gets the same density.

    Parameters
    ----------
    target : Target
        What is predicted.
    label : str
        What it is called in tables.
    sentence : str
        What it does.
    parameters : ndarray of shape (units,)
        Of the density, as the family of the target has them.
    """

    target: Target
    label: str
    sentence: str
    parameters: NDArray[np.floating]

    def sample(self, n: int) -> NDArray[np.floating]:
        """Samples of shape (1, n, units) for `n` objects."""
        return np.broadcast_to(self.parameters, (1, n, len(self.parameters)))


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Each object gets the values of those that are nearest to it in one number.

    Parameters
    ----------
    target : Target
        What is predicted.
    number : str
        What the number is.
    along : ndarray of shape (n,)
        The number of the training objects, rising.
    values : ndarray of shape (n,)
        Their values.
    count : int
        How many neighbors speak.
    """

    target: Target
    number: str
    along: NDArray[np.float64]
    values: NDArray[np.float64]
    count: int

    @property
    def label(self) -> str:
        """What it is called in tables."""
        return f"{self.number} alone"

    @property
    def sentence(self) -> str:
        """What it does."""
        return f"the values of the {self.count} training objects nearest in {self.number}"

    def sample(self, numbers: Any) -> NDArray[np.floating]:
        """Samples of shape (1, n, units); NaN where the number is not finite."""
        x = np.asarray(numbers, np.float64)
        known = np.isfinite(x)
        # The nearest are a run of the sorted ones: it begins where its two ends are equally far.
        last = len(self.along) - self.count
        start = np.searchsorted(
            self.along[:last] + self.along[self.count :], 2 * x[known], side="left"
        )
        nearest = self.values[start[:, None] + np.arange(self.count)]
        family = family_of(self.target)
        out = np.full((1, len(x), family.units), np.nan, np.float32)
        if known.any():
            out[0, known] = family.from_values(nearest)
        return out


def fit_prior(target: Target, encoded: Any, weight: Any) -> Prior:
    """The distribution of the training labels, given to everybody: p(z) = n(z).

    Its PIT is flat, for it is calibrated and knows nothing: what tells it from a prediction is
    the CRPS and the CDE loss.

    Parameters
    ----------
    target : Target
        One over a number.
    encoded, weight : array_like of shape (n, 1) and (n,)
        Labels of the training split.

    Raises
    ------
    PredictionError
        If no object has a label.

    References
    ----------
    Schmidt, Malz et al. (2020), MNRAS 499, 1587, section 3.3 (trainZ).
    """
    values = _values(target, encoded, weight)
    parameters = family_of(target).from_values(values[None])[0]
    return Prior(target, "Prior", "the distribution of the training labels for all", parameters)


def fit_mean(target: Target, encoded: Any, weight: Any) -> Prior:
    """The mean of the training labels, given to everybody as if it were certain.

    Parameters
    ----------
    target, encoded, weight
        As for `fit_prior`.
    """
    mean = float(_values(target, encoded, weight).mean())
    parameters = family_of(target).from_values(np.full((1, 1), mean))[0]
    sentence = f"{mean:.4g}, the mean of the training labels, for all"
    return Prior(target, "Training mean", sentence, parameters)


def fit_neighbors(target: Target, name: str, values: Any, encoded: Any, weight: Any) -> Neighbors:
    """What one number tells of another: its nearest neighbors, as many as the root of n.

    Parameters
    ----------
    target : Target
        One over a number.
    name : str
        What the number is, for instance a magnitude.
    values : array_like of shape (n,)
        The number; objects where it is not finite are left out.
    encoded, weight : array_like of shape (n, 1) and (n,)
        Labels of the training split.

    Raises
    ------
    PredictionError
        If no object has both a label and a finite number.
    """
    along = np.asarray(values, np.float64)
    used = np.isfinite(along)
    truth = _values(target, np.asarray(encoded)[used], np.asarray(weight)[used])
    along = along[used][np.asarray(weight)[used] > 0]
    order = np.argsort(along, kind="stable")
    count = min(len(along), max(5, round(len(along) ** 0.5)))
    return Neighbors(target, name, along[order], truth[order], count)


def fit_votes(target: Target, encoded: Any, weight: Any) -> Prior:
    """The mean fractions of the votes and the likeliest scatter about them, given to everybody.

    Parameters
    ----------
    target : Target
        A question put to the vote.
    encoded, weight : array_like of shape (n, n_answers) and (n,)
        Votes of the training split.

    Raises
    ------
    PredictionError
        If no object has votes.
    """
    votes = np.asarray(encoded, np.float64)[_labelled(target, weight)]
    shares = (votes.sum(axis=0) + 0.5) / (votes.sum() + 0.5 * votes.shape[1])

    def loss(log_total: float) -> float:
        alpha = np.broadcast_to(np.exp(log_total) * shares, (1, *votes.shape))
        return float(dirichlet_multinomial_nll(votes, alpha).mean())

    total = np.exp(minimize_scalar(loss, bounds=(-3.0, 8.0), method="bounded").x)
    sentence = "the mean fractions of the training votes and their scatter for all"
    return Prior(target, "Prior", sentence, total * shares)


def _values(target: Target, encoded: Any, weight: Any) -> NDArray[np.float64]:
    return family_of(target).to_values(np.asarray(encoded)[_labelled(target, weight)])


def _labelled(target: Target, weight: Any) -> NDArray[np.bool_]:
    labelled = np.asarray(weight) > 0
    if not labelled.any():
        raise PredictionError(
            f"No object can train the baseline of target '{target.name}'.",
            hint="give training objects with a label (and a finite number)",
        )
    return labelled
