"""Kinds of evaluation, one a file, selected by `Family.kind`."""

from __future__ import annotations

from numpy.typing import ArrayLike

from astrocnn.errors import PredictionError
from astrocnn.evaluation.kinds.base import Baseline, FigureSpec, ScoreLabel, TargetEvaluation
from astrocnn.evaluation.kinds.classes import ClassEvaluation
from astrocnn.evaluation.kinds.density import DensityEvaluation
from astrocnn.evaluation.kinds.votes import VoteEvaluation
from astrocnn.targets import Target

__all__ = [
    "KINDS",
    "Baseline",
    "ClassEvaluation",
    "DensityEvaluation",
    "FigureSpec",
    "ScoreLabel",
    "TargetEvaluation",
    "VoteEvaluation",
    "evaluate_target",
    "get_kind",
]

KINDS: dict[str, type[TargetEvaluation]] = {
    "classes": ClassEvaluation,
    "density": DensityEvaluation,
    "votes": VoteEvaluation,
}
"""The kinds of evaluation that a family can declare."""


def get_kind(target: Target) -> type[TargetEvaluation]:
    """The kind of evaluation that the family of a target declares.

    Parameters
    ----------
    target : Target

    Raises
    ------
    PredictionError
        If there is no such kind.
    """
    kind = target.family.kind
    if kind not in KINDS:
        raise PredictionError(
            f"The family of target '{target.name}' has an unknown kind.",
            received=kind,
            allowed=tuple(KINDS),
        )
    return KINDS[kind]


def evaluate_target(
    target: Target,
    encoded: ArrayLike,
    weight: ArrayLike,
    samples: ArrayLike,
    threshold: float | None = None,
) -> TargetEvaluation:
    """Put the predictions of one target beside their labels, to score and show them.

    Parameters
    ----------
    target, encoded, weight, samples, threshold
        As for `TargetEvaluation`.
    """
    return get_kind(target)(target, encoded, weight, samples, threshold)
