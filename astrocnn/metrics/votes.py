"""Scores of predicted vote fractions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, gammaln, logsumexp

from astrocnn.errors import ConfigError
from astrocnn.metrics.weighted import average, validate_finite

__all__ = ["dirichlet_multinomial_nll", "mean_deviation", "votes_credible"]


def mean_deviation(
    predicted: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Mean absolute difference of vote fractions, over objects and answers.

    Parameters
    ----------
    predicted, truth : array_like of shape (n, n_answers)
    weights : array_like of shape (..., n), optional

    References
    ----------
    Walmsley et al. (2022), MNRAS 509, 3966, section 5.1.
    """
    p, y = validate_finite(predicted, "fractions", 2), validate_finite(truth, "fractions", 2)
    return average(np.abs(p - y).mean(axis=1), weights)


def dirichlet_multinomial_nll(votes: ArrayLike, concentrations: ArrayLike) -> NDArray[np.float64]:
    """Negative log probability of the votes, for a mean over draws of the distribution [nat].

    Parameters
    ----------
    votes : array_like of shape (n, n_answers)
        Votes for each answer; an object without votes has 0.
    concentrations : array_like of shape (n_draws, n, n_answers)
        Positive parameters of each draw.

    References
    ----------
    Walmsley et al. (2022), equation 2, with the multinomial coefficient.

    Examples
    --------
    >>> two_of_two = dirichlet_multinomial_nll([[2, 0]], [[[1.0, 1.0]]])
    >>> round(float(np.exp(-two_of_two[0])), 4)
    0.3333
    """
    k, a = _checked(votes, concentrations)
    total, mass = k.sum(axis=-1), a.sum(axis=-1)
    coefficient = gammaln(total + 1) - gammaln(k + 1).sum(axis=-1)
    log_terms = gammaln(mass) - gammaln(mass + total) + (gammaln(k + a) - gammaln(a)).sum(axis=-1)
    return -(coefficient + logsumexp(log_terms, axis=0) - np.log(len(a)))


def votes_credible(
    votes: ArrayLike, concentrations: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the votes for each answer stand among the predicted numbers, most probable first.

    Each answer by itself is beta-binomial, for the number of votes that were cast.

    Parameters
    ----------
    votes : array_like of shape (n, n_answers)
        Whole numbers of votes.
    concentrations : array_like of shape (n_draws, n, n_answers)
        Positive parameters of each draw.

    Returns
    -------
    before, within : ndarray of shape (n, n_answers)
        Probability of the numbers more probable than that observed, and of those as probable:
        what `astrocnn.metrics.credible_coverage` takes.
    """
    k, a = _checked(votes, concentrations)
    whole = np.rint(k)
    total = whole.sum(axis=-1)
    before, within = np.zeros(k.shape), np.zeros(k.shape)
    for n in np.unique(total).astype(int):
        rows = np.flatnonzero(total == n)
        counts = np.arange(n + 1.0)
        choose = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
        # One object at a time keeps (draws, answers, n + 1) small.
        for row in rows:
            alpha = a[:, row, :, None]
            other = alpha.sum(axis=1, keepdims=True) - alpha
            log_p = choose + betaln(counts + alpha, n - counts + other) - betaln(alpha, other)
            p = np.exp(log_p).mean(axis=0)
            seen = np.take_along_axis(p, whole[row].astype(int)[:, None], axis=1)
            denser = p > seen * (1 + 1e-9)
            equal = ~denser & (p >= seen * (1 - 1e-9))
            before[row] = np.where(denser, p, 0.0).sum(axis=1)
            within[row] = np.where(equal, p, 0.0).sum(axis=1)
    return before, within


def _checked(
    votes: ArrayLike, concentrations: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    k, a = validate_finite(votes, "votes", 2), validate_finite(concentrations, "concentrations", 3)
    if a.shape[1:] != k.shape or np.any(k < 0) or np.any(a <= 0):
        raise ConfigError(
            "Votes must not be negative, and concentrations must be positive and of their shape.",
            received=f"votes {k.shape}, concentrations {a.shape}",
        )
    return k, a
