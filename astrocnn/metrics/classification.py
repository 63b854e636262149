"""Scores of classes: decided ones, and one class against the rest as the threshold varies.

All take weights of shape (..., n) and return values of shape (...), so that bootstrap resamples
are scored at once.  A quantity with an empty denominator is NaN.  Objects with equal
probabilities are on the same side of every threshold, so nothing depends on the order of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrocnn.errors import ConfigError
from astrocnn.metrics.weighted import average, ratio, validate_finite, validate_weights

__all__ = [
    "Ranking",
    "accuracy",
    "change_prior",
    "completeness",
    "confusion_matrix",
    "f1",
    "macro_f1",
    "majority_fraction",
    "purity",
    "rmse",
]


def confusion_matrix(
    truth: ArrayLike, predicted: ArrayLike, n_classes: int, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Objects of each true class (row) called each class (column), (..., n_classes, n_classes).

    Parameters
    ----------
    truth, predicted : array_like of int of shape (n,)
        Numbers of the classes, from 0.
    n_classes : int
    weights : array_like of shape (..., n), optional

    Raises
    ------
    ConfigError
        If a number of a class is out of range.
    """
    t, p = _classes(truth, n_classes), _classes(predicted, n_classes)
    w = validate_weights(weights, len(t))
    indicator = np.zeros((len(t), n_classes * n_classes))
    indicator[np.arange(len(t)), t * n_classes + p] = 1.0
    return (w @ indicator).reshape(*w.shape[:-1], n_classes, n_classes)


def accuracy(
    truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Weighted fraction of objects whose class is correct, of shape (...).

    Parameters
    ----------
    truth, predicted, weights
        As for `confusion_matrix`.
    """
    return average(np.asarray(truth) == np.asarray(predicted), weights)


def completeness(matrix: ArrayLike) -> NDArray[np.float64]:
    """TP / (TP + FN) of each class (recall), from a confusion matrix; shape (..., n_classes).

    Parameters
    ----------
    matrix : array_like of shape (..., n_classes, n_classes)
        From `confusion_matrix`.
    """
    matrix = np.asarray(matrix, np.float64)
    return ratio(_diagonal(matrix), matrix.sum(axis=-1))


def purity(matrix: ArrayLike) -> NDArray[np.float64]:
    """TP / (TP + FP) of each class (precision), of shape (..., n_classes). See `completeness`."""
    matrix = np.asarray(matrix, np.float64)
    return ratio(_diagonal(matrix), matrix.sum(axis=-2))


def f1(matrix: ArrayLike) -> NDArray[np.float64]:
    """2 TP / (2 TP + FP + FN) of each class; NaN for a class neither present nor predicted.

    Of shape (..., n_classes). See `completeness`.
    """
    matrix = np.asarray(matrix, np.float64)
    return ratio(2 * _diagonal(matrix), matrix.sum(axis=-1) + matrix.sum(axis=-2))


def macro_f1(matrix: ArrayLike) -> NDArray[np.float64]:
    """Mean F1 over the classes that are present or predicted, of shape (...). See `f1`."""
    scores = f1(matrix)
    defined = np.isfinite(scores)
    return ratio(np.where(defined, scores, 0).sum(axis=-1), defined.sum(axis=-1))


def majority_fraction(
    truth: ArrayLike, n_classes: int, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Majority-class fraction: the accuracy of always predicting the most frequent class.

    Parameters
    ----------
    truth, n_classes, weights
        As for `confusion_matrix`.
    """
    t = _classes(truth, n_classes)
    w = validate_weights(weights, len(t))
    counts = w @ np.eye(n_classes)[t]
    return ratio(counts.max(axis=-1), counts.sum(axis=-1))


def rmse(
    predicted: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Root mean square difference over objects and questions, for instance of vote fractions.

    Parameters
    ----------
    predicted, truth : array_like of shape (n,) or (n, n_questions)
    weights : array_like of shape (..., n), optional

    References
    ----------
    Dieleman, Willett and Dambre (2015), MNRAS 450, 1441, equation 2.
    """
    difference = np.asarray(predicted, np.float64) - np.asarray(truth, np.float64)
    square = validate_finite(difference.reshape(len(difference), -1), "differences", 2) ** 2
    return np.sqrt(average(square.mean(axis=1), weights))


def change_prior(probability: ArrayLike, trained: float, actual: float) -> NDArray[np.float64]:
    """Probability of a class when its share differs from that in the training sample.

    p' = 1 / (1 + k (1/p - 1)) with k = [t / (1 - t)] [(1 - a) / a].

    Parameters
    ----------
    probability : array_like
        Probabilities of a network trained with the share `trained`.
    trained, actual : float
        Share of the class in the training sample and where the network is used.

    Raises
    ------
    ConfigError
        If a share is not between 0 and 1.

    References
    ----------
    Saerens, Latinne and Decaestecker (2002), Neural Computation 14, 21, equation 2.4.
    """
    if not (0 < trained < 1 and 0 < actual < 1):
        raise ConfigError(
            "The share of a class must lie between 0 and 1.", received=f"{trained}, {actual}"
        )
    k = trained / (1 - trained) * (1 - actual) / actual
    p = np.asarray(probability, np.float64)
    # p / (p + k (1 - p)) is the same without dividing by a probability of zero.
    return p / (p + k * (1 - p))


def _diagonal(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _classes(values: ArrayLike, n_classes: int) -> NDArray[np.intp]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ConfigError(
            "Classes must be one whole number per object.",
            received=f"{array.dtype} of shape {array.shape}",
        )
    if array.size and (array.min() < 0 or array.max() >= n_classes):
        raise ConfigError(
            "The number of a class is out of range.",
            received=f"{array.min()} to {array.max()}",
            allowed=f"0 to {n_classes - 1}",
        )
    return array.astype(np.intp)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Objects in the order of their probability of being positive.

    Parameters
    ----------
    positive : array_like of bool of shape (n,)
        Which objects are.
    probability : array_like of shape (n,)
        Probability, or any other score that ranks them.

    Examples
    --------
    >>> float(Ranking([False, False, True, True], [0.1, 0.4, 0.35, 0.8]).auc())
    0.75
    """

    positive: NDArray[np.bool_]
    probability: NDArray[np.float64]

    def __post_init__(self) -> None:
        p = validate_finite(self.probability, "probabilities", 1)
        y = np.asarray(self.positive)
        if y.shape != p.shape or y.dtype != bool:
            raise ConfigError(
                "`positive` must be one boolean per probability.",
                received=f"{y.dtype} of shape {y.shape} for {p.shape}",
            )
        object.__setattr__(self, "positive", y)
        object.__setattr__(self, "probability", p)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(-self.probability, kind="stable")

    @cached_property
    def _starts(self) -> NDArray[np.intp]:
        sorted_ = self.probability[self._order]
        return np.flatnonzero(np.r_[True, sorted_[1:] != sorted_[:-1]][: len(sorted_)])

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Distinct probabilities, falling, of shape (m,)."""
        return self.probability[self._order][self._starts]

    def counts(
        self, weights: ArrayLike | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of true and of false positives at each threshold, each of shape (..., m)."""
        w = validate_weights(weights, len(self.positive))[..., self._order]
        y = self.positive[self._order]
        if not len(y):
            return np.zeros((*w.shape[:-1], 0)), np.zeros((*w.shape[:-1], 0))
        tp = np.add.reduceat(w * y, self._starts, axis=-1).cumsum(axis=-1)
        fp = np.add.reduceat(w * ~y, self._starts, axis=-1).cumsum(axis=-1)
        return tp, fp

    def _curve(self, weights: ArrayLike | None = None) -> list[NDArray[np.float64]]:
        """The `counts`, preceded by those above the highest probability: none."""
        return [np.insert(count, 0, 0.0, axis=-1) for count in self.counts(weights)]

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False and true positive rate, from (0, 0) to (1, 1), each of shape (m + 1,)."""
        tp, fp = self._curve()
        return ratio(fp, (~self.positive).sum()), ratio(tp, self.positive.sum())

    def completeness_purity(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Completeness and purity at each of `thresholds` ("at or above"), each of shape (m,)."""
        tp, fp = self.counts()
        return ratio(tp, self.positive.sum()), ratio(tp, tp + fp)

    def auc(self, weights: ArrayLike | None = None) -> NDArray[np.float64]:
        """Area under the ROC curve: the chance that a positive outranks a negative, ties half.

        References
        ----------
        Hanley and McNeil (1982), Radiology 143, 29.
        """
        tp, fp = self._curve(weights)
        area = (np.diff(fp) * (tp[..., :-1] + tp[..., 1:]) / 2).sum(axis=-1)
        return ratio(area, tp[..., -1] * fp[..., -1])

    def average_precision(self, weights: ArrayLike | None = None) -> NDArray[np.float64]:
        """Sum over thresholds of (step in completeness) times purity, without interpolation."""
        tp, fp = self._curve(weights)
        pure = np.nan_to_num(ratio(tp, tp + fp))[..., 1:]
        return ratio((np.diff(tp) * pure).sum(axis=-1), tp[..., -1])

    def fpr_at_tpr(self, tpr: float, weights: ArrayLike | None = None) -> NDArray[np.float64]:
        """Smallest false-positive rate of a threshold that reaches a true-positive rate."""
        tp, fp = self._curve(weights)
        return _pick(tp, ratio(fp, fp[..., -1:]), tpr)

    def precision_at_recall(
        self, recall: float, weights: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Purity at the highest threshold that reaches a completeness (recall)."""
        tp, fp = self._curve(weights)
        return _pick(tp, ratio(tp, tp + fp), recall)

    def tpr_at_fpr(self, fpr: float, weights: ArrayLike | None = None) -> NDArray[np.float64]:
        """Largest true-positive rate of a threshold whose false-positive rate stays within `fpr`.

        With fewer than 1 / `fpr` negatives this asks for no false positive at all.
        """
        tp, fp = self._curve(weights)
        within = fp <= fpr * fp[..., -1:] * (1 + 1e-12)
        best = np.where(within, tp, 0).max(axis=-1)
        return np.where(fp[..., -1] > 0, ratio(best, tp[..., -1]), np.nan)


def _pick(
    tp: NDArray[np.float64], value: NDArray[np.float64], recall: float
) -> NDArray[np.float64]:
    """Value at the first threshold that reaches a recall above 0."""
    # The tolerance keeps 19 of 20 at 95 %, whose product in floating point exceeds 19.
    first = (tp >= recall * tp[..., -1:] * (1 - 1e-12)).argmax(axis=-1)
    picked = np.take_along_axis(value, first[..., None], axis=-1)[..., 0]
    return np.where(tp[..., -1] > 0, picked, np.nan)
