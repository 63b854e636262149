"""Scores of classes that have been decided: accuracy, confusion, completeness, purity, F1.

All take weights of shape (..., n) and return values of shape (...), so that bootstrap resamples
are scored at once.  A quantity with an empty denominator is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ConfigError
from astrocnn.metrics._checks import finite, ratio, weights_for

__all__ = [
    "accuracy",
    "change_prior",
    "completeness",
    "confusion_matrix",
    "f1",
    "macro_f1",
    "majority_rate",
    "purity",
    "rmse",
]


def confusion_matrix(
    truth: Any, predicted: Any, n_classes: int, weights: Any = None
) -> NDArray[np.float64]:
    """How often each true class (row) was called each class (column).

    Parameters
    ----------
    truth, predicted : array_like of int of shape (n,)
        Numbers of the classes, from 0.
    n_classes : int
        Number of classes.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.

    Returns
    -------
    matrix : ndarray of shape (..., n_classes, n_classes)

    Raises
    ------
    ConfigError
        If a number of a class is out of range.
    """
    t, p = _classes(truth, n_classes), _classes(predicted, n_classes)
    w = weights_for(weights, len(t))
    cell = t * n_classes + p
    indicator = np.zeros((len(t), n_classes * n_classes))
    indicator[np.arange(len(t)), cell] = 1.0
    return (w @ indicator).reshape(*w.shape[:-1], n_classes, n_classes)


def accuracy(truth: Any, predicted: Any, weights: Any = None) -> NDArray[np.float64]:
    """Weighted fraction of objects whose class is right, of shape (...).

    Parameters
    ----------
    truth, predicted : array_like of int of shape (n,)
        Numbers of the classes.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.

    Returns
    -------
    ndarray of shape (...)
    """
    right = np.asarray(truth) == np.asarray(predicted)
    w = weights_for(weights, len(right))
    return ratio(w @ right, w.sum(axis=-1))


def completeness(matrix: Any) -> NDArray[np.float64]:
    """TP / (TP + FN) of each class (recall), from a confusion matrix; shape (..., n_classes).

    Parameters
    ----------
    matrix : array_like of shape (..., n_classes, n_classes)
        From `confusion_matrix`.
    """
    matrix = np.asarray(matrix)
    return ratio(_diagonal(matrix), matrix.sum(axis=-1))


def purity(matrix: Any) -> NDArray[np.float64]:
    """TP / (TP + FP) of each class (precision), from a confusion matrix; shape (..., n_classes).

    Parameters
    ----------
    matrix : array_like of shape (..., n_classes, n_classes)
        From `confusion_matrix`.
    """
    matrix = np.asarray(matrix)
    return ratio(_diagonal(matrix), matrix.sum(axis=-2))


def f1(matrix: Any) -> NDArray[np.float64]:
    """2 TP / (2 TP + FP + FN) of each class; NaN for a class neither present nor predicted.

    Parameters
    ----------
    matrix : array_like of shape (..., n_classes, n_classes)
        From `confusion_matrix`.

    Returns
    -------
    ndarray of shape (..., n_classes)
    """
    matrix = np.asarray(matrix)
    return ratio(2 * _diagonal(matrix), matrix.sum(axis=-1) + matrix.sum(axis=-2))


def macro_f1(matrix: Any) -> NDArray[np.float64]:
    """Mean F1 over the classes that are present or predicted, each counting alike.

    Parameters
    ----------
    matrix : array_like of shape (..., n_classes, n_classes)
        From `confusion_matrix`.

    Returns
    -------
    ndarray of shape (...)
    """
    each = f1(matrix)
    known = np.isfinite(each)
    return ratio(np.where(known, each, 0).sum(axis=-1), known.sum(axis=-1))


def majority_rate(truth: Any, n_classes: int, weights: Any = None) -> NDArray[np.float64]:
    """Accuracy of always saying the commonest class of the sample itself.

    Parameters
    ----------
    truth : array_like of int of shape (n,)
        Numbers of the classes.
    n_classes : int
        Number of classes.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.

    Returns
    -------
    ndarray of shape (...)
    """
    t = _classes(truth, n_classes)
    w = weights_for(weights, len(t))
    counts = w @ np.eye(n_classes)[t]
    return ratio(counts.max(axis=-1), counts.sum(axis=-1))


def rmse(predicted: Any, truth: Any, weights: Any = None) -> NDArray[np.float64]:
    """Root mean square difference, for instance between vote fractions; over all but the first axis
    and over the objects.

    Parameters
    ----------
    predicted, truth : array_like of shape (n,) or (n, n_questions)
        Fractions.
    weights : array_like of shape (..., n), optional
        Weight of each object.

    References
    ----------
    Dieleman, Willett and Dambre (2015), MNRAS 450, 1441, equation 2.
    """
    difference = np.asarray(predicted, np.float64) - np.asarray(truth, np.float64)
    square = finite(difference.reshape(len(difference), -1), "differences", 2) ** 2
    w = weights_for(weights, len(square))
    return np.sqrt(ratio(w @ square.mean(axis=1), w.sum(axis=-1)))


def change_prior(probability: Any, trained: float, actual: float) -> NDArray[np.float64]:
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


def _diagonal(matrix: NDArray[Any]) -> NDArray[Any]:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _classes(values: Any, n_classes: int) -> NDArray[np.intp]:
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
