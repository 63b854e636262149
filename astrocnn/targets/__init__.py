"""What is predicted: a `Task` is a tuple of `Target`, one small file for each kind of task.

Each module exposes ``task(**options) -> Task``; `make` finds it by name, and `storage` turns a
task into plain values and back.
"""

from __future__ import annotations

import inspect
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


def make(name: str, **options: Any) -> Task:
    """A task by name with its options, as a run file gives them.

    Parameters
    ----------
    name : str
        A module of `astrocnn.targets.tasks`: ``"morphology"``, ``"quality"`` ...
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
    build = plugins.load("astrocnn.targets.tasks", name).task
    known = tuple(inspect.signature(build).parameters)
    for option in options:
        if option not in known:
            raise ConfigError(
                f"The task '{name}' has no option '{option}'.",
                allowed=known,
                hint=plugins.nearest(option, known),
            )
    return build(**options)
