"""Pseudo-labels: classes of unlabelled objects that a network predicts with confidence.

References
----------
Lee 2013, ICML workshop on challenges in representation learning: the most probable class as label.
Rizve et al. 2021, ICLR (arXiv:2101.06329), equation 6: selection by confidence and by the
uncertainty over Monte-Carlo draws, and balance of the classes (section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrocnn.errors import TrainingError

__all__ = ["LARGEST_STD", "PseudoLabels", "select_pseudo_labels"]

LARGEST_STD = 0.05
"""Largest standard deviation over the draws of the probability of a pseudo-label."""


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Objects that get their most probable class as a label.

    Attributes
    ----------
    chosen : ndarray of int, shape (m,)
        Their numbers among the objects, ascending.
    classes : ndarray of int, shape (m,)
        The class of each.
    probability, std : ndarray of shape (m,)
        Mean and standard deviation over the draws of the probability of that class.  The mean is
        the weight of the label.
    """

    chosen: NDArray[np.int64]
    classes: NDArray[np.int64]
    probability: NDArray[np.float64]
    std: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.chosen)


def select_pseudo_labels(
    mean: ArrayLike,
    deviation: ArrayLike,
    *,
    least: float = 0.95,
    largest_std: float = LARGEST_STD,
    shares: ArrayLike | None = None,
) -> PseudoLabels:
    """Select confident and certain predictions, with classes in given proportions.

    Parameters
    ----------
    mean, deviation : array_like of shape (n, n_classes)
        Mean and standard deviation over Monte-Carlo draws of calibrated probabilities.  Objects
        with NaN are not selected.
    least : float
        Least mean probability of the most probable class.
    largest_std : float
        Largest standard deviation of it over the draws.
    shares : array_like of shape (n_classes,), optional
        Number of labelled objects by class.  Of each class the most probable objects are taken, as
        many as keep these proportions among the classes of which any is selected; otherwise errors
        in favor of the easiest class would grow from training to training.

    Raises
    ------
    TrainingError
        If `least` is not between 0 and 1.
    """
    if not 0 < least < 1:
        raise TrainingError(
            f"`pseudo_labels` must be a probability between 0 and 1; got {least}.",
            hint="0.95, or 0.9 where few objects are selected",
        )
    mean, deviation = np.asarray(mean, np.float64), np.asarray(deviation, np.float64)
    known = np.isfinite(mean).all(axis=1)
    classes = np.where(known[:, None], mean, -1.0).argmax(axis=1)
    probability = np.take_along_axis(mean, classes[:, None], axis=1)[:, 0]
    std = np.take_along_axis(deviation, classes[:, None], axis=1)[:, 0]
    selected = np.flatnonzero(known & (probability >= least) & (std <= largest_std))
    if shares is not None:
        selected = _balance(selected, classes, probability, np.asarray(shares, float))
    return PseudoLabels(selected, classes[selected], probability[selected], std[selected])


def _balance(
    selected: NDArray[np.int64],
    classes: NDArray[np.int64],
    probability: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> NDArray[np.int64]:
    """The most probable objects of each class, in the proportions of the labelled ones."""
    counts = np.bincount(classes[selected], minlength=len(shares))
    usable = (counts > 0) & (shares > 0)
    if not usable.any():
        return selected[:0]
    factor = (counts[usable] / shares[usable]).min()
    kept = []
    for number in np.flatnonzero(usable):
        own = selected[classes[selected] == number]
        best = own[np.argsort(-probability[own], kind="stable")]
        kept.append(best[: max(1, round(factor * shares[number]))])
    return np.sort(np.concatenate(kept))
