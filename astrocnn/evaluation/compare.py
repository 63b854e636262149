"""Baselines of all targets of a task, scored as the network is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.evaluation.scores import score
from astrocnn.metrics import Score
from astrocnn.targets import Task

__all__ = ["baseline_scores"]

Labels = tuple[Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]]]


def baseline_scores(
    task: Task,
    train: Labels,
    test: Labels,
    *,
    number: tuple[str, Any, Any] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, list[Score]], dict[str, str]]:
    """What one gets without a network, for every kind of quantity.

    The chapter of a family knows its baselines: the commonest class of classes, the distribution
    of the training labels of numbers.

    Parameters
    ----------
    task : Task
        What is predicted.
    train, test : (mapping, mapping)
        Encoded labels and weights by target, as `Task.encode` gives them.
    number : (str, array_like, array_like), optional
        Name of one number, its training and its test values, for the best that it alone allows.
    n_resamples : int
        Bootstrap resamples behind each interval.
    seed : int
        Of the bootstrap.

    Returns
    -------
    scores : dict of str to list of Score
        By the name of the baseline; a baseline scores the targets it has an answer to.
    sentences : dict of str to str
        What each does.
    """
    n = len(next(iter(test[1].values())))
    samples: dict[str, dict[str, NDArray[Any]]] = {}
    sentences: dict[str, list[str]] = {}

    def keep(name: str, baseline: Any, told: Any) -> None:
        samples.setdefault(baseline.label, {})[name] = np.asarray(baseline.sample(told))
        said = sentences.setdefault(baseline.label, [])
        said += [baseline.sentence] if baseline.sentence not in said else []

    for target in task.targets:
        name = target.name
        labels = train[0][name], train[1][name]
        chapter = plugins.load_module("astrocnn.evaluation.chapters", target.family.chapter)
        for baseline in chapter.baselines(target, *labels):
            keep(name, baseline, n)
        if number is not None and hasattr(chapter, "by_number"):
            what, taught, asked = number
            keep(name, chapter.by_number(target, what, taught, *labels), asked)
    scores = {}
    for label, found in samples.items():
        answered = tuple(target for target in task.targets if target.name in found)
        part = replace(task, targets=answered, headline=f"{answered[0].name}.")
        scores[label] = score(part, *test, found, n_resamples=n_resamples, seed=seed)
    return scores, {label: "; ".join(found) for label, found in sentences.items()}
