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
    Family,
    Gaussian,
    Mixture,
    QuantityFamily,
    as_numbers,
    as_text,
)
from astrocnn.targets.target import Target
from astrocnn.targets.task import Task

__all__ = [
    "Bernoulli",
    "Binned",
    "Categorical",
    "ClassFamily",
    "DirichletMultinomial",
    "Family",
    "Gaussian",
    "Mixture",
    "QuantityFamily",
    "Target",
    "Task",
    "as_numbers",
    "as_text",
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

    Returns
    -------
    Task

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
    known = tuple(inspect.signature(build).parameters)
    for option in options:
        if option not in known:
            raise ConfigError(
                f"The task '{plugins.short_name('tasks', build)}' has no option '{option}'.",
                allowed=known,
                hint=plugins.nearest(option, known),
            )
    made = build(**options)
    if not isinstance(made, Task):
        raise ConfigError(
            f"The task '{plugins.short_name('tasks', build)}' is not a Task.",
            received=type(made).__name__,
            hint="its function returns astrocnn.Task(name, targets, headline)",
        )
    return made
