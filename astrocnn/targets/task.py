"""What is predicted: a task is a tuple of targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from astrocnn import plugins
from astrocnn.column import Column
from astrocnn.display import Displayed
from astrocnn.errors import CatalogError, ConfigError
from astrocnn.targets.families import DiscreteFamily
from astrocnn.targets.labels import as_numbers
from astrocnn.targets.target import Target

__all__ = ["Task", "validate_tree"]

Labels: TypeAlias = "ArrayLike | tuple[ArrayLike, ArrayLike | None]"

# A value of a FITS header card holds 68 characters, and TTYPE is such a value.
_LONGEST_COLUMN = 68


@dataclass(frozen=True, repr=False)
class Task(Displayed):
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

    def _facts(self) -> dict[str, object]:
        targets = [f"{t.name} ({type(t.family).__name__.lower()})" for t in self.targets]
        return {"name": self.name, "targets": targets, "headline score": self.headline}

    def __post_init__(self) -> None:
        if not self.targets:
            raise ConfigError(f"The task '{self.name}' has no target.")
        names = [t.prefix.lower() for t in self.targets]
        columns = [c.name.lower() for c in self.columns()]
        for kind, items in (("target", names), ("column", columns)):
            repeated = sorted({n for n in items if items.count(n) > 1})
            if repeated:
                raise ConfigError(
                    f"The task '{self.name}' has the same {kind} twice (case is ignored in FITS).",
                    received=repeated,
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
        self, columns: Mapping[str, Labels] | Table
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
            parts = [columns[name] for name in target.label_columns]
            pairs = [part if isinstance(part, tuple) else (part, None) for part in parts]
            labels = pairs[0] if len(pairs) == 1 else _stack(target.label_columns, pairs)
            encoded[target.name], weights[target.name] = target.encode(*labels)
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
            if _ancestors(self.targets, t):
                text = f"Expected fraction of people who come to this question ({t.depends_on})"
                name = f"{t.prefix}_relevance"
                out.append(Column(name, "f4", "", "stat.probability", text))
        return tuple(out)

    def summarize(
        self, samples: Mapping[str, NDArray[np.floating]]
    ) -> dict[str, NDArray[np.generic]]:
        """Predicted columns by name from activated samples by target, in the order of `columns`."""
        out: dict[str, NDArray[np.generic]] = {}
        for t in self.targets:
            for suffix, values in t.family.summarize(samples[t.name]).items():
                out[f"{t.prefix}_{suffix}"] = values
            if above := _ancestors(self.targets, t):
                out[f"{t.prefix}_relevance"] = _relevance(above, samples)
        return out


def validate_tree(targets: Sequence[Target]) -> None:
    """Raise `ConfigError` for dependences on answers that do not exist, or in a circle."""
    by_name = {target.name: target for target in targets}
    for target in targets:
        if target.depends_on is None:
            continue
        name, _, answer = target.depends_on.partition(".")
        if name not in by_name:
            raise ConfigError(
                f"Question '{target.name}' depends on '{name}', which is not a question.",
                allowed=by_name,
                hint=plugins.nearest(name, by_name),
            )
        family = by_name[name].family
        answers = family.classes if isinstance(family, DiscreteFamily) else ()
        if answer not in answers:
            raise ConfigError(
                f"Question '{target.name}' depends on an answer '{answer}' that '{name}' "
                "does not have.",
                allowed=answers,
                hint=plugins.nearest(answer, answers),
            )
    for target in targets:
        path = [target.name]
        while (parent := by_name[path[-1]].depends_on) is not None:
            path.append(parent.partition(".")[0])
            if path[-1] in path[:-1]:
                raise ConfigError(
                    "Questions depend on each other in a circle.", received=" -> ".join(path)
                )


def _ancestors(targets: Sequence[Target], target: Target) -> list[tuple[str, DiscreteFamily, int]]:
    """The questions up the tree: name, family, and position of the answer that leads down.

    Empty where the question depends on none, or on one that is not among the targets.
    """
    by_name = {other.name: other for other in targets}
    path: list[tuple[str, DiscreteFamily, int]] = []
    while target.depends_on is not None:
        name, _, answer = target.depends_on.partition(".")
        if name not in by_name or len(path) == len(by_name):
            return []
        target = by_name[name]
        assert isinstance(target.family, DiscreteFamily)
        path.append((name, target.family, target.family.classes.index(answer)))
    return path


def _relevance(
    above: Sequence[tuple[str, DiscreteFamily, int]], samples: Mapping[str, NDArray[np.floating]]
) -> NDArray[np.float32]:
    """Expected fraction of people who come to be asked a question, of shape (n,).

    The product of the fractions of the answers that lead to it, within each draw, then the mean
    over draws; NaN where one of those questions has no prediction.
    """
    n_draws, n = samples[above[0][0]].shape[:2]
    total = np.zeros(n)
    # One draw in memory at a time, as in all summaries.
    for draw in range(n_draws):
        product = np.ones(n)
        for name, family, answer in above:
            product *= family.to_probabilities(samples[name][draw : draw + 1])[0, :, answer]
        total += product
    return (total / n_draws).astype(np.float32)


def _stack(
    names: Sequence[str], pairs: Sequence[tuple[ArrayLike, ArrayLike | None]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Columns of numbers as one array of shape (n, k), and where they are missing."""
    parsed = []
    for name, (values, missing) in zip(names, pairs, strict=True):
        try:
            parsed.append(as_numbers(values, missing))
        except CatalogError as error:
            error.what = f"Column '{name}': {error.what}"
            raise
    numbers, none = zip(*parsed, strict=True)
    return np.stack(numbers, axis=1), np.stack(none, axis=1)
