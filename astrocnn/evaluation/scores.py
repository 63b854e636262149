"""Score a task and its baselines, find the headline score, and store scores as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from astrocnn import atomic, plugins
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.evaluation.kinds import KINDS, Baseline, TargetEvaluation, evaluate_target, get_kind
from astrocnn.metrics import Score
from astrocnn.stored_files import read_json, validate
from astrocnn.targets import Task

__all__ = [
    "baseline_scores",
    "evaluate",
    "find_headline",
    "read_scores",
    "score",
    "score_evaluations",
    "write_scores",
]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
"""One array per target, by its name."""


class _Content(BaseModel):
    model_config = ConfigDict(extra="allow")
    scores: tuple[dict[str, Any], ...]
    baselines: dict[str, tuple[dict[str, Any], ...]]


def evaluate(
    task: Task,
    encoded: Arrays,
    weights: Arrays,
    samples: Arrays,
    *,
    thresholds: Mapping[str, float] | None = None,
) -> list[TargetEvaluation]:
    """Put the predictions of all targets beside their labels, to score and show them.

    Parameters
    ----------
    task : Task
    encoded, weights : mapping of str to ndarray
        Labels by target, as `Task.encode` gives them.
    samples : mapping of str to ndarray of shape (n_draws, n, units)
        Activated samples by target; NaN where there is no prediction.
    thresholds : mapping of str to float, optional
        Smallest probability at which objects are selected, by target.

    Raises
    ------
    PredictionError
        If a target was not predicted or shapes do not match.
    """
    missing = [name for name in task.names if name not in samples]
    if missing:
        raise PredictionError(
            f"`samples` must hold every target; there are none of target '{missing[0]}'.",
            received=list(samples),
        )
    cuts = thresholds or {}
    return [
        evaluate_target(t, encoded[t.name], weights[t.name], samples[t.name], cuts.get(t.name))
        for t in task.targets
    ]


def score(
    task: Task,
    encoded: Arrays,
    weights: Arrays,
    samples: Arrays,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> list[Score]:
    """All scores of all targets of a task.

    Parameters
    ----------
    task, encoded, weights, samples
        As for `evaluate`.
    n_resamples, seed : int
        As for `score_evaluations`.
    """
    evaluations = evaluate(task, encoded, weights, samples)
    return score_evaluations(evaluations, n_resamples=n_resamples, seed=seed)


def score_evaluations(
    evaluations: Sequence[TargetEvaluation], *, n_resamples: int = 1000, seed: int = 0
) -> list[Score]:
    """All scores of all targets, then those over several targets of one kind.

    Parameters
    ----------
    evaluations : sequence of TargetEvaluation
        One a target, as `evaluate` returns them.
    n_resamples : int
        Bootstrap resamples of each 95 % interval; 0 for none.
    seed : int
        Seed of the bootstrap.
    """
    out = [s for e in evaluations for s in e.scores(n_resamples=n_resamples, seed=seed)]
    for kind in KINDS.values():
        group = [e for e in evaluations if isinstance(e, kind)]
        out += kind.joint_scores(group, n_resamples=n_resamples, seed=seed) if group else []
    return out


def baseline_scores(
    task: Task,
    train: tuple[Arrays, Arrays],
    test: tuple[Arrays, Arrays],
    *,
    column: tuple[str, ArrayLike, ArrayLike] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, list[Score]], dict[str, str]]:
    """Scores without a network: each kind of target declares its baselines.

    Parameters
    ----------
    task : Task
    train, test : (mapping, mapping)
        Encoded labels and weights by target, as `Task.encode` gives them.
    column : (str, array_like, array_like), optional
        Name of a column, its training and its test values, for baselines that use it.
    n_resamples, seed : int
        As for `score_evaluations`.

    Returns
    -------
    scores, descriptions : dict
        Scores of the targets it applies to, and description, by name of the baseline.
    """
    n = len(next(iter(test[1].values())))
    samples: dict[str, dict[str, NDArray[Any]]] = {}
    descriptions: dict[str, list[str]] = {}

    def add(target: str, baseline: Baseline | None, inputs: ArrayLike | int) -> None:
        if baseline is not None:
            samples.setdefault(baseline.name, {})[target] = np.asarray(baseline.sample(inputs))
            texts = descriptions.setdefault(baseline.name, [])
            texts += [baseline.description] if baseline.description not in texts else []

    for target in task.targets:
        kind = get_kind(target)
        labels = train[0][target.name], train[1][target.name]
        for baseline in kind.fit_baselines(target, *labels):
            add(target.name, baseline, n)
        if column is not None:
            name, train_values, test_values = column
            fitted = kind.fit_column_baseline(target, name, train_values, *labels)
            add(target.name, fitted, test_values)
    scores = {}
    for name, baseline_samples in samples.items():
        # A baseline applies to some targets only; the headline of the rest would be missing.
        targets = tuple(target for target in task.targets if target.name in baseline_samples)
        part = replace(task, targets=targets, headline=f"{targets[0].name}.")
        scores[name] = score(part, *test, baseline_samples, n_resamples=n_resamples, seed=seed)
    return scores, {name: "; ".join(texts) for name, texts in descriptions.items()}


def find_headline(task: Task, scores: Sequence[Score]) -> Score:
    """The score a task quotes first.

    Parameters
    ----------
    task : Task
    scores : sequence of Score

    Raises
    ------
    ConfigError
        If the task names a score that was not computed.
    """
    target, _, name = task.headline.partition(".")
    for score in scores:
        if (score.target, score.name) == (target, name):
            return score
    names = [f"{s.target}.{s.name}" for s in scores if s.target]
    raise ConfigError(
        f"The headline '{task.headline}' is not among the scores.",
        allowed=names,
        hint=plugins.nearest(task.headline, names),
    )


def write_scores(
    path: str | os.PathLike[str],
    scores: Sequence[Score],
    *,
    baselines: Mapping[str, Sequence[Score]] | None = None,
    **about: Any,
) -> None:
    """Write scores as JSON; an undefined value becomes null.

    Parameters
    ----------
    path : path-like
        Replaced atomically.
    scores : sequence of Score
        Those of the model.
    baselines : mapping of str to sequence of Score, optional
        Those of each baseline, by its name.
    **about
        Anything else that JSON can hold: split, headline, times scored.
    """
    plain = {name: list(map(_to_json, group)) for name, group in (baselines or {}).items()}
    content = {**about, "scores": list(map(_to_json, scores)), "baselines": plain}
    atomic.write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_scores(
    path: str | os.PathLike[str],
) -> tuple[list[Score], dict[str, list[Score]], dict[str, Any]]:
    """Read scores, baselines and what else `write_scores` wrote.

    Parameters
    ----------
    path : path-like
        ``scores.json`` of a run directory.

    Raises
    ------
    ConfigError
        If the file does not hold scores.
    """
    content = read_json(path, _Content, ConfigError, "run 'astrocnn evaluate' again")
    baselines = {name: [_from_json(s) for s in group] for name, group in content.baselines.items()}
    return [_from_json(s) for s in content.scores], baselines, dict(content.model_extra or {})


def _to_json(score: Score) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in dataclasses.asdict(score).items()
    }


def _from_json(content: Mapping[str, Any]) -> Score:
    numbers = ("value", "low", "high")
    fields = {k: math.nan if k in numbers and v is None else v for k, v in content.items()}
    score: Score = validate(fields, Score, "A stored score", ConfigError)
    return score
