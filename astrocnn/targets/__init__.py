"""What is predicted: a `Task` is a tuple of `Target`, one small file for each kind of task.

Each module exposes ``task(**options) -> Task``; `make` finds it by name, and `storage` turns a
task into plain values and back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.targets import storage
from astrocnn.targets.families import (
    Bernoulli,
    Binned,
    Categorical,
    ClassFamily,
    DirichletMultinomial,
    DiscreteFamily,
    Family,
    Gaussian,
    Mixture,
    QuantityFamily,
)
from astrocnn.targets.target import Target
from astrocnn.targets.task import Task

__all__ = [
    "Bernoulli",
    "Binned",
    "Categorical",
    "ClassFamily",
    "DirichletMultinomial",
    "DiscreteFamily",
    "Family",
    "Gaussian",
    "Mixture",
    "QuantityFamily",
    "Target",
    "Task",
    "make",
    "storage",
]


def make(name: str | Callable[..., Task], **options: Any) -> Task:
    """A task by name with its options, as a run file gives them.

    Parameters
    ----------
    name : str or callable
        A module of `astrocnn.targets.tasks`: ``"morphology"``, ``"quality"`` ...; or
        ``path/to/file.py:task``, or a function that returns a Task: see `astrocnn.plugins.load`.
    **options
        The arguments of its ``task`` function.

    Raises
    ------
    ConfigError
        If there is no such task or it has no such option; the message holds the nearest name.

    Examples
    --------
    >>> make("morphology", classes=("elliptical", "spiral"), column="class").headline
    'morphology.accuracy'
    """
    build = plugins.load("tasks", name, trusted=True)
    parameters = inspect.signature(build).parameters
    known = [p.name for p in parameters.values() if p.kind is not p.VAR_KEYWORD]
    short_name = plugins.short_name("tasks", build)
    for option in options:
        # A task with free options validates them itself.
        if option not in known and len(known) == len(parameters):
            raise ConfigError(
                f"The task '{short_name}' has no option '{option}'.",
                allowed=known,
                hint=plugins.nearest(option, known),
            )
    task = build(**options)
    if not isinstance(task, Task):
        raise ConfigError(
            f"The task '{short_name}' is not a Task.",
            received=type(task).__name__,
            hint="its function returns astrocnn.Task(name, targets, headline)",
        )
    return task
