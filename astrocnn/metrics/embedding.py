"""Measures of embeddings: spread, effective rank, and what the nearest neighbors are.

References
----------
Roy & Vetterli 2007, EUSIPCO, 606: the effective rank.
Garrido et al. 2023, ICML (arXiv:2210.02885), equation 1: RankMe, as a measure of representations.
Chen & He 2021, CVPR (arXiv:2011.10566), section 4.1: standard deviation of normalized vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["compute_effective_rank", "compute_neighbor_accuracy", "compute_relative_std"]


def compute_relative_std(vectors: ArrayLike) -> float:
    """Spread of the directions of vectors: 0 when all are alike, 1 when all are equally likely.

    The standard deviation over the objects of each unit of the normalized vectors, mean over the
    units, in units of 1 / sqrt(d).

    Parameters
    ----------
    vectors : array_like of shape (n, d)
    """
    unit = _normalize(np.asarray(vectors, np.float64))
    return float(unit.std(axis=0).mean() * np.sqrt(unit.shape[1]))


def compute_effective_rank(vectors: ArrayLike) -> float:
    """Number of dimensions that vectors fill: exp of the entropy of the spectrum.

    The spectrum are the singular values of the centered vectors, square roots of the eigenvalues of
    their covariance, divided by their sum; 0 when all vectors are equal.

    Parameters
    ----------
    vectors : array_like of shape (n, d)
    """
    array = np.asarray(vectors, np.float64)
    values = np.linalg.svd(array - array.mean(axis=0), compute_uv=False)
    # Vectors that differ by rounding only have no spectrum.
    if values[0] <= 1e-9 * max(1.0, float(np.abs(array).max(initial=0.0))) * np.sqrt(array.size):
        return 0.0
    p = values / values.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def compute_neighbor_accuracy(
    known: ArrayLike, labels: ArrayLike, vectors: ArrayLike, truth: ArrayLike, *, k: int = 10
) -> float:
    """Fraction of objects whose class is that of the majority of their nearest neighbors.

    Nearest by the cosine of the angle; of classes with equally many neighbors the one with the
    lowest number counts.

    Parameters
    ----------
    known : array_like of shape (m, d)
        Vectors among which neighbors are looked for.
    labels : array_like of int, shape (m,)
        Their classes, from 0.
    vectors : array_like of shape (n, d)
        None of them among `known`.
    truth : array_like of int, shape (n,)
    k : int
        Number of neighbors, or all where there are fewer.
    """
    labels, truth = np.asarray(labels, np.int64), np.asarray(truth, np.int64)
    similarity = (
        _normalize(np.asarray(vectors, np.float64)) @ _normalize(np.asarray(known, np.float64)).T
    )
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    n_classes = int(max(labels.max(), truth.max())) + 1
    votes = np.stack([np.bincount(row, minlength=n_classes) for row in labels[nearest]])
    return float((votes.argmax(axis=1) == truth).mean())


def _normalize(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)
