"""Where one value of a run is looked for: an interval, or a set of choices."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

__all__ = ["Range"]

_POINTS = 3
_DIGITS = 4


class Range(BaseModel):
    """An interval from `low` to `high`, both included, or some `choices`.

    Parameters
    ----------
    low, high : float
        The ends.
    scale : {"linear", "log"}
        Whether values, or their logarithms, are spread evenly.
    integer : bool
        Whether only whole numbers are meant.
    choices : tuple
        Any values of a run file, instead of an interval; all equally probable.
    points : int
        How many values of the interval a grid takes, the ends among them; 3 by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    scale: Literal["linear", "log"] = "linear"
    integer: bool = False
    choices: tuple[Any, ...] | None = None
    points: int | None = Field(None, ge=2)

    @model_validator(mode="after")
    def _makes_sense(self) -> Range:
        wrong = list(self._mistakes())
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _mistakes(self) -> Any:
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
        assert self.low is not None and self.high is not None
        # A whole number stands for the interval that is rounded to it.
        half = 0.5 if self.integer else 0.0
        low, high = self.low - half, self.high + half
        if self.scale == "log":
            value = low * (high / low) ** u
        else:
            value = low + u * (high - low)
        return self.rounded(value)

    def rounded(self, value: float) -> int | float:
        """A number of the interval as a run file holds it: whole, or of few digits."""
        assert self.low is not None and self.high is not None
        if self.integer:
            value = math.floor(value + 0.5)
        elif self.scale == "log":
            value = float(f"{value:.{_DIGITS}g}")
        else:
            value = round(value, _DIGITS - math.floor(math.log10(self.high - self.low)))
        value = min(max(value, self.low), self.high)
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
        assert self.low is not None and self.high is not None
        steps = (self.points or _POINTS) - 1
        if self.integer:
            steps = min(steps, int(self.high - self.low))
        values = []
        for i in range(steps + 1):
            if self.scale == "log":
                value = self.low * (self.high / self.low) ** (i / steps)
            else:
                value = self.low + i / steps * (self.high - self.low)
            values.append(self.rounded(value))
        return list(dict.fromkeys(values))

    def ends(self) -> list[Any]:
        """The values to try first when it is asked what a run accepts."""
        if self.choices is not None:
            return list(self.choices)
        assert self.low is not None and self.high is not None
        return [self.rounded(self.low), self.rounded(self.high)]

    @property
    def size(self) -> float:
        """How many values there are; infinite for an interval of real numbers."""
        if self.choices is not None:
            return len(self.choices)
        assert self.low is not None and self.high is not None
        return self.high - self.low + 1 if self.integer else math.inf
