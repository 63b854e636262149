"""Baselines: predictors without a network, fitted on the training split.

They return samples in the format of an estimator, so the same code scores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression, minimize_scalar

from astrocnn.errors import PredictionError
from astrocnn.metrics import dirichlet_multinomial_nll
from astrocnn.targets import ClassFamily, DiscreteFamily, QuantityFamily, Target

__all__ = [
    "ConstantBaseline",
    "Cut",
    "Neighbors",
    "compute_peak_brightness",
    "fit_cut",
    "fit_majority",
    "fit_mean",
    "fit_neighbors",
    "fit_prior",
    "fit_votes",
]


@dataclass(frozen=True, eq=False)
class ConstantBaseline:
    """The same prediction for every object.

    Parameters
    ----------
    name, description : str
        Name in tables, and what it predicts.
    parameters : ndarray of shape (units,)
        Parameters of the family of the target.
    """

    name: str
    description: str
    parameters: NDArray[np.floating]

    def sample(self, n: int) -> NDArray[np.floating]:
        """Samples of shape (1, n, units) for `n` objects."""
        return np.broadcast_to(self.parameters, (1, n, len(self.parameters)))


@dataclass(frozen=True, eq=False)
class Cut:
    """A single threshold on one column.

    Parameters
    ----------
    family : ClassFamily
    column : str
        Name of the column, for instance "peak brightness".
    threshold : float
        The cut with the highest accuracy on the training split; NaN when no cut helps.
    edges : ndarray of shape (m,)
        Values at which the probabilities change, ascending.
    steps : ndarray of shape (m + 1, n_classes)
        Class probabilities below the first edge, between edges, and from the last one on.
    """

    family: ClassFamily
    column: str
    threshold: float
    edges: NDArray[np.float64]
    steps: NDArray[np.float64]

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"Cut on {self.column}"

    @property
    def description(self) -> str:
        """Description of the prediction."""
        low, high = (self.family.classes[int(self.steps[end].argmax())] for end in (0, -1))
        if low == high:
            return f"always '{low}': no cut on {self.column} is better on the training split"
        return f"'{low}' where {self.column} < {self.threshold:.4g}, else '{high}'"

    def sample(self, values: ArrayLike) -> NDArray[np.floating]:
        """Samples of shape (1, n, units); NaN where the value is not finite."""
        x = np.asarray(values, np.float64)
        finite = np.isfinite(x)
        place = np.searchsorted(self.edges, np.where(finite, x, 0.0), side="right")
        p = np.where(finite[:, None], self.steps[place], np.nan)[None]
        return np.asarray(self.family.from_probabilities(p))


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The true values of the training objects nearest in one column.

    Parameters
    ----------
    family : QuantityFamily
    column : str
        Name of the column.
    sorted_column, values : ndarray of shape (n,)
        The column of the training objects, ascending, and their true values.
    count : int
        Number of neighbors.
    """

    family: QuantityFamily
    column: str
    sorted_column: NDArray[np.float64]
    values: NDArray[np.float64]
    count: int

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"{self.column} alone"

    @property
    def description(self) -> str:
        """Description of the prediction."""
        return f"true values of the {self.count} training objects nearest in {self.column}"

    def sample(self, values: ArrayLike) -> NDArray[np.floating]:
        """Samples of shape (1, n, units); NaN where the value is not finite."""
        x = np.asarray(values, np.float64)
        finite = np.isfinite(x)
        # The nearest are consecutive: a run starts where both of its ends are equally far.
        last = len(self.sorted_column) - self.count
        middles = self.sorted_column[:last] + self.sorted_column[self.count :]
        start = np.searchsorted(middles, 2 * x[finite], side="left")
        nearest = self.values[start[:, None] + np.arange(self.count)]
        out = np.full((1, len(x), self.family.units), np.nan, np.float32)
        if finite.any():
            out[0, finite] = self.family.from_values(nearest)
        return out


def fit_majority(target: Target, encoded: ArrayLike, weight: ArrayLike) -> ConstantBaseline:
    """Class fractions of the training split for every object; the majority class wins.

    Parameters
    ----------
    target : Target
        A target over named classes.
    encoded : array_like of shape (n, k)
        Labels of the training split.
    weight : array_like of shape (n,)
        0 where the label is missing.

    Raises
    ------
    PredictionError
        If no object has a label.
    """
    family, labels = _select(target, ClassFamily, encoded, np.asarray(weight) > 0)
    fractions = np.asarray(family.to_truth(labels), np.float64).mean(axis=0)
    parameters = np.asarray(family.from_probabilities(fractions[None, None]))[0, 0]
    majority = family.classes[int(fractions.argmax())]
    description = f"always '{majority}', the most frequent class of the training split"
    return ConstantBaseline("Majority", description, parameters)


def fit_cut(
    target: Target, column: str, values: ArrayLike, encoded: ArrayLike, weight: ArrayLike
) -> Cut:
    """The single threshold on a column with the highest accuracy on the training split.

    For two classes the probabilities on both sides of it come from isotonic regression, whose
    step across one half is that best threshold, so that ROC and calibration are as good as a
    monotonic function of the column allows.  For more classes each side has its class fractions.

    Parameters
    ----------
    target, encoded, weight
        As for `fit_majority`.
    column : str
        Name of the column, for instance a magnitude.
    values : array_like of shape (n,)
        The column; objects where it is not finite are excluded.

    Raises
    ------
    PredictionError
        If no object has both a label and a finite value.

    References
    ----------
    Brummer and du Preez (2013), arXiv:1304.2331: the isotonic fit is optimal for every
    threshold at once.
    """
    column_values = np.asarray(values, np.float64)
    used = (np.asarray(weight) > 0) & np.isfinite(column_values)
    family, labels = _select(target, ClassFamily, encoded, used)
    truth = np.asarray(family.to_truth(labels), np.float64)
    # Counts of each class below and above every possible cut, by cumulative sums.
    order = np.argsort(column_values[used], kind="stable")
    x, starts = np.unique(column_values[used][order], return_index=True)
    counts = np.add.reduceat(truth[order], starts, axis=0)
    below = np.concatenate([np.zeros((1, counts.shape[1])), counts.cumsum(axis=0)])
    above = below[-1] - below
    # A cut below the first value leaves all objects on one side: the majority class.
    correct = below.max(axis=1) + above.max(axis=1)
    best = int(correct[: len(x)].argmax())
    threshold = float(x[best] if best == 0 else (x[best - 1] + x[best]) / 2)
    # Two classes have a monotonic fit; its step across one half is the best cut found above.
    if counts.shape[1] == 2:
        edges, steps = _fit_isotonic(x, counts)
        flips = np.flatnonzero(np.diff(steps.argmax(axis=1)))
        threshold = float(edges[flips[0]]) if len(flips) else float("nan")
    else:
        sides = [side[best] if side[best].sum() else below[-1] for side in (below, above)]
        edges = np.array([threshold])
        steps = np.stack([side / side.sum() for side in sides])
    return Cut(family, column, threshold, edges, steps)


def fit_prior(target: Target, encoded: ArrayLike, weight: ArrayLike) -> ConstantBaseline:
    """The distribution of the training labels for every object: p(z) = n(z).

    It is calibrated but the same for all objects, so that its PIT is flat: only the CRPS and the
    CDE loss distinguish it from a prediction.

    Parameters
    ----------
    target, encoded, weight
        As for `fit_majority`; the target is over a number.

    References
    ----------
    Schmidt, Malz et al. (2020), MNRAS 499, 1587, section 3.3 (trainZ).
    """
    family, labels = _select(target, QuantityFamily, encoded, np.asarray(weight) > 0)
    parameters = family.from_values(family.to_values(labels)[None])[0]
    return ConstantBaseline("Prior", "the distribution of the training labels", parameters)


def fit_mean(target: Target, encoded: ArrayLike, weight: ArrayLike) -> ConstantBaseline:
    """The mean of the training labels for every object, with the narrowest density there is.

    Parameters
    ----------
    target, encoded, weight
        As for `fit_prior`.
    """
    family, labels = _select(target, QuantityFamily, encoded, np.asarray(weight) > 0)
    mean = float(family.to_values(labels).mean())
    parameters = family.from_values(np.full((1, 1), mean))[0]
    description = f"{mean:.4g}, the mean of the training labels"
    return ConstantBaseline("Training mean", description, parameters)


def fit_neighbors(
    target: Target, column: str, values: ArrayLike, encoded: ArrayLike, weight: ArrayLike
) -> Neighbors:
    """Nearest neighbors in one column, as many as the square root of the training objects.

    See `fit_cut` for the parameters; the target is over a number.
    """
    x = np.asarray(values, np.float64)
    used = (np.asarray(weight) > 0) & np.isfinite(x)
    family, labels = _select(target, QuantityFamily, encoded, used)
    order = np.argsort(x[used], kind="stable")
    count = min(len(order), max(5, round(len(order) ** 0.5)))
    truth = family.to_values(labels)[order]
    return Neighbors(family, column, x[used][order], truth, count)


def fit_votes(target: Target, encoded: ArrayLike, weight: ArrayLike) -> ConstantBaseline:
    """Mean vote fractions of the training split and their most likely scatter.

    Parameters
    ----------
    target, encoded, weight
        As for `fit_majority`; votes as labels.
    """
    _, votes = _select(target, DiscreteFamily, encoded, np.asarray(weight) > 0)
    votes = np.asarray(votes, np.float64)
    # Half a vote for each answer, so that an answer without votes stays possible.
    fractions = (votes.sum(axis=0) + 0.5) / (votes.sum() + 0.5 * votes.shape[1])

    def loss(log_total: float) -> float:
        alpha = np.broadcast_to(np.exp(log_total) * fractions, (1, *votes.shape))
        return float(dirichlet_multinomial_nll(votes, alpha).mean())

    total = np.exp(minimize_scalar(loss, bounds=(-3.0, 8.0), method="bounded").x)
    description = "the mean vote fractions of the training split and their scatter"
    return ConstantBaseline("Prior", description, total * fractions)


def compute_peak_brightness(images: ArrayLike) -> NDArray[np.float64]:
    """Brightest pixel of the mean over bands, above the median pixel [unit of the images].

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands)
        NaN where there is no data.

    Returns
    -------
    peak : ndarray of shape (n,)
        NaN for an image without a pixel that has data in every band.
    """
    mean = np.asarray(images, np.float64).mean(axis=-1)
    out = np.full(len(mean), np.nan)
    for i, pixels in enumerate(mean.reshape(len(mean), -1)):
        # Median and maximum of the pixels with data.
        finite = pixels[np.isfinite(pixels)]
        if finite.size:
            out[i] = finite.max() - np.median(finite)
    return out


def _fit_isotonic(
    x: NDArray[np.float64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges and class probabilities of the better of the rising and the falling fit."""
    total = counts.sum(axis=1)
    fraction = counts[:, 1] / total
    # A larger value may mean either class.
    fits = [isotonic_regression(fraction, weights=total, increasing=up).x for up in (True, False)]
    p = min(fits, key=lambda fit: float(total @ (fit - fraction) ** 2))
    change = np.flatnonzero(np.diff(p)) + 1
    p = np.clip(p[np.r_[0, change]], 0.0, 1.0)
    return (x[change - 1] + x[change]) / 2, np.stack([1 - p, p], axis=1)


def _select(
    target: Target, kind: type, encoded: ArrayLike, used: NDArray[np.bool_]
) -> tuple[Any, NDArray[Any]]:
    """The family of a target, and the labels of the used objects."""
    if not isinstance(target.family, kind):
        raise PredictionError(
            f"The baseline does not suit the family of target '{target.name}'.",
            received=type(target.family).__name__,
            allowed=kind.__name__,
        )
    if not used.any():
        raise PredictionError(
            f"The baseline of target '{target.name}' needs at least one training object.",
            hint="give training objects with a label (and a finite value of the column)",
        )
    return target.family, np.asarray(encoded)[used]
