"""The table ``[search]`` of a run file: what is varied, and how values are chosen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    ValidationInfo,
    field_validator,
    model_validator,
)

from astrocnn.runs.config_errors import Section, fields_at, suggest_place

__all__ = ["Range", "SearchSection"]

_SAME_IN_ALL_TRIALS = (
    *("title", "root", "catalog", "survey", "split", "task"),
    *("prediction", "calibration", "selection", "evaluation", "search"),
)
_MOST_POINTS = 1000
_POINTS = 3
_DIGITS = 4


class Range(Section):
    """An interval from `low` to `high`, both included, or some `choices`."""

    low: FiniteFloat | None = None
    """Lower end."""
    high: FiniteFloat | None = None
    """Upper end."""
    scale: Literal["linear", "log"] = "linear"
    """Whether values, or their logarithms, are spread evenly."""
    integer: bool = False
    """Only whole numbers."""
    choices: tuple[Any, ...] | None = None
    """Any values of a run file in place of an interval; all equally probable."""
    points: int | None = Field(None, ge=2)
    """Values of the interval that a grid takes, the ends among them; 3 by default."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Range:
        wrong = list(self._find_mistakes())
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _find_mistakes(self) -> Iterator[str]:
        if self.choices is not None:
            fields = type(self).model_fields.items()
            others = [n for n, f in fields if n != "choices" and getattr(self, n) != f.default]
            if others:
                yield f"choices stand alone, without {', '.join(others)}"
            if not self.choices:
                yield "choices are empty"
            if any(c in self.choices[:i] for i, c in enumerate(self.choices)):
                yield "a choice is given twice"
            return
        if self.low is None or self.high is None:
            yield "give low and high, or choices"
            return
        if not self.low < self.high:
            yield f"low must be below high, and {self.low:g} is not below {self.high:g}"
        if self.scale == "log" and self.low <= 0:
            yield f"a logarithmic scale begins above 0, not at {self.low:g}"
        if self.integer and (self.low % 1 or self.high % 1):
            yield "an interval of whole numbers has whole ends"

    def at(self, u: float) -> Any:
        """The value at a fraction of the probability.

        Parameters
        ----------
        u : float
            In [0, 1): a uniform deviate gives a random value.

        Returns
        -------
        value
            One of the choices, an int, or a float of few digits, as it is written in a run file.

        Examples
        --------
        >>> Range(low=1e-4, high=1e-2, scale="log").at(0.5)
        0.001
        >>> Range(low=1, high=4, integer=True).at(0.99)
        4
        """
        if self.choices is not None:
            return self.choices[int(u * len(self.choices))]
        # A whole number stands for the interval that is rounded to it.
        half = 0.5 if self.integer else 0.0
        low, high = self.limits[0] - half, self.limits[1] + half
        if self.scale == "log":
            value = low * (high / low) ** u
        else:
            value = low + u * (high - low)
        return self.rounded(value)

    def rounded(self, value: float) -> int | float:
        """A number of the interval as a run file holds it: whole, or of few digits."""
        low, high = self.limits
        if self.integer:
            value = math.floor(value + 0.5)
        elif self.scale == "log":
            value = float(f"{value:.{_DIGITS}g}")
        else:
            value = round(value, _DIGITS - math.floor(math.log10(high - low)))
        value = min(max(value, low), high)
        return int(value) if self.integer else float(value)

    def grid(self) -> list[Any]:
        """The values a grid takes, in order: all choices, or evenly spread points.

        Examples
        --------
        >>> Range(low=16, high=64, scale="log", integer=True).grid()
        [16, 32, 64]
        """
        if self.choices is not None:
            return list(self.choices)
        low, high = self.limits
        steps = (self.points or _POINTS) - 1
        if self.integer:
            steps = min(steps, int(high - low))
        values = []
        for i in range(steps + 1):
            if self.scale == "log":
                value = low * (high / low) ** (i / steps)
            else:
                value = low + i / steps * (high - low)
            values.append(self.rounded(value))
        return list(dict.fromkeys(values))

    @property
    def limits(self) -> tuple[float, float]:
        """Lower and upper end of an interval."""
        assert self.low is not None and self.high is not None
        return self.low, self.high

    def ends(self) -> list[Any]:
        """Extreme values, for validation."""
        if self.choices is not None:
            return list(self.choices)
        return [self.rounded(end) for end in self.limits]

    @property
    def size(self) -> float:
        """Number of values; infinite for an interval of real numbers."""
        if self.choices is not None:
            return len(self.choices)
        low, high = self.limits
        return high - low + 1 if self.integer else math.inf


def _check_path(path: str, info: ValidationInfo) -> str:
    """A dotted path that a search may vary: objects, labels and scores stay the same."""
    run = (info.context or {}).get("run")
    if run is None:
        return path
    head, *rest = path.split(".")
    free = [name for name in run.model_fields if name not in _SAME_IN_ALL_TRIALS]
    if head in _SAME_IN_ALL_TRIALS:
        raise ValueError(f"'{head}' is the same in all trials; vary {', '.join(free)}")
    at: list[str] = []
    known = free
    for part in (head, *rest):
        if part not in known:
            where = f" in {'.'.join(at)}" if at else ""
            raise ValueError(f"there is no '{part}'{where}; {suggest_place((*at, part), run)}")
        at.append(part)
        known = fields_at(run, at)
    return path


class SearchSection(Section):
    """Which values of the run 'search' tries, and how it chooses them."""

    sampler: Literal["random", "grid", "tpe"] = "random"
    """How values are chosen; ``tpe`` learns from the trials before."""
    trials: int | None = Field(None, ge=1, le=10000)
    """Number of trials; 20 by default, all points for a grid."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the choices."""
    objective: str = "val_loss"
    """What is minimized on the validation split."""
    startup: int | None = Field(None, ge=1)
    """Random trials before ``tpe`` begins to choose."""
    pruning: bool = False
    """Stop trials early that are worse than the median of the others."""
    prune_after: int | None = Field(None, ge=1)
    """Epochs before a trial can be stopped."""
    hours: float | None = Field(None, gt=0)
    """Time after which no new trial begins [h]."""
    space: dict[Annotated[str, AfterValidator(_check_path)], Range]
    """Dotted keys of the run, such as ``training.learning_rate``, each with a range or choices."""

    @property
    def count(self) -> int:
        """Number of trials."""
        if self.sampler == "grid":
            return math.prod(len(one.grid()) for one in self.space.values())
        return self.trials or 20

    @field_validator("space", mode="before")
    @classmethod
    def _flat(cls, space: Any) -> Any:
        """Flatten paths written as quoted keys, dotted keys or nested tables."""
        if not isinstance(space, dict):
            return space
        flat: dict[str, Any] = {}

        def add(tables: dict[str, Any], prefix: str) -> None:
            for key, value in tables.items():
                path = f"{prefix}{key}"
                inner = isinstance(value, dict) and value
                if inner and all(isinstance(v, dict) for v in value.values()):
                    add(value, f"{path}.")
                elif inner and isinstance(flat.get(path), dict):
                    flat[path] = {**flat[path], **value}
                else:
                    flat[path] = value

        add(space, "")
        return flat

    @model_validator(mode="after")
    def _makes_sense(self) -> SearchSection:
        wrong = list(self._find_mistakes())
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _find_mistakes(self) -> Iterator[str]:
        if not self.space:
            yield "the space is empty: give at least one value to vary"
        if self.sampler == "grid":
            most = self.trials or _MOST_POINTS
            if self.count > most:
                sides = " x ".join(str(len(one.grid())) for one in self.space.values())
                yield (
                    f"the grid has {self.count:,} points ({sides}), and {most:,} are allowed: "
                    "give fewer points, or sampler = 'random'"
                )
        else:
            fixed = [name for name, one in self.space.items() if one.points is not None]
            if fixed:
                yield f"points are for a grid, not for sampler = '{self.sampler}' ({fixed[0]})"
            size = math.prod(one.size for one in self.space.values())
            if self.space and size < self.count:
                yield (
                    f"the space has only {size:.0f} points, and there are {self.count} trials: "
                    "give fewer trials, or sampler = 'grid'"
                )
        if self.startup is not None and self.sampler != "tpe":
            yield f"startup is for sampler = 'tpe', not '{self.sampler}'"
        if self.prune_after is not None and not self.pruning:
            yield "prune_after is of no use without pruning = true"
