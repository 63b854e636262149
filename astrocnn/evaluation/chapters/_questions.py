"""Yes/no questions: many of them in one figure, and one of them along columns of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocnn.evaluation.sample import Sample, scorable
from astrocnn.metrics import Ranking
from astrocnn.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["probability_of_yes", "together"]

_LEAST = 8
_DECADES = 8.0  # 95 % against 5 % of a column, from which on its axis is logarithmic


def together(parts: Sequence[tuple[Target, Any, Any, Any]]) -> dict[str, Figure]:
    """Figures of several yes/no questions at once.

    Parameters
    ----------
    parts : sequence of (target, encoded, weight, samples)
        As for `scores`; targets of other kinds are passed over.
    """
    from astrocnn.evaluation import figures as draw

    questions = [part for part in parts if part[0].family.units == 1]
    if len(questions) < 2:
        return {}
    found = {part[0].name: scorable(*part) for part in questions}
    rankings = {
        name: Ranking(sample.label == 1, sample.mean[:, 1])
        for name, sample in found.items()
        if 0 < int(sample.label.sum()) < len(sample)
    }
    if not rankings:
        return {}
    said = np.concatenate([ranking.probability for ranking in rankings.values()])
    true = np.concatenate([ranking.positive for ranking in rankings.values()])
    words = {"xlabel": "probability of yes", "ylabel": "fraction yes"}
    return {
        "questions_areas": draw.plot_roc_areas(rankings),
        "questions_reliability": draw.plot_reliability({"": (said, true)}, **words),
    }


def probability_of_yes(
    sample: Sample, along: Mapping[str, Any], name: str, threshold: float | None = None
) -> dict[str, Figure]:
    """Probability of yes along columns; those that span decades have logarithmic axes.

    Objects that are yes and those that are no have panels of their own, where there are enough.

    Parameters
    ----------
    sample : Sample
        Of one yes/no question.
    along : mapping of str to ndarray of shape (n,)
        The columns, for the rows of the sample.
    name : str
        Of the question.
    threshold : float, optional
        Drawn as a line.
    """
    from astrocnn.evaluation import figures as draw

    probability = sample.mean[:, 1]
    panels: dict[bool, dict[str, Any]] = {True: {}, False: {}}
    for column, values in along.items():
        log = _spans_decades(values)
        shown = np.isfinite(values) & ((values > 0) | (not log))
        answers = [k for k in (1, 0) if int((shown & (sample.label == k)).sum()) >= _LEAST]
        for k in answers:
            rows = shown & (sample.label == k)
            panel = f"{column}, {('no', 'yes')[k]}" if len(answers) > 1 else column
            panels[log][panel] = (values[rows], probability[rows])
    ends = {True: "", False: "_linear"}
    return {
        f"probability_along{ends[log]}": draw.plot_probability_by_column(
            found, ylabel=f"probability of {name}", threshold=threshold, log=log
        )
        for log, found in panels.items()
        if found
    }


def _spans_decades(values: np.ndarray) -> bool:
    """Whether a column is nowhere negative and its positive values differ by large factors."""
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    if not len(positive) or (finite < 0).any():
        return False
    low, high = np.quantile(positive, [0.05, 0.95])
    return bool(high > _DECADES * low)
