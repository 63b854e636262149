"""Votes of volunteers over the answers of a question: fractions, likelihood, credible intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import metrics
from astrocnn.evaluation.priors import Prior, fit_votes
from astrocnn.evaluation.sample import matched
from astrocnn.metrics import Score
from astrocnn.metrics.intervals import Statistic
from astrocnn.report.gallery import Stamp
from astrocnn.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["across", "baselines", "figures", "scores", "stamps", "statistics"]

NAMES = {
    "rmse": "Root mean square error",
    "mean_deviation": "Mean absolute deviation of the fractions",
    "nll": "Negative log likelihood [nat]",
    "coverage_68": "Truths in the 68 % highest-density sets",
    "coverage_95": "Truths in the 95 % highest-density sets",
    "questions_rmse": "RMSE over questions",
    "entropy": "Mean predictive entropy [nat]",
    "mutual_info": "of which between draws (epistemic)",
}
PER_CLASS = {"rmse": "RMSE", "deviation": "Mean deviation"}
PERCENT = ("coverage_",)
CAPTIONS = {
    "fractions": (
        "Votes",
        "Fraction of the votes for each answer against the fraction foretold, for all objects; "
        "orange, means in bins with equally many objects and their 95 % intervals. The vertical "
        "scatter holds the noise of few votes.",
    ),
    "credible_votes": (
        "Uncertainty",
        "How many of the observed numbers of votes lie in highest-probability sets foretold for as "
        "many voters, over all answers. Below the diagonal the foretold spread is too narrow. The "
        "band is a 95 % interval.",
    ),
}
TEXT = {
    "Votes": (
        "A fraction foretold is that of a large crowd; the votes of the few who were asked scatter "
        "about it. Objects without votes on a question are left out of its scores.",
    ),
    "Uncertainty": (),
}
BY = "Bias and scatter of the fraction foretold for the commonest answer in bins of {}."
GALLERY = (
    "Below each stamp: commonest answer of the volunteers \u2192 of the network, with its "
    "fraction; orange where they differ. Pink pixels have no data."
)


@dataclass(frozen=True, eq=False)
class _Votes:
    """Votes of the objects that have some, beside the concentrations foretold."""

    rows: NDArray[np.intp]
    votes: NDArray[np.float64]
    alpha: NDArray[np.float64]
    n_excluded: int
    reason: str

    @cached_property
    def each(self) -> NDArray[np.float64]:
        """Fractions foretold by each draw, of shape (n_draws, n, n_answers)."""
        return self.alpha / self.alpha.sum(axis=-1, keepdims=True)

    @cached_property
    def said(self) -> NDArray[np.float64]:
        """Fractions foretold, of shape (n, n_answers)."""
        return self.each.mean(axis=0)

    @cached_property
    def seen(self) -> NDArray[np.float64]:
        """Fractions of the votes; NaN for an object without votes."""
        total = self.votes.sum(axis=1, keepdims=True)
        return np.where(total > 0, self.votes / np.maximum(total, 1), np.nan)


def scores(
    target: Target,
    encoded: Any,
    weight: Any,
    samples: Any,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> list[Score]:
    """All scores of one question.

    Parameters
    ----------
    target : Target
        What was predicted.
    encoded, weight : array_like of shape (n, n_answers) and (n,)
        Votes as `Target.encode` gives them.
    samples : array_like of shape (n_draws, n, n_answers)
        Concentrations.
    n_resamples : int
        Bootstrap resamples behind the intervals.
    seed : int
        Of the bootstrap.

    Returns
    -------
    scores : list of Score
        Rows without votes or without a prediction are excluded and counted in each.
    """
    v = _votes(target, encoded, weight, samples)
    said, seen = v.said, v.seen
    out = _together(v)
    notes = dict.fromkeys(out, "")
    notes["rmse"] = notes["mean_deviation"] = "holds the noise of few votes"
    before, within = metrics.votes_credible(v.votes, v.alpha)
    for level in (68, 95):
        held = metrics.held(before.ravel(), within.ravel(), level / 100).reshape(before.shape)
        out[f"coverage_{level}"] = partial(metrics.average, held.mean(axis=1))
        notes[f"coverage_{level}"] = f"over all answers; sets trimmed to exactly {level} %"
    if len(v.rows):
        out["entropy"] = partial(metrics.average, metrics.predictive_entropy(v.each))
        out["mutual_info"] = partial(metrics.average, metrics.mutual_information(v.each))
    for k, answer in enumerate(_answers(target)):
        error = np.abs(said[:, k] - seen[:, k])
        out[f"rmse_{answer}"] = partial(_root, error**2)
        out[f"deviation_{answer}"] = partial(metrics.average, error)
        notes[f"rmse_{answer}"] = f"{v.votes[:, k].sum():,.0f} votes"
    found = metrics.bootstrap(out, len(v.rows), n_resamples=n_resamples, seed=seed)
    return [
        replace(
            score,
            target=target.name,
            n_excluded=v.n_excluded,
            reason=v.reason,
            note="; ".join(part for part in (notes.get(name, ""), score.note) if part),
        )
        for name, score in found.items()
    ]


def statistics(target: Target, encoded: Any, weight: Any, samples: Any) -> dict[str, Statistic]:
    """Statistics of one target by the name of their score, over the rows that can be scored.

    See `scores`; two predictors of the same rows are compared by these.
    """
    return _together(_votes(target, encoded, weight, samples))


def _together(v: _Votes) -> dict[str, Statistic]:
    return {
        "rmse": lambda w: metrics.rmse(v.said, v.seen, w),
        "mean_deviation": lambda w: metrics.mean_deviation(v.said, v.seen, w),
        "nll": partial(metrics.average, metrics.dirichlet_multinomial_nll(v.votes, v.alpha)),
    }


def across(parts: Sequence[tuple[Target, Any, Any, Any]], **options: Any) -> list[Score]:
    """The RMSE over all answers of all questions, an object counting where it has votes."""
    if len(parts) < 2:
        return []
    n = len(np.asarray(parts[0][2]))
    square, count = np.zeros(n), np.zeros(n)
    for part in parts:
        v = _votes(*part)
        square[v.rows] += ((v.said - v.seen) ** 2).sum(axis=1)
        count[v.rows] += v.votes.shape[1]
    used = count > 0
    square, count = square[used], count[used]
    statistic = {"questions_rmse": lambda w: np.sqrt(w @ square / np.maximum(w @ count, 1))}
    score = metrics.bootstrap(statistic, len(count), **options)["questions_rmse"]
    excluded = int((~used).sum())
    reason = f"{excluded} without votes or without a prediction" if excluded else ""
    note = f"over {len(parts)} questions, where they have votes"
    return [replace(score, n_excluded=excluded, reason=reason, note=note)]


def figures(
    target: Target,
    encoded: Any,
    weight: Any,
    samples: Any,
    by: Mapping[str, Any] | None = None,
) -> dict[str, Figure]:
    """Fractions against those foretold, and credible sets.

    Parameters
    ----------
    target, encoded, weight, samples
        As for `scores`.
    by : mapping of str to array_like of shape (n,), optional
        Columns along which to show the deviation of the commonest answer, by name on the axis.
    """
    from astrocnn.evaluation import figures as draw

    v = _votes(target, encoded, weight, samples)
    if not len(v.rows):
        return {}
    table = target.family.summarize(np.asarray(samples)[:, v.rows])
    ends = [
        np.stack([values for name, values in table.items() if name.endswith(f"_fraction_{end}")], 1)
        for end in ("low", "high")
    ]
    before, within = metrics.votes_credible(v.votes, v.alpha)
    out = {
        "fractions": draw.plot_vote_fractions(v.said, v.seen, _answers(target), intervals=ends),
        "credible_votes": draw.plot_credible_sets(
            before.ravel(), within.ravel(), n_independent=len(v.rows)
        ),
    }
    first = int(v.seen.mean(axis=0).argmax())
    name = _answers(target)[first]
    for column, values in (by or {}).items():
        along = np.asarray(values, np.float64)[v.rows]
        if np.isfinite(along).any():
            off = v.said[:, first] - v.seen[:, first]
            words = rf"\Delta f(\mathrm{{{name}}})" if name.isalnum() else r"\Delta f"
            out[f"{name}_by_{column}"] = draw.plot_errors(off, along, xlabel=column, symbol=words)
    return out


def stamps(
    target: Target, encoded: Any, weight: Any, samples: Any, count: int = 12
) -> dict[str, list[Stamp]]:
    """Objects worth looking at: least and most entropy, and the largest error of a fraction."""
    v = _votes(target, encoded, np.ones(len(np.asarray(weight))), samples)
    answers = _answers(target)
    voted = v.votes.sum(axis=1) > 0
    doubt = metrics.predictive_entropy(v.each) if len(v.rows) else np.zeros(0)
    off = np.where(voted, np.abs(v.said - np.nan_to_num(v.seen)).max(axis=1), -1.0)
    spread = v.each.std(axis=0)
    worst = [i for i in np.argsort(-off, kind="stable") if voted[i]]
    picks: dict[str, Any] = {
        "most certain": np.argsort(doubt, kind="stable")[:count],
        "most uncertain": np.argsort(-doubt, kind="stable")[:count],
        "most wrong": worst[:count],
    }
    most_seen, most_said = v.votes.argmax(axis=1), v.said.argmax(axis=1)
    return {
        kind: [
            Stamp(
                row=int(v.rows[i]),
                label=answers[most_seen[i]] if voted[i] else "",
                predicted=answers[most_said[i]],
                detail=f"{v.said[i, most_said[i]]:.2f} \u00b1 {spread[i, most_said[i]]:.2f}"
                + (f" (votes {v.seen[i, most_said[i]]:.2f})" if voted[i] else ""),
                is_error=bool(voted[i] and most_seen[i] != most_said[i]),
            )
            for i in rows
        ]
        for kind, rows in picks.items()
    }


def baselines(target: Target, encoded: Any, weight: Any) -> tuple[Prior, ...]:
    """What one gets without looking: the mean fractions and their scatter."""
    return (fit_votes(target, encoded, weight),)


def _votes(target: Target, encoded: Any, weight: Any, samples: Any) -> _Votes:
    samples = np.asarray(samples)
    rows, n_excluded, reason = matched(target, encoded, weight, samples, label="votes")
    votes = np.asarray(encoded, np.float64)[rows]
    return _Votes(rows, votes, np.asarray(samples[:, rows], np.float64), n_excluded, reason)


def _answers(target: Target) -> tuple[str, ...]:
    return tuple(target.family.answers)  # type: ignore[attr-defined]


def _root(square: NDArray[np.float64], weights: Any) -> NDArray[np.float64]:
    return np.sqrt(metrics.average(square, weights))
