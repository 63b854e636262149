"""Score a task, find its headline, and keep scores as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from astrocnn import atomic, plugins
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.metrics import Score
from astrocnn.targets import Task

__all__ = ["headline", "read_scores", "score", "write_scores"]

_CHAPTERS = "astrocnn.evaluation.chapters"


def score(
    task: Task,
    encoded: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
    samples: Mapping[str, NDArray[Any]],
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> list[Score]:
    """All scores of all targets of a task.

    Parameters
    ----------
    task : Task
        What was predicted.
    encoded, weights : mapping of str to ndarray
        Labels by target, as `Task.encode` gives them.
    samples : mapping of str to ndarray of shape (n_draws, n, units)
        Activated samples by target; NaN where there is no prediction.
    n_resamples : int
        Bootstrap resamples behind each 95 % interval; 0 for none.
    seed : int
        Of the bootstrap.

    Raises
    ------
    PredictionError
        If a target was not predicted or shapes do not belong together.
    """
    out: list[Score] = []
    by_chapter: dict[str, list[tuple[Any, ...]]] = {}
    options = {"n_resamples": n_resamples, "seed": seed}
    for target in task.targets:
        if target.name not in samples:
            raise PredictionError(
                f"There are no samples of target '{target.name}'.", allowed=list(samples)
            )
        part = (target, encoded[target.name], weights[target.name], samples[target.name])
        out += plugins.load_module(_CHAPTERS, target.family.chapter).scores(*part, **options)
        by_chapter.setdefault(target.family.chapter, []).append(part)
    for chapter, parts in by_chapter.items():
        out += plugins.load_module(_CHAPTERS, chapter).across(parts, **options)
    return out


def headline(task: Task, scores: Sequence[Score]) -> Score:
    """The score a task quotes first.

    Parameters
    ----------
    task : Task
        Names its headline.
    scores : sequence of Score
        All that were computed.

    Returns
    -------
    Score

    Raises
    ------
    ConfigError
        If the task names a score that was not computed.
    """
    target, _, name = task.headline.partition(".")
    for found in scores:
        if (found.target, found.name) == (target, name):
            return found
    known = [f"{s.target}.{s.name}" for s in scores if s.target]
    raise ConfigError(
        f"The headline '{task.headline}' is not among the scores.",
        allowed=known,
        hint=plugins.nearest(task.headline, known),
    )


def write_scores(
    path: str | os.PathLike[str],
    scores: Sequence[Score],
    *,
    baselines: Mapping[str, Sequence[Score]] | None = None,
    **about: Any,
) -> None:
    """Write scores as JSON; a value that is not defined becomes null.

    Parameters
    ----------
    path : path-like
        Replaced atomically.
    scores : sequence of Score
        Of the network.
    baselines : mapping of str to sequence of Score, optional
        Of each baseline, by its name.
    **about
        Anything JSON can hold that stands beside them: split, headline, times scored.
    """
    content = {
        **about,
        "scores": [_to_json(s) for s in scores],
        "baselines": {
            name: [_to_json(s) for s in found] for name, found in (baselines or {}).items()
        },
    }
    atomic.write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_scores(
    path: str | os.PathLike[str],
) -> tuple[list[Score], dict[str, list[Score]], dict[str, Any]]:
    """Scores, baselines and what stood beside them, as `write_scores` wrote them.

    Parameters
    ----------
    path : path-like
        ``scores.json`` of a run directory.

    Returns
    -------
    scores : list of Score
    baselines : dict of str to list of Score
    about : dict
        What stood beside them.
    """
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    scores = [_from_json(s) for s in content.pop("scores")]
    baselines = {
        name: [_from_json(s) for s in found] for name, found in content.pop("baselines").items()
    }
    return scores, baselines, content


def _to_json(score: Score) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in dataclasses.asdict(score).items()
    }


def _from_json(content: Mapping[str, Any]) -> Score:
    numbers = ("value", "low", "high")
    known: dict[str, Any] = {
        k: math.nan if k in numbers and v is None else v for k, v in content.items()
    }
    return Score(**known)
