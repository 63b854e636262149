"""Image quality: is an image usable and, if not, why.

In a run file::

    [task]
    name = "quality"
    column = "usable"
    reasons = { ghost = "has_ghost", cosmic_ray = "has_cosmic_ray" }
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from astrocnn.targets.families import Bernoulli
from astrocnn.targets.target import Target
from astrocnn.targets.task import Task
from astrocnn.targets.tasks.base import build_question

__all__ = ["task"]


def task(
    *,
    column: str = "usable",
    map: Mapping[str, str] | None = None,
    weight: float = 1.0,
    target: str = "usable",
    reasons: Mapping[str, str | Mapping[str, Any]] | None = None,
    headline: str | None = None,
) -> Task:
    """The probability that an image is usable, and that of each reason against it.

    Parameters
    ----------
    column : str
        Column of the catalogue with 1 for usable images and 0 for others.
    map : mapping of str to str, optional
        Value in the catalogue to ``"yes"``, ``"no"`` or ``""`` (no label).
    weight : float
        Factor of this target in the loss, beside the reasons.
    target : str
        Name of the target: the prefix of its columns.
    reasons : mapping of str to str or mapping, optional
        Name of each artefact to its yes/no column, or to a mapping with ``column`` and, if need
        be, ``map`` and ``weight``.  Reasons do not exclude one another.
    headline : str, optional
        The score quoted first; the false-positive rate at 95 % true positives when left out.

    Raises
    ------
    ConfigError
        If an option is wrong.

    Examples
    --------
    >>> task(reasons={"ghost": "has_ghost"}).names
    ('usable', 'ghost')
    """
    targets = [Target(target, Bernoulli(), column, map=map, weight=weight)]
    targets += [build_question(name, options) for name, options in (reasons or {}).items()]
    return Task("quality", tuple(targets), headline or f"{target}.fpr_at_tpr95")
