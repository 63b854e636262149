"""Questions to a person, from the targets of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from astrocnn.errors import ConfigError
from astrocnn.targets import ClassFamily, DirichletMultinomial, Task, make

__all__ = ["Answer", "Question", "build_class_question", "build_questions", "label_columns"]

MOST_ANSWERS = 26


@dataclass(frozen=True)
class Answer:
    """One answer, and what it writes into the table of labels.

    Parameters
    ----------
    name : str
        Class, or answer of a vote.
    values : dict of str to str
        Value of each column of the question.
    """

    name: str
    values: dict[str, str]


@dataclass(frozen=True)
class Question:
    """A question with one answer per object.

    Parameters
    ----------
    name : str
        Name of the target.
    answers : tuple of Answer
        In the order of their keys.
    depends_on : tuple of (str, str), optional
        Question and answer after which it is asked; else always.
    """

    name: str
    answers: tuple[Answer, ...]
    depends_on: tuple[str, str] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it fills."""
        return tuple(self.answers[0].values)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the page."""
        return asdict(self)


def build_questions(task: Task) -> tuple[Question, ...]:
    """The questions of a task: its classes, yes or no questions, and votes; not its numbers.

    A question that depends on an answer comes after that one, as in a decision tree.

    Raises
    ------
    ConfigError
        If the task has no question, or one has more answers than there are keys.

    Examples
    --------
    >>> task = make("morphology", classes=("spiral", "elliptical"), column="kind")
    >>> [answer.values for answer in build_questions(task)[0].answers]
    [{'kind': 'spiral'}, {'kind': 'elliptical'}]
    """
    questions: list[Question] = []
    for target in task.targets:
        family = target.family
        if not isinstance(family, ClassFamily | DirichletMultinomial):
            continue
        names = tuple(family.classes)
        if isinstance(target.column, str):
            column = target.column
            # "yes" is the first key of a yes or no question.
            ordered = ("yes", "no") if names == ("no", "yes") else names
            answers = tuple(Answer(name, {column: name}) for name in ordered)
        else:
            counts = [*target.column, *([] if target.total is None else [target.total])]
            answers = tuple(
                Answer(name, {c: str(int(c in (own, target.total))) for c in counts})
                for name, own in zip(names, target.column, strict=True)
            )
        if len(answers) > MOST_ANSWERS:
            raise ConfigError(
                f"The question '{target.name}' has too many answers for a page of labels.",
                received=len(answers),
                allowed=f"at most {MOST_ANSWERS}",
            )
        parent = None
        if target.depends_on is not None:
            name, _, answer = target.depends_on.partition(".")
            parent = (name, answer)
        questions.append(Question(target.name, answers, parent))
    if not questions:
        raise ConfigError(
            "The task has nothing that a person can answer.",
            received=", ".join(task.names),
            allowed="classes, yes or no questions, votes",
        )
    return _sort(questions)


def build_class_question(classes: Sequence[str], column: str = "label") -> tuple[Question, ...]:
    """One question with the given classes, whose answers fill a column."""
    return build_questions(make("morphology", classes=tuple(classes), column=column))


def label_columns(questions: Sequence[Question]) -> tuple[str, ...]:
    """Columns that all questions fill.

    Raises
    ------
    ConfigError
        If two questions fill the same one.
    """
    columns = [column for question in questions for column in question.columns]
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise ConfigError("Two questions fill the same column.", received=repeated)
    return tuple(columns)


def _sort(questions: Sequence[Question]) -> tuple[Question, ...]:
    """In an order in which no question comes before the one that it depends on."""
    left, done = list(questions), list[Question]()
    while left:
        known = {question.name for question in done}
        ready = [q for q in left if q.depends_on is None or q.depends_on[0] in known]
        if not ready:
            raise ConfigError(
                "A question depends on one that a person cannot answer.",
                received=[f"{q.name}: {'.'.join(q.depends_on or ())}" for q in left],
            )
        done.append(ready[0])
        left.remove(ready[0])
    return tuple(done)
