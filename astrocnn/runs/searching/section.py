"""The table ``[search]`` of a run file."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from astrocnn.runs.mistakes import Section, elsewhere, fields_at
from astrocnn.runs.searching.ranges import Range
from astrocnn.runs.searching.space import grid_size

__all__ = ["SearchSection"]

_SAME_IN_ALL_TRIALS = (
    *("title", "root", "catalog", "survey", "split", "task"),
    *("prediction", "calibration", "selection", "evaluation", "search"),
)
_MOST_POINTS = 1000


def _varied(path: str) -> str:
    """A dotted path that a search may vary: one that leaves objects, labels and scores alone."""
    # A run holds a search, whose paths lead through a run.
    from astrocnn.runs.config import RunConfig

    head, *rest = path.split(".")
    free = [name for name in RunConfig.model_fields if name not in _SAME_IN_ALL_TRIALS]
    if head in _SAME_IN_ALL_TRIALS:
        raise ValueError(f"'{head}' is the same in all trials; vary {', '.join(free)}")
    known, at = free, []
    for part in (head, *rest):
        if part not in known:
            where = f" in {'.'.join(at)}" if at else ""
            raise ValueError(f"there is no '{part}'{where}; {elsewhere((*at, part), RunConfig)}")
        at.append(part)
        known = fields_at(RunConfig, at)
    return path


class SearchSection(Section):
    """Which values of the run 'search' tries, and how it chooses them."""

    sampler: Literal["random", "grid", "tpe"] = "random"
    trials: int | None = Field(None, ge=1, le=10000)
    seed: int = Field(0, ge=0, lt=2**63)
    objective: str = "val_loss"
    startup: int | None = Field(None, ge=1)
    pruning: bool = False
    prune_after: int | None = Field(None, ge=1)
    hours: float | None = Field(None, gt=0)
    space: dict[Annotated[str, AfterValidator(_varied)], Range]

    @property
    def count(self) -> int:
        """How many trials there are."""
        if self.sampler == "grid":
            return grid_size(self.space)
        return self.trials or 20

    @field_validator("space", mode="before")
    @classmethod
    def _flat(cls, space: Any) -> Any:
        """Paths may be written with or without quotation marks, as keys or as tables."""
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
        wrong = list(self._mistakes())
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _mistakes(self) -> Any:
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
