"""Scores as text: labels, and values and intervals with the digits they are worth."""

from __future__ import annotations

import functools
import math

from astrocnn.evaluation.kinds import KINDS, ScoreLabel
from astrocnn.metrics import Score

__all__ = [
    "format_interval",
    "format_score",
    "format_value",
    "get_class_labels",
    "get_label",
    "split_class_score",
]


def get_label(name: str) -> str:
    """The label of a score by its name.

    Parameters
    ----------
    name : str
        Name of the score, as in ``scores.json``: ``"accuracy"``, ``"completeness_spiral"``.

    Returns
    -------
    str
        For an unknown score its name, with spaces in place of underscores.
    """
    label, class_name = _find_label(name)
    if label is None:
        return name.replace("_", " ")
    return f"{label.label} of {class_name}" if class_name else label.label


def split_class_score(name: str) -> tuple[str, str]:
    """Kind and class of a score of one class, as ``completeness_spiral``; else empty strings.

    See `get_label` for the parameter.
    """
    if name not in _get_labels():
        for kind in get_class_labels():
            if name.startswith(f"{kind}_"):
                return kind, name.removeprefix(f"{kind}_")
    return "", ""


def format_value(score: Score) -> str:
    """The value with as many digits as its interval justifies, fractions in percent.

    Parameters
    ----------
    score : Score

    Returns
    -------
    str
        A dash if the value is not finite.
    """
    if not math.isfinite(score.value):
        return "–"
    return _format_number(score, score.value) + ("\u00a0%" if _is_percent(score) else "")


def format_interval(score: Score) -> str:
    """The interval with the digits of the value. See `format_value`.

    Returns
    -------
    str
        As "[low, high]"; empty if a limit is not finite.
    """
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return ""
    return f"[{_format_number(score, score.low)},\u00a0{_format_number(score, score.high)}]"


def format_score(score: Score) -> str:
    """Value and interval. See `format_value` and `format_interval`."""
    return f"{format_value(score)} {format_interval(score)}".rstrip()


@functools.cache
def get_class_labels() -> dict[str, ScoreLabel]:
    """Labels of the scores that each class has, by the beginning of their name."""
    return {name: label for kind in KINDS.values() for name, label in kind.CLASS_SCORES.items()}


@functools.cache
def _get_labels() -> dict[str, ScoreLabel]:
    return {name: label for kind in KINDS.values() for name, label in kind.SCORES.items()}


def _find_label(name: str) -> tuple[ScoreLabel | None, str]:
    """Label of a score and, for a score of one class, the name of the class."""
    kind, class_name = split_class_score(name)
    return get_class_labels().get(kind) or _get_labels().get(name), class_name


def _is_percent(score: Score) -> bool:
    label, _ = _find_label(score.name)
    return label is not None and label.percent


def _format_number(score: Score, value: float) -> str:
    """A number with the digits that suit the score, so that its interval has the same."""
    if _is_percent(score):
        # One digit more for rates close to 0 or 100 %.
        rare = min(score.value, 1 - score.value) or score.high - score.low
        return f"{100 * value:z.{2 if 0 < rare < 0.01 else 1}f}"
    return f"{value:z.{_count_decimals(score)}f}"


def _count_decimals(score: Score) -> int:
    """Decimals: two digits of an uncertainty that begins with 1 or 2, else one."""
    size = abs(score.value)
    least = 4 if 5e-5 < size < 0.03 else 3 if size < 10 else 1
    half = (score.high - score.low) / 2
    # An interval without width, but for rounding, gives no digits.
    if not (math.isfinite(half) and half > 1e-9 * max(size, 1e-3)):
        return least
    order = math.floor(math.log10(half))
    return min(max(least, -order + (half < 3 * 10**order)), 5)
