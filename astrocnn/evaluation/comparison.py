"""Compare several models on the same test objects: paired bootstrap and McNemar's test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ConfigError, PredictionError
from astrocnn.evaluation.kinds import ClassEvaluation, TargetEvaluation
from astrocnn.evaluation.labels import format_interval, format_score, format_value, get_label
from astrocnn.metrics import Score, bootstrap, mcnemar, paired_difference
from astrocnn.metrics.intervals import Statistic
from astrocnn.report.page import Table

__all__ = ["Contestant", "compare_models"]


@dataclass(frozen=True, eq=False)
class Contestant:
    """One model with its predictions of its own test objects.

    Parameters
    ----------
    name, score : str
        Name of the model, and of the score to compare.
    ids : ndarray of shape (n,)
        Identifiers of the test objects.
    evaluation : TargetEvaluation
        Predictions and labels of these objects.
    """

    name: str
    score: str
    ids: NDArray[np.generic]
    evaluation: TargetEvaluation

    def select(self, ids: NDArray[np.generic]) -> Contestant:
        """The same for some of its objects, in their order."""
        order = np.argsort(self.ids, kind="stable")
        rows = order[np.searchsorted(self.ids, ids, sorter=order)]
        e = self.evaluation
        chosen = type(e)(e.target, e.encoded[rows], e.weight[rows], e.samples[:, rows])
        return replace(self, ids=ids, evaluation=chosen)

    def describe(self) -> str:
        """Describe score, target, and kind with its classes."""
        e = self.evaluation
        classes = f" ({', '.join(e.classes)})" if isinstance(e, ClassEvaluation) else ""
        return f"{self.score} of {e.target.name}, {type(e).__name__}{classes}"

    def get_statistic(self) -> Statistic:
        """The score as a function of bootstrap weights."""
        statistics = self.evaluation.statistics()
        if self.score not in statistics:
            raise ConfigError(
                f"The score '{self.score}' has no bootstrap, so it cannot be compared.",
                allowed=list(statistics),
            )
        return statistics[self.score]


def compare_models(contestants: Sequence[Contestant]) -> tuple[list[Table], str]:
    """Compare one score of several models over the objects that all of them tested.

    Parameters
    ----------
    contestants : sequence of Contestant
        At least two, which predict the same quantity.

    Returns
    -------
    tables, note : list of Table, str
        The score of each model and the differences of all pairs; description of the sample.

    Raises
    ------
    ConfigError
        If there are fewer than two models, they predict different quantities, or their labels of
        the same objects differ.
    PredictionError
        If no object was tested by all models.
    """
    if len(contestants) < 2:
        raise ConfigError("A comparison needs at least two models.", received=len(contestants))
    # Paired by object: the difficulty of an object cancels in the difference.
    ids = reduce(np.intersect1d, [c.ids[c.evaluation.rows] for c in contestants])
    _validate_same_quantity(contestants, len(ids))
    chosen = [c.select(ids) for c in contestants]
    _validate_same_labels(chosen)
    statistics = [c.get_statistic() for c in chosen]
    first, n = chosen[0], len(ids)
    rows = []
    for k, (contestant, statistic) in enumerate(zip(contestants, statistics, strict=True), 1):
        score = bootstrap({contestant.score: statistic}, n)[contestant.score]
        rows.append([str(k), contestant.name, format_score(score), str(len(contestant.ids))])
    title = f"{get_label(first.score)} of {first.evaluation.target.name}"
    scores = Table(["", "model", "score", "tested"], rows, title)

    evaluations = [c.evaluation for c in chosen]
    correct = [e.correct for e in evaluations if isinstance(e, ClassEvaluation)]
    columns = ["models", "difference"]
    columns += ["only first correct", "only second correct", "McNemar p"] if correct else []
    rows = []
    for i, j in itertools.combinations(range(len(chosen)), 2):
        difference = paired_difference(first.score, statistics[i], statistics[j], n)
        row = [f"{i + 1} - {j + 1}", _format_difference(difference)]
        if correct:
            only_i, only_j, p = mcnemar(correct[i], correct[j])
            row += [str(only_i), str(only_j), f"{p:.2g}"]
        rows.append(row)
    pairs = Table(columns, rows, "Differences of pairs", numeric=True)
    counts = ", ".join(str(len(c.ids)) for c in contestants)
    note = (
        f"on the {n} test objects with a label and a prediction common to all (of {counts}); "
        "brackets: 95 % of paired bootstrap resamples"
    )
    if correct and len(chosen) > 2:
        note += "; p-values are not corrected for the number of pairs"
    return [scores, pairs], note


def _validate_same_quantity(contestants: Sequence[Contestant], n: int) -> None:
    descriptions = {c.name: c.describe() for c in contestants}
    if len(set(descriptions.values())) > 1:
        raise ConfigError(
            "All models must predict the same quantity and quote the same score.",
            received="; ".join(f"{name}: {text}" for name, text in descriptions.items()),
        )
    if n == 0:
        raise PredictionError(
            "No object was tested by all models.",
            received=", ".join(f"{c.name}: {len(c.ids)}" for c in contestants),
            hint="give the runs the same catalogue and the same [split]",
        )


def _validate_same_labels(contestants: Sequence[Contestant]) -> None:
    first = contestants[0]
    for other in contestants[1:]:
        labels, expected = other.evaluation.encoded, first.evaluation.encoded
        # Another width is another family of the same classes: its labels cannot be compared.
        if labels.shape != expected.shape:
            continue
        differ = ~np.isclose(labels, expected, equal_nan=True)
        n = int(differ.reshape(len(differ), -1).any(axis=1).sum())
        if n:
            raise ConfigError(
                "The models have different labels for the same objects.",
                received=f"{n} of {len(differ)} in {other.name}",
                allowed=f"those of {first.name}",
            )


def _format_difference(score: Score) -> str:
    sign = "+" if math.isfinite(score.value) and score.value > 0 else ""
    return f"{sign}{format_value(score)} {format_interval(score)}".rstrip()
