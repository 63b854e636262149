"""Galaxy morphology: one of several named classes, yes/no questions, or both.

A run file says, for instance::

    [task]
    name = "morphology"
    column = "class_name"
    classes = ["elliptical", "spiral", "edge_on"]
    map = { spiral_clockwise = "spiral", spiral_anticlockwise = "spiral", "*" = "" }

    [task.questions.bar]
    column = "has_bar"

    [task.questions.winding]
    column = "winding"
    classes = ["clockwise", "anticlockwise"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from astrocnn.errors import ConfigError
from astrocnn.tasks._target import question
from astrocnn.tasks.base import Task

__all__ = ["task"]


def task(
    *,
    classes: Sequence[str] | None = None,
    column: str | None = None,
    map: Mapping[str, str] | None = None,
    weight: float = 1.0,
    symmetric: bool | None = None,
    target: str = "morphology",
    questions: Mapping[str, str | Mapping[str, Any]] | None = None,
    headline: str | None = None,
) -> Task:
    """Morphology by classes, by questions, or by both at once.

    Parameters
    ----------
    classes : sequence of str, optional
        Names of mutually exclusive classes.
    column : str, optional
        Column of the catalogue with the class; needed beside `classes`.
    map : mapping of str to str, optional
        Value in the catalogue to class; ``""`` means "no label", the key ``"*"`` everything else.
    weight : float
        Share of the classes in the loss, beside the questions.
    symmetric : bool, optional
        False when a mirror image has another class.  Left out, it is False exactly when the name
        of a class speaks of handedness (holds the word clockwise).
    target : str
        Name of the target of the classes: the prefix of its columns.
    questions : mapping of str to str or mapping, optional
        Name of each question to its column, or to a mapping with ``column`` and, if need be,
        ``classes`` (else yes/no), ``map``, ``weight``, ``symmetric``.
    headline : str, optional
        The score quoted first; the accuracy of the first target when left out.

    Raises
    ------
    ConfigError
        If there is neither a class nor a question, or an option is wrong.

    Examples
    --------
    >>> task(classes=("elliptical", "spiral"), column="class", questions={"bar": "bar"}).names
    ('morphology', 'bar')
    """
    targets = []
    if classes is not None:
        if column is None:
            raise ConfigError(
                "The classes of a morphology need the column that holds them.",
                hint='column = "class"',
            )
        options = {"column": column, "classes": classes, "map": map, "weight": weight}
        targets.append(question(target, {**options, "symmetric": symmetric}))
    elif column is not None or map is not None:
        raise ConfigError(
            "A morphology with a column needs the list of its classes.",
            hint='classes = ["elliptical", "spiral"]',
        )
    targets += [question(name, options) for name, options in (questions or {}).items()]
    if not targets:
        raise ConfigError(
            "A morphology needs classes, questions, or both.",
            hint='classes = ["elliptical", "spiral"] and column = "class"',
        )
    return Task("morphology", tuple(targets), headline or f"{targets[0].name}.accuracy")
