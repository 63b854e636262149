"""Honest baselines of classes: what one gets without a network.

Both are fitted on the training split and answer in the same format as a network, so that the
same code scores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from astrocnn.errors import PredictionError
from astrocnn.targets import ClassFamily, Target

__all__ = ["Cut", "Majority", "fit_cut", "fit_majority", "peak_brightness"]


@dataclass(frozen=True, eq=False)
class Majority:
    """Every object gets the class shares of the training split.

    Parameters
    ----------
    target : Target
        What is predicted.
    shares : ndarray of shape (n_classes,)
        Shares of the classes.
    """

    target: Target
    shares: NDArray[np.float64]
    label = "Majority"

    @property
    def sentence(self) -> str:
        """What it does."""
        classes = _family(self.target).classes
        return f"always '{classes[int(self.shares.argmax())]}', the commonest class in training"

    def sample(self, n: int) -> NDArray[np.float64]:
        """Samples of shape (1, n, units) for `n` objects."""
        p = np.broadcast_to(self.shares, (1, n, len(self.shares)))
        return np.asarray(_family(self.target).from_probabilities(p))


@dataclass(frozen=True, eq=False)
class Cut:
    """A single threshold on one number.

    Parameters
    ----------
    target : Target
        What is predicted.
    name : str
        What the number is, for instance "peak brightness".
    threshold : float
        The cut with the highest accuracy on the training split; NaN when no cut helps.
    edges : ndarray of shape (m,)
        Where the probabilities change, rising; the last step begins at the last edge.
    steps : ndarray of shape (m + 1, n_classes)
        Class probabilities below the first edge, between edges, and from the last one on.
    """

    target: Target
    name: str
    threshold: float
    edges: NDArray[np.float64]
    steps: NDArray[np.float64]

    @property
    def label(self) -> str:
        """What it is called in tables."""
        return f"Cut on {self.name}"

    @property
    def sentence(self) -> str:
        """What it does."""
        classes = _family(self.target).classes
        low, high = (classes[int(self.steps[end].argmax())] for end in (0, -1))
        if low == high:
            return f"always '{low}': no cut on {self.name} does better in training"
        return f"'{low}' where {self.name} < {self.threshold:.4g}, else '{high}'"

    def sample(self, values: Any) -> NDArray[np.float64]:
        """Samples of shape (1, n, units); NaN where the number is not finite."""
        values = np.asarray(values, np.float64)
        known = np.isfinite(values)
        place = np.searchsorted(self.edges, np.where(known, values, 0.0), side="right")
        p = np.where(known[:, None], self.steps[place], np.nan)[None]
        return np.asarray(_family(self.target).from_probabilities(p))


def fit_majority(target: Target, encoded: Any, weight: Any) -> Majority:
    """Class shares of the labelled objects of the training split.

    Parameters
    ----------
    target : Target
        One over named classes.
    encoded : array_like of shape (n, k)
        Labels of the training objects.
    weight : array_like of shape (n,)
        0 where the label is missing.

    Returns
    -------
    Majority

    Raises
    ------
    PredictionError
        If no object has a label.
    """
    truth = _truth(target, encoded, np.asarray(weight) > 0)
    return Majority(target, truth.mean(axis=0))


def fit_cut(target: Target, name: str, values: Any, encoded: Any, weight: Any) -> Cut:
    """The single threshold with the highest accuracy on the training split.

    For two classes the probabilities on both sides of it come from isotonic regression, whose
    step across one half is that best threshold, so that ROC and calibration are as good as a
    monotonic function of the number allows.  For more classes each side has its class shares.

    Parameters
    ----------
    target : Target
        What is predicted.
    name : str
        What the number is.
    values : array_like of shape (n,)
        The number; objects where it is not finite are left out.
    encoded, weight : array_like of shape (n, k) and (n,)
        Labels of the training split.

    Raises
    ------
    PredictionError
        If no object has both a label and a finite number.

    References
    ----------
    Brummer and du Preez (2013), arXiv:1304.2331: the isotonic fit is optimal for every
    threshold at once.
    """
    values = np.asarray(values, np.float64)
    used = (np.asarray(weight) > 0) & np.isfinite(values)
    truth = _truth(target, encoded, used)
    order = np.argsort(values[used], kind="stable")
    x, starts = np.unique(values[used][order], return_index=True)
    counts = np.add.reduceat(truth[order], starts, axis=0)
    below = np.concatenate([np.zeros((1, counts.shape[1])), counts.cumsum(axis=0)])
    above = below[-1] - below
    # A cut below the first value puts everybody on one side: the majority is always an option.
    right = below.max(axis=1) + above.max(axis=1)
    best = int(right[: len(x)].argmax())
    threshold = float(x[best] if best == 0 else (x[best - 1] + x[best]) / 2)
    if counts.shape[1] == 2:
        edges, steps = _isotonic(x, counts)
        flips = np.flatnonzero(np.diff(steps.argmax(axis=1)))
        threshold = float(edges[flips[0]]) if len(flips) else float("nan")
    else:
        sides = [side[best] if side[best].sum() else below[-1] for side in (below, above)]
        edges = np.array([threshold])
        steps = np.stack([side / side.sum() for side in sides])
    return Cut(target, name, threshold, edges, steps)


def peak_brightness(images: Any) -> NDArray[np.float64]:
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
    flat = mean.reshape(len(mean), -1)
    out = np.full(len(flat), np.nan)
    for i, pixels in enumerate(flat):
        finite = pixels[np.isfinite(pixels)]
        if finite.size:
            out[i] = finite.max() - np.median(finite)
    return out


def _isotonic(
    x: NDArray[np.float64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    total = counts.sum(axis=1)
    share = counts[:, 1] / total
    fits = [isotonic_regression(share, weights=total, increasing=up).x for up in (True, False)]
    p = min(fits, key=lambda fit: float(total @ (fit - share) ** 2))
    change = np.flatnonzero(np.diff(p)) + 1
    p = np.clip(p[np.r_[0, change]], 0.0, 1.0)
    return (x[change - 1] + x[change]) / 2, np.stack([1 - p, p], axis=1)


def _truth(target: Target, encoded: Any, used: NDArray[np.bool_]) -> NDArray[np.float64]:
    if not used.any():
        raise PredictionError(
            f"No object can train the baseline of target '{target.name}'.",
            hint="give training objects with a label (and a finite number to cut on)",
        )
    return np.asarray(_family(target).to_truth(np.asarray(encoded)[used]), np.float64)


def _family(target: Target) -> ClassFamily:
    if not isinstance(target.family, ClassFamily):
        raise PredictionError(f"Target '{target.name}' has no classes.")
    return target.family
