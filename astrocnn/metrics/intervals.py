"""Scores with confidence intervals, and the difference of two predictors on the same objects.

Every metric of this folder takes ``weights`` of shape (..., n).  A bootstrap resample is nothing
but a row of such weights (how often each object was drawn), so that hundreds of resamples are
scored in one call, and every metric of one sample sees the same resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from astrocnn.errors import ConfigError

__all__ = ["Score", "bootstrap", "mcnemar", "paired_difference", "resamples", "wilson"]

_ELEMENTS_AT_ONCE = 1 << 22

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, repr=False)
class Score:
    """One number about a sample, with what it rests on.

    Parameters
    ----------
    name : str
        Name of the score.
    value : float
        Its value, NaN when it is not defined on this sample.
    low, high : float
        Ends of the confidence interval; NaN when there is none.
    n_used, n_excluded : int
        Objects that entered, and objects left out.
    reason : str
        Why they were left out; empty when none was.
    target : str
        The predicted quantity, empty for a score over several.
    note : str
        Remark for the reader of the number.
    level : float
        Coverage of the interval.
    """

    name: str
    value: float
    low: float
    high: float
    n_used: int
    n_excluded: int = 0
    reason: str = ""
    target: str = ""
    note: str = ""
    level: float = 0.95

    def __repr__(self) -> str:
        return f"<Score {self}>"

    def __str__(self) -> str:
        name = f"{self.target}.{self.name}" if self.target else self.name
        if not math.isfinite(self.value):
            return f"{name} is not defined (n = {self.n_used})"
        interval = ""
        if math.isfinite(self.low):
            interval = f" [{self.low:.4g}, {self.high:.4g}]"
        excluded = f", {self.n_excluded} excluded: {self.reason}" if self.n_excluded else ""
        return f"{name} = {self.value:.4g}{interval} (n = {self.n_used}{excluded})"


def resamples(n: int, count: int, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """Bootstrap resamples as weights, a few at a time.

    Parameters
    ----------
    n : int
        Objects in the sample.
    count : int
        Resamples in all.
    seed : int
        The same seed gives the same resamples.

    Yields
    ------
    weights : ndarray of shape (k, n)
        How often each object was drawn; rows sum to n, and the k add up to `count`.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _ELEMENTS_AT_ONCE // max(n, 1))
    for start in range(0, count, step):
        k = min(step, count - start)
        # Each resample has its own range of n numbers, so that one bincount counts all of them.
        indices = rng.integers(0, n, (k, n)) + n * np.arange(k)[:, None]
        yield np.bincount(indices.ravel(), minlength=k * n).reshape(k, n).astype(np.float64)


def bootstrap(
    statistics: Mapping[str, Statistic],
    n: int,
    *,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Score]:
    """Values and percentile intervals of several statistics of one sample.

    Parameters
    ----------
    statistics : mapping of str to callable
        Each turns weights of shape (k, n) into k values.
    n : int
        Objects in the sample.
    n_resamples : int
        Bootstrap resamples; 0 gives values without intervals.
    level : float
        Coverage of the intervals.
    seed : int
        The same seed gives the same intervals.

    Returns
    -------
    scores : dict of str to Score
        A resample in which a statistic is not defined (for instance no object of a class was
        drawn) does not enter its interval; below half of the resamples, and for a single object,
        there is none.

    Raises
    ------
    ConfigError
        If the level is not between 0 and 1 or the number of resamples is negative.

    References
    ----------
    Efron B. and Tibshirani R. (1993), An Introduction to the Bootstrap, chapter 13.
    """
    if not 0 < level < 1 or n_resamples < 0:
        raise ConfigError(
            "A bootstrap needs a level between 0 and 1 and a number of resamples from 0.",
            received=f"level {level}, {n_resamples} resamples",
        )
    ones = np.ones((1, n))
    values = {
        name: float(np.asarray(f(ones))[0]) if n else math.nan for name, f in statistics.items()
    }
    resampled: dict[str, list[NDArray[np.float64]]] = {name: [np.zeros(0)] for name in statistics}
    for weights in resamples(n, n_resamples, seed) if n > 1 else ():
        for name, f in statistics.items():
            resampled[name].append(np.asarray(f(weights), np.float64))
    tail = 50 * (1 - level)
    scores = {}
    for name, value in values.items():
        low, high, note = math.nan, math.nan, ""
        replicas = np.concatenate(resampled[name])
        finite = replicas[np.isfinite(replicas)]
        if math.isfinite(value) and len(finite) > n_resamples / 2:
            low, high = map(float, np.percentile(finite, [tail, 100 - tail]))
            if len(finite) < n_resamples:
                note = f"interval from the {len(finite)} resamples that define it"
        scores[name] = Score(name, value, low, high, n, note=note, level=level)
    return scores


def wilson(
    successes: ArrayLike, trials: ArrayLike, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson score interval of a binomial fraction; NaN where there was no trial.

    Parameters
    ----------
    successes, trials : array_like
        Counts, or sums of weights.
    level : float
        Probability that the interval covers the fraction.

    Returns
    -------
    low, high : ndarray
        Of the common shape of the arguments.

    References
    ----------
    Wilson E. B. (1927), J. Am. Stat. Assoc. 22, 209; Brown, Cai and DasGupta (2001),
    Statistical Science 16, 101, equation 4.
    """
    z = NormalDist().inv_cdf(0.5 + level / 2)
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = k / n
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = np.where(k == 0, 0.0, np.maximum(middle - half, 0.0))
    high = np.where(k == n, 1.0, np.minimum(middle + half, 1.0))
    return np.where(n == 0, np.nan, low), np.where(n == 0, np.nan, high)


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


def mcnemar(first_correct: ArrayLike, second_correct: ArrayLike) -> tuple[int, int, float]:
    """McNemar's exact test: are two classifiers correct equally often?

    Only objects on which one is correct and the other is not count; were both equally good, each of
    them would fall to either side like a coin.

    Parameters
    ----------
    first_correct, second_correct : array_like of bool of shape (n,)
        Whether each was correct, over the same objects.

    Returns
    -------
    only_first, only_second : int
        Objects on which only one was correct.
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
    a, b = np.asarray(first_correct, bool), np.asarray(second_correct, bool)
    if a.ndim != 1 or a.shape != b.shape:
        raise ConfigError(
            "McNemar's test compares two answers of the same objects.",
            received=f"{a.shape} and {b.shape} answers",
        )
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    n = only_first + only_second
    return only_first, only_second, float(binomtest(only_first, n).pvalue) if n else 1.0
