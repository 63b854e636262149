"""Scores as a person reads them: names, and values with their intervals.

The words themselves stand in the chapters.
"""

from __future__ import annotations

import functools
import math
from types import ModuleType

from astrocnn import plugins
from astrocnn.metrics import Score

__all__ = ["class_of", "interval_of", "is_of_class", "kinds_of_class", "name_of", "value_of"]


def class_of(name: str) -> tuple[str, str]:
    """Kind and class of a score that speaks of one class alone, else two empty words."""
    if name not in _names():
        for kind in kinds_of_class():
            if name.startswith(f"{kind}_"):
                return kind, name.removeprefix(f"{kind}_")
    return "", ""


def is_of_class(name: str) -> bool:
    """Whether a score speaks of one class alone."""
    return class_of(name) != ("", "")


@functools.cache
def kinds_of_class() -> dict[str, str]:
    """Kinds of scores that every class has, and their names."""
    return {k: v for chapter in _chapters() for k, v in getattr(chapter, "PER_CLASS", {}).items()}


def name_of(name: str) -> str:
    """The name of a score in words."""
    kind, of = class_of(name)
    if kind:
        return f"{kinds_of_class()[kind]} of {of}"
    return _names().get(name, name.replace("_", " "))


def value_of(score: Score) -> str:
    """A value with as many digits as are worth reading."""
    if not math.isfinite(score.value):
        return "–"
    return _number(score, score.value) + ("\u00a0%" if _percent(score) else "")


def interval_of(score: Score) -> str:
    """The interval in the digits of the value; empty when there is none."""
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return ""
    return f"[{_number(score, score.low)},\u00a0{_number(score, score.high)}]"


def _percent(score: Score) -> bool:
    return score.name.startswith(_percents())


def _number(score: Score, value: float) -> str:
    """A number in the digits that suit the score, so that its interval has the same."""
    if _percent(score):
        rare = min(score.value, 1 - score.value) or score.high - score.low
        extreme = 0 < rare < 0.01
        return f"{100 * value:.{2 if extreme else 1}f}"
    return f"{value:.{_digits(score)}f}"


def _digits(score: Score) -> int:
    """Digits behind the point: two of the uncertainty where it begins with 1 or 2, else one."""
    size = abs(score.value)
    least = 4 if 5e-5 < size < 0.03 else 3 if size < 10 else 1
    half = (score.high - score.low) / 2
    if not (math.isfinite(half) and half > 0):
        return least
    order = math.floor(math.log10(half))
    return min(max(least, -order + (half < 3 * 10**order)), 5)


@functools.cache
def _chapters() -> tuple[ModuleType, ...]:
    folder = "astrocnn.evaluation.chapters"
    return tuple(plugins.load_module(folder, name) for name in plugins.module_names(folder))


@functools.cache
def _names() -> dict[str, str]:
    return {k: v for chapter in _chapters() for k, v in chapter.NAMES.items()}


@functools.cache
def _percents() -> tuple[str, ...]:
    return tuple(prefix for chapter in _chapters() for prefix in chapter.PERCENT)
