"""Weights of the classes that make up for their imbalance in the training set."""

from __future__ import annotations

import numpy as np

from astrocnn.errors import TrainingError

__all__ = ["class_weights"]


def class_weights(
    encoded: np.ndarray, weight: np.ndarray | None = None, beta: float = 1.0
) -> np.ndarray:
    """Weight of each class such that rare classes count as much as common ones.

    With ``n_c`` the summed object weights of class c, the weight of the class is proportional to
    ``(1 - beta) / (1 - beta**n_c)``, which is ``1 / n_c`` at beta = 1 (all classes balanced) and
    equal for all classes at beta = 0.  The mean over the objects is 1, so that the learning rate
    keeps its meaning.

    Parameters
    ----------
    encoded : ndarray of shape (n, k)
        One-hot labels, or fractions of votes; a single column means the probability of "yes".
    weight : ndarray of shape (n,), optional
        Weight of each object; 0 where the label is missing.
    beta : float
        From 0 (no balancing) to 1 (full balancing); 0.99 to 0.9999 in practice.

    Returns
    -------
    ndarray of shape (k,), or (2,) for a single column: "no" and "yes"
        A class without any object has weight 0.

    Raises
    ------
    TrainingError
        If no object has a label, or beta is not within 0 and 1.

    References
    ----------
    Cui et al. 2019 (arXiv:1901.05555), equation 2: the effective number of samples.

    Examples
    --------
    >>> class_weights(np.array([[1, 0], [1, 0], [1, 0], [0, 1]]))
    array([0.66666667, 2.        ])
    """
    encoded = np.asarray(encoded, dtype=float)
    if encoded.shape[1] == 1:
        encoded = np.concatenate([1.0 - encoded, encoded], axis=1)
    if not 0 <= beta <= 1:
        raise TrainingError("beta is out of range.", received=beta, allowed="0 to 1")
    weight = np.ones(len(encoded)) if weight is None else np.asarray(weight, dtype=float)
    labelled = weight > 0
    counts = (encoded[labelled] * weight[labelled, None]).sum(axis=0)
    if not counts.sum() > 0:
        raise TrainingError("No object has a label, so the classes cannot be weighted.")
    present = counts > 0
    effective = counts[present] if beta == 1 else (1 - beta ** counts[present]) / (1 - beta)
    result = np.zeros(len(counts))
    result[present] = 1.0 / effective
    return result * counts.sum() / (result * counts).sum()
