"""Galaxy morphology: named classes, questions, votes, and numbers such as the T-Type.

In a run file::

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

    [task.questions.smooth_or_featured]
    answers = { smooth = "votes_smooth", featured = "votes_featured", artifact = "votes_artifact" }
    total = "votes_all"

    [task.questions.spiral]
    answers = { yes = "votes_spiral", no = "votes_no_spiral" }
    depends_on = "smooth_or_featured.featured"

    [task.values.t_type]
    column = "ttype"
    range = [-5, 10]

Volunteers come to a question that depends on an answer only if they gave that answer.  An object
for which few did has few votes on it, and counts little in the loss without further weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from astrocnn.errors import ConfigError
from astrocnn.targets.task import Task, validate_tree
from astrocnn.targets.tasks.base import build_quantity, build_question

__all__ = ["task"]

# The score quoted first, by the kind of scores of the first target.
_HEADLINES = {"classes": "accuracy", "votes": "mean_deviation", "density": "rmse"}


def task(
    *,
    classes: Sequence[str] | str | None = None,
    column: str | None = None,
    map: Mapping[str, str] | None = None,
    weight: float = 1.0,
    symmetric: bool | None = None,
    target: str = "morphology",
    questions: Mapping[str, str | Mapping[str, Any]] | None = None,
    values: Mapping[str, Mapping[str, Any]] | None = None,
    headline: str | None = None,
    ucd: str = "src.morph.type",
) -> Task:
    """Morphology by classes, questions and numbers, alone or in one network.

    Every object may lack the labels of some of them.

    Parameters
    ----------
    classes : sequence of str, or str, optional
        Names of mutually exclusive classes, or the name of a list of them: ``"candels5"``,
        ``"hubble"``, ``"galaxy_zoo"``.
    column : str, optional
        Column of the catalogue with the class; needed beside `classes`.
    map : mapping of str to str, optional
        Value in the catalogue to class; ``""`` means "no label", the key ``"*"`` everything else.
    weight : float
        Factor of the classes in the loss, beside the questions.
    symmetric : bool, optional
        False when a mirror image has another class.  Left out, it is False exactly when the name
        of a class contains the word clockwise.
    target : str
        Name of the target of the classes: the prefix of its columns.
    questions : mapping of str to str or mapping, optional
        Name of each question to its column, or to a mapping with ``column`` and, if need be,
        ``classes`` (else yes/no), ``map``, ``weight``, ``symmetric``.  A question with votes
        has ``answers``, each with its column of counts, in place of column and classes, and, if
        need be, ``total`` (column with the number of all votes).  Any question may have
        ``depends_on = "question.answer"``: it then has a column ``relevance``, the expected
        fraction of people who come to be asked it.
    values : mapping of str to mapping, optional
        Name of each number to a mapping with ``column`` and ``range`` and, if need be,
        ``family`` (``"gaussian"`` when left out), ``map``, ``weight``, and the options of the
        family, such as ``n_bins``.
    headline : str, optional
        The score quoted first; when left out that of the first target: the accuracy, the mean
        deviation of the vote fractions, or the root mean square error.
    ucd : str
        UCD of what the classes are, for the columns of a table; ``"src.class"`` for classes such as
        star and galaxy.

    Raises
    ------
    ConfigError
        If there is nothing to predict, an option is wrong, or a question depends on an answer
        that does not exist, or on itself.

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
        targets.append(build_question(target, {**options, "symmetric": symmetric}, ucd=ucd))
    elif column is not None or map is not None:
        raise ConfigError(
            "A morphology with a column needs the list of its classes.",
            hint='classes = ["elliptical", "spiral"]',
        )
    targets += [
        build_question(name, options, ucd=ucd) for name, options in (questions or {}).items()
    ]
    targets += [
        build_quantity(name, table, relative_errors=False, ucd="")
        for name, table in (values or {}).items()
    ]
    if not targets:
        raise ConfigError(
            "A morphology needs classes, questions, or values.",
            hint='classes = ["elliptical", "spiral"] and column = "class"',
        )
    validate_tree(targets)
    score = _HEADLINES[targets[0].family.kind]
    return Task("morphology", tuple(targets), headline or f"{targets[0].name}.{score}")
