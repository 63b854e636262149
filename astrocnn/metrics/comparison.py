"""Two predictors on the same objects: the difference of a score, and whether it may be chance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from astrocnn.errors import ConfigError
from astrocnn.metrics.intervals import Score, Statistic, bootstrap

__all__ = ["mcnemar", "paired_difference"]


def paired_difference(
    name: str,
    first: Statistic,
    second: Statistic,
    n: int,
    *,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Score of the first predictor minus that of the second, both on the same resamples.

    What makes an object hard for both cancels, so that the interval is narrower than intervals of
    each score alone suggest.

    Parameters
    ----------
    name : str
        Name of the score.
    first, second : callable
        Each turns weights of shape (k, n) into k values of the score, over the same n objects in
        the same order.
    n : int
        Objects.
    n_resamples, level, seed
        As for `bootstrap`.

    Returns
    -------
    Score
        The difference with its percentile interval.

    References
    ----------
    Efron B. and Tibshirani R. (1993), An Introduction to the Bootstrap, chapters 8 and 13.
    """

    def difference(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(first(weights)) - np.asarray(second(weights))

    return bootstrap({name: difference}, n, n_resamples=n_resamples, level=level, seed=seed)[name]


def mcnemar(first_right: Any, second_right: Any) -> tuple[int, int, float]:
    """McNemar's exact test: are two classifiers right equally often?

    Only objects on which one is right and the other wrong speak; were both equally good, each of
    them would fall to either side like a coin.

    Parameters
    ----------
    first_right, second_right : array_like of bool of shape (n,)
        Whether each was right, over the same objects.

    Returns
    -------
    only_first, only_second : int
        Objects on which only one was right.
    p : float
        Two-sided probability of so uneven a division by chance; 1 when there is no such object.

    Raises
    ------
    ConfigError
        If the arrays differ in shape.

    References
    ----------
    McNemar Q. (1947), Psychometrika 12, 153; Dietterich T. G. (1998), Neural Computation 10, 1895.

    Examples
    --------
    >>> mcnemar([True] * 5 + [False], [False] * 5 + [True])
    (5, 1, 0.21875)
    """
    a, b = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if a.ndim != 1 or a.shape != b.shape:
        raise ConfigError(
            "McNemar's test compares two answers of the same objects.",
            received=f"{a.shape} and {b.shape} answers",
        )
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    n = only_first + only_second
    return only_first, only_second, float(binomtest(only_first, n).pvalue) if n else 1.0
