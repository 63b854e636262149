"""The values of a trial, as a pure function of the seed and the number of the trial."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocnn.runs.searching.ranges import Range

if TYPE_CHECKING:
    from astrocnn.runs.config import SearchSection

__all__ = [
    "grid_size",
    "grid_values",
    "known_values",
    "random_values",
    "raw_of",
    "startup_of",
    "uniform",
]


def uniform(seed: int, trial: int, name: str) -> float:
    """A deviate from [0, 1) that belongs to one parameter of one trial.

    It depends on nothing else: not on how many trials there are, in which order or by how many
    processes they are made, nor on what else is varied.

    Parameters
    ----------
    seed : int
        Of the search.
    trial : int
        Number of the trial, from 0.
    name : str
        Dotted path of the parameter.

    Returns
    -------
    float
    """
    word = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    source = np.random.Philox(np.random.SeedSequence(seed, spawn_key=(trial, word)))
    # The raw bits: they are the same in all versions of numpy.
    return int(source.random_raw() >> np.uint64(11)) * 2.0**-53


def random_values(space: Mapping[str, Range], seed: int, trial: int) -> dict[str, Any]:
    """What a trial of a random search sets.

    Parameters
    ----------
    space : mapping of str to Range
        By dotted path.
    seed, trial : int
        Of the search; number of the trial, from 0.

    Returns
    -------
    dict of str to value
    """
    return {name: one.at(uniform(seed, trial, name)) for name, one in space.items()}


def grid_values(space: Mapping[str, Range], trial: int) -> dict[str, Any]:
    """What a point of the grid sets; the last parameter varies fastest."""
    axes = [one.grid() for one in space.values()]
    at = np.unravel_index(trial, [len(axis) for axis in axes])
    return {name: axis[i] for name, axis, i in zip(space, axes, at, strict=True)}


def grid_size(space: Mapping[str, Range]) -> int:
    """Number of points of the grid."""
    return math.prod(len(one.grid()) for one in space.values())


def known_values(search: SearchSection, number: int) -> dict[str, Any] | None:
    """What a trial sets, where that is known beforehand.

    Parameters
    ----------
    search : SearchSection
        How values are chosen.
    number : int
        Of the trial, from 0.

    Returns
    -------
    dict of str to value, or None
        By dotted path; None if it depends on other trials.
    """
    if search.sampler == "grid":
        return grid_values(search.space, number)
    if search.sampler == "tpe" and number >= startup_of(search):
        return None
    return random_values(search.space, search.seed, number)


def startup_of(search: SearchSection) -> int:
    """How many trials are random before their outcomes are learned from."""
    return search.startup or max(1, min(10, search.count // 2))


def raw_of(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A run as nested tables with some values set.

    Parameters
    ----------
    base : mapping
        The run that all trials have in common; left as it is.
    values : mapping of str to value
        By dotted path.  A whole table goes before what is inside it.

    Returns
    -------
    dict
    """
    raw: dict[str, Any] = copy.deepcopy(dict(base))
    for name in sorted(values, key=lambda path: path.count(".")):
        *tables, leaf = name.split(".")
        inside = raw
        for table in tables:
            inside = inside.setdefault(table, {})
        inside[leaf] = copy.deepcopy(values[name])
    return raw
