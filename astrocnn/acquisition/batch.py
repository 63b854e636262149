"""Batches of objects to label: scores of single objects, and joint information of several.

Draws of consistent Monte-Carlo dropout are the same sub-networks for all objects, so that
predictions of several objects are joint samples, as batch methods need.

References
----------
Houlsby et al. 2011, arXiv:1112.5745 (BALD).
Kirsch, van Amersfoort & Gal 2019, NeurIPS (BatchBALD).
Settles 2009, Active Learning Literature Survey (entropy, margin).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from astrocnn.errors import PredictionError
from astrocnn.metrics import mutual_information, predictive_entropy

__all__ = ["METHODS", "SCORES", "choose_batch", "choose_diverse", "compute_score"]

SCORES = ("bald", "entropy", "margin")
"""Scores of single objects."""

METHODS = ("batchbald", "kmeans", *SCORES, "random")
"""Ways to choose a batch."""

_CONFIGURATIONS = 2000
"""Joint classes of a batch that are enumerated, or else drawn at random."""

_SATURATED = 0.97
"""Fraction of the largest joint information, log(draws), at which a new batch begins."""

_BLOCK = 64


def compute_score(samples: NDArray[np.floating], score: str) -> NDArray[np.float64]:
    """How much a label of each object would tell, larger for more, of shape (n,).

    Parameters
    ----------
    samples : ndarray of shape (n_draws, n, n_classes)
        Probabilities of each draw.
    score : {"bald", "entropy", "margin"}
        Mutual information of label and network [nat], entropy of the mean [nat], or one minus the
        difference of the two largest mean probabilities.

    Examples
    --------
    >>> agreed, torn = [[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0]]
    >>> samples = np.swapaxes([agreed, torn], 0, 1)
    >>> compute_score(samples, "entropy").round(2), compute_score(samples, "bald").round(2)
    (array([0.69, 0.69]), array([0.  , 0.69]))
    """
    if score == "bald":
        return mutual_information(samples)
    if score == "entropy":
        return predictive_entropy(samples)
    if score == "margin":
        top = np.sort(np.asarray(samples, np.float64).mean(axis=0), axis=-1)
        return np.asarray(1.0 - (top[:, -1] - top[:, -2]))
    raise PredictionError("Unknown score of objects.", received=repr(score), allowed=SCORES)


def choose_batch(
    samples: NDArray[np.floating], n: int, *, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose objects whose labels together tell most about the network (BatchBALD).

    The joint mutual information of labels and draws is maximized one object at a time, so that
    an object which repeats one that was chosen adds nothing.  It cannot exceed the logarithm of the
    number of draws: where it comes close, all draws are told apart, and a new batch begins
    among the objects that are left.

    Parameters
    ----------
    samples : ndarray of shape (n_draws, n_objects, n_classes)
        Probabilities of draws that are joint over the objects.
    n : int
        Objects to choose.
    seed : int
        Of joint classes that are drawn where there are too many to enumerate.

    Returns
    -------
    chosen : ndarray of int of shape (min(n, n_objects),)
        Rows, in order.
    gain : ndarray of shape (min(n, n_objects),)
        Information that each adds to those before it in its batch [nat].

    Raises
    ------
    PredictionError
        If there are fewer than two draws.

    References
    ----------
    Kirsch et al. 2019, equations 8 to 13.
    """
    p = np.moveaxis(np.asarray(samples, np.float64), 0, 1)
    if p.ndim != 3 or p.shape[1] < 2:
        raise PredictionError(
            "Joint information needs several draws.",
            received=f"samples of shape {np.shape(samples)}",
            allowed="shape (n_draws, n_objects, n_classes), with 2 draws or more",
            hint="give --draws 50, or train with dropout (model.options.head_dropout)",
        )
    rng = np.random.default_rng(seed)
    left = np.arange(len(p))
    chosen: list[int] = []
    gains: list[float] = []
    batch: list[int] = []
    # Given a draw the labels are independent, so that their entropies add.
    conditional = -xlogy(p, p).sum(axis=2).mean(axis=1)
    while len(left) and len(chosen) < n:
        joint, weight = _find_configurations(p[batch], rng)
        own = joint.mean(axis=1)
        known = -float((weight * xlogy(own, own)).sum()) - float(conditional[batch].sum())
        entropy = _compute_joint_entropy(joint, weight, p[left])
        gain = entropy - conditional[left] - conditional[batch].sum() - known
        best = int(np.argmax(gain))
        if batch and (known >= _SATURATED * np.log(p.shape[1]) or gain[best] <= 1e-9):
            batch = []
            continue
        batch.append(int(left[best]))
        chosen.append(int(left[best]))
        gains.append(max(float(gain[best]), 0.0))
        left = np.delete(left, best)
    return np.array(chosen, np.int64), np.array(gains)


def _find_configurations(
    p: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Classes of several objects together: all there are, or a sample.

    Parameters
    ----------
    p : ndarray of shape (k, n_draws, n_classes)

    Returns
    -------
    joint : ndarray of shape (m, n_draws)
        Probability of each configuration under each draw.
    weight : ndarray of shape (m,)
        Number of configurations that each stands for.
    """
    k, n_draws, n_classes = p.shape
    if n_classes**k <= _CONFIGURATIONS:
        joint = np.ones((1, n_draws))
        for one in p:
            joint = (joint[:, None, :] * one.T[None]).reshape(-1, n_draws)
        return joint, np.ones(len(joint))
    # From each draw equally often: a sample of the mixture, whose density is the mean.
    draws = np.resize(np.arange(n_draws), _CONFIGURATIONS)
    joint = np.ones((_CONFIGURATIONS, n_draws))
    for one in p:
        levels = one.cumsum(axis=1)[draws]
        uniform = rng.uniform(size=(_CONFIGURATIONS, 1)) * levels[:, -1:]
        joint *= one.T[np.minimum((levels <= uniform).sum(axis=1), n_classes - 1)]
    return joint, 1.0 / (_CONFIGURATIONS * joint.mean(axis=1))


def _compute_joint_entropy(
    joint: NDArray[np.float64], weight: NDArray[np.float64], p: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Entropy of the classes of a batch and of one candidate, of shape (n,) [nat]."""
    n, n_draws, n_classes = p.shape
    out = np.empty(n)
    for start in range(0, n, _BLOCK):
        part = np.moveaxis(p[start : start + _BLOCK], 1, 0).reshape(n_draws, -1)
        q = joint @ part / n_draws
        terms = (weight[:, None] * -xlogy(q, q)).sum(axis=0)
        out[start : start + _BLOCK] = terms.reshape(-1, n_classes).sum(axis=1)
    return out


def choose_diverse(
    vectors: NDArray[np.floating], scores: NDArray[np.floating], n: int, *, seed: int = 0
) -> NDArray[np.int64]:
    """Choose the object with the largest score from each of n groups of similar objects.

    Parameters
    ----------
    vectors : ndarray of shape (n_objects, d)
        Embeddings; they are standardized.
    scores : ndarray of shape (n_objects,)
        How much a label would tell, not negative; also the weights of the objects.
    n : int
        Objects to choose.
    seed : int
        Of k-means.

    Returns
    -------
    ndarray of int of shape (min(n, n_objects),)
        Rows, the largest score first.

    References
    ----------
    Zhdanov 2019, arXiv:1901.05954 (diverse mini-batch active learning).
    """
    from sklearn.cluster import KMeans

    x = np.asarray(vectors, np.float64)
    scale = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    n = min(n, len(x))
    # Equal objects make fewer groups than are asked for.
    groups = min(n, len(np.unique(x, axis=0)))
    weights = np.asarray(scores, np.float64) + 1e-12
    labels = KMeans(groups, n_init=1, random_state=seed).fit(x, sample_weight=weights).labels_
    order = np.argsort(-weights, kind="stable")
    _, first = np.unique(labels[order], return_index=True)
    leaders = order[np.sort(first)]
    rest = order[~np.isin(order, leaders)]
    return np.concatenate([leaders, rest])[:n].astype(np.int64)
