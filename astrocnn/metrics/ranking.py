"""Scores of one class against the rest as the threshold varies: ROC, purity, completeness.

Objects with equal probabilities stand or fall together, so nothing depends on the order of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ConfigError
from astrocnn.metrics._checks import finite, ratio, weights_for

__all__ = ["Ranking"]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Objects in the order of their probability of being positive.

    Parameters
    ----------
    positive : array_like of bool of shape (n,)
        Which objects are.
    probability : array_like of shape (n,)
        Any number that grows with the belief that they are.

    Examples
    --------
    >>> float(Ranking([False, False, True, True], [0.1, 0.4, 0.35, 0.8]).auc())
    0.75
    """

    positive: Any
    probability: Any

    def __post_init__(self) -> None:
        p = finite(self.probability, "probabilities", 1)
        y = np.asarray(self.positive)
        if y.shape != p.shape or y.dtype != bool:
            raise ConfigError(
                "Which objects are positive must be one boolean per probability.",
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

    def counts(self, weights: Any = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of true and of false positives at each threshold, each of shape (..., m)."""
        w = weights_for(weights, len(self.positive))[..., self._order]
        y = self.positive[self._order]
        if not len(y):
            return np.zeros((*w.shape[:-1], 0)), np.zeros((*w.shape[:-1], 0))
        tp = np.add.reduceat(w * y, self._starts, axis=-1).cumsum(axis=-1)
        fp = np.add.reduceat(w * ~y, self._starts, axis=-1).cumsum(axis=-1)
        return tp, fp

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False and true positive rate, from (0, 0) to (1, 1), each of shape (m + 1,)."""
        tp, fp = self.counts()
        return (
            ratio(np.r_[0.0, fp], (~self.positive).sum()),
            ratio(np.r_[0.0, tp], self.positive.sum()),
        )

    def completeness_purity(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Completeness and purity at each of `thresholds` ("at or above"), each of shape (m,)."""
        tp, fp = self.counts()
        return ratio(tp, self.positive.sum()), ratio(tp, tp + fp)

    def auc(self, weights: Any = None) -> NDArray[np.float64]:
        """Area under the ROC curve: the chance that a positive outranks a negative, ties half.

        References
        ----------
        Hanley and McNeil (1982), Radiology 143, 29.
        """
        tp, fp = self.counts(weights)
        if not tp.shape[-1]:
            return np.full(tp.shape[:-1], np.nan)
        before = np.concatenate([np.zeros_like(tp[..., :1]), tp[..., :-1]], axis=-1)
        new_fp = np.diff(fp, axis=-1, prepend=0)
        area = (new_fp * (before + tp) / 2).sum(axis=-1)
        return ratio(area, tp[..., -1] * fp[..., -1])

    def average_precision(self, weights: Any = None) -> NDArray[np.float64]:
        """Sum over thresholds of (step in completeness) times purity, without interpolation."""
        tp, fp = self.counts(weights)
        if not tp.shape[-1]:
            return np.full(tp.shape[:-1], np.nan)
        step = np.diff(tp, axis=-1, prepend=0)
        pure = np.where(tp + fp > 0, tp / np.where(tp + fp > 0, tp + fp, 1), 0)
        return ratio((step * pure).sum(axis=-1), tp[..., -1])

    def fpr_at_tpr(self, tpr: float, weights: Any = None) -> NDArray[np.float64]:
        """Smallest false-positive rate of a threshold that reaches a true-positive rate."""
        tp, fp = self.counts(weights)
        return self._pick(tp, ratio(fp, fp[..., -1:]), tpr)

    def precision_at_recall(self, recall: float, weights: Any = None) -> NDArray[np.float64]:
        """Purity at the highest threshold that reaches a completeness (recall)."""
        tp, fp = self.counts(weights)
        return self._pick(tp, ratio(tp, tp + fp), recall)

    def tpr_at_fpr(self, fpr: float, weights: Any = None) -> NDArray[np.float64]:
        """Largest true-positive rate of a threshold whose false-positive rate stays within `fpr`.

        With fewer than 1 / `fpr` negatives this asks for no false positive at all.
        """
        tp, fp = self.counts(weights)
        if not tp.shape[-1]:
            return np.full(tp.shape[:-1], np.nan)
        within = fp <= fpr * fp[..., -1:] * (1 + 1e-12)
        best = np.where(within, tp, 0).max(axis=-1)
        return np.where(fp[..., -1] > 0, ratio(best, tp[..., -1]), np.nan)

    @staticmethod
    def _pick(
        tp: NDArray[np.float64], value: NDArray[np.float64], recall: float
    ) -> NDArray[np.float64]:
        if not tp.shape[-1]:
            return np.full(tp.shape[:-1], np.nan)
        # The tolerance keeps 19 of 20 at 95 %, whose product in floating point exceeds 19.
        reached = tp >= recall * tp[..., -1:] * (1 - 1e-12)
        first = reached.argmax(axis=-1)
        picked = np.take_along_axis(value, first[..., None], axis=-1)[..., 0]
        return np.where(tp[..., -1] > 0, picked, np.nan)
