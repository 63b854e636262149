"""What is predicted: a task is a tuple of targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.column import Column
from astrocnn.errors import CatalogError, ConfigError
from astrocnn.targets.decision_tree import ancestors, relevance
from astrocnn.targets.families import as_numbers
from astrocnn.targets.target import Target

__all__ = ["Task"]

# A value of a FITS header card holds 68 characters, and TTYPE is such a value.
_LONGEST_COLUMN = 68


@dataclass(frozen=True)
class Task:
    """What a network predicts.

    Parameters
    ----------
    name : str
        Name of the kind of task.
    targets : tuple of Target
        At least one; every object may lack the labels of some of them.
    headline : str
        The score quoted first, as ``"target.score"``.
    """

    name: str
    targets: tuple[Target, ...]
    headline: str

    def __post_init__(self) -> None:
        if not self.targets:
            raise ConfigError(f"The task '{self.name}' has no target.")
        names = [t.prefix.lower() for t in self.targets]
        columns = [c.name.lower() for c in self.columns()]
        for kind, found in (("target", names), ("column", columns)):
            twice = sorted({n for n in found if found.count(n) > 1})
            if twice:
                raise ConfigError(
                    f"The task '{self.name}' has the same {kind} twice (case is ignored in FITS).",
                    received=twice,
                    hint="rename a target or a class",
                )
        long = [c.name for c in self.columns() if len(c.name) > _LONGEST_COLUMN]
        if long:
            raise ConfigError(
                f"The name of a predicted column has more than {_LONGEST_COLUMN} characters.",
                received=long,
                hint="give the target or the class a shorter name",
            )
        if self.headline.partition(".")[0] not in self.names:
            raise ConfigError(
                f"The headline of task '{self.name}' names no target.",
                received=self.headline,
                allowed=[f"{name}.<score>" for name in self.names],
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the targets."""
        return tuple(target.name for target in self.targets)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Columns of the catalogue that hold labels, each once."""
        return tuple(dict.fromkeys(c for target in self.targets for c in target.label_columns))

    @property
    def sensitive_to(self) -> frozenset[str]:
        """What augmentation must leave alone: ``{"handedness"}`` or nothing."""
        symmetric = all(target.symmetric for target in self.targets)
        return frozenset() if symmetric else frozenset({"handedness"})

    def target(self, name: str) -> Target:
        """One target by name.

        Raises
        ------
        ConfigError
            If there is none of that name.
        """
        for target in self.targets:
            if target.name == name:
                return target
        raise ConfigError(
            f"The task '{self.name}' has no target '{name}'.",
            allowed=self.names,
            hint=plugins.nearest(name, self.names),
        )

    def encode(
        self, columns: Mapping[str, Any]
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
        """Encode the labels of a catalogue for all targets.

        Parameters
        ----------
        columns : mapping or astropy Table
            Label columns by name, each of shape (n,), or a pair (values, missing).

        Returns
        -------
        encoded : dict of str to ndarray of shape (n, k)
            By name of the target.
        weights : dict of str to ndarray of shape (n,)
            1 where there is a label and 0 where there is none.

        Raises
        ------
        CatalogError
            If a label column is absent, or holds a value that is neither a label nor mapped.
        """
        encoded, weights = {}, {}
        present = tuple(getattr(columns, "colnames", columns))
        for target in self.targets:
            for column in target.label_columns:
                if column not in present:
                    raise CatalogError(
                        f"The label column '{column}' of target '{target.name}' "
                        "is not in the catalogue.",
                        allowed=present,
                        hint=plugins.nearest(column, present),
                    )
            parts = [(name, *_pair(columns[name])) for name in target.label_columns]
            values, missing = parts[0][1:] if len(parts) == 1 else _side_by_side(parts)
            encoded[target.name], weights[target.name] = target.encode(values, missing)
        return encoded, weights

    def tally(
        self,
        encoded: Mapping[str, NDArray[np.floating]],
        weights: Mapping[str, NDArray[np.floating]],
    ) -> dict[str, dict[str, int]]:
        """How many labelled objects there are of each kind, by target."""
        return {t.name: t.family.tally(encoded[t.name], weights[t.name]) for t in self.targets}

    def columns(self) -> tuple[Column, ...]:
        """All predicted columns of a table, in order.

        A question that depends on another one has, last, its ``relevance``.
        """
        out = []
        for t in self.targets:
            out += [
                dataclasses.replace(column, name=f"{t.prefix}_{column.name}")
                for column in t.family.columns()
            ]
            if ancestors(self.targets, t):
                said = f"Expected fraction of people who come to this question ({t.depends_on})"
                name = f"{t.prefix}_relevance"
                out.append(Column(name, "f4", "", "stat.probability", said))
        return tuple(out)

    def summarize(self, samples: Mapping[str, NDArray[np.floating]]) -> dict[str, NDArray[Any]]:
        """Predicted columns by name from activated samples by target, in the order of `columns`."""
        out: dict[str, NDArray[Any]] = {}
        for t in self.targets:
            for suffix, values in t.family.summarize(samples[t.name]).items():
                out[f"{t.prefix}_{suffix}"] = values
            if above := ancestors(self.targets, t):
                out[f"{t.prefix}_relevance"] = relevance(above, samples)
        return out


def _pair(values: Any) -> tuple[Any, Any]:
    return values if isinstance(values, tuple) else (values, None)


def _side_by_side(
    parts: list[tuple[str, Any, Any]],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Columns of numbers as one array of shape (n, k), and where there is none."""
    found = []
    for name, values, missing in parts:
        try:
            found.append(as_numbers(values, missing))
        except CatalogError as error:
            raise CatalogError(
                f"Column '{name}': {error.what}",
                received=error.received,
                allowed=error.allowed,
                hint=error.hint,
            ) from error
    numbers, none = zip(*found, strict=True)
    return np.stack(numbers, axis=1), np.stack(none, axis=1)
