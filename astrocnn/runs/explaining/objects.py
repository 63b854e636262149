"""Which objects are explained: named, the most uncertain, or some of each predicted class.

No label is looked at, so that nothing is learned about the score of the test split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.catalog import Catalog
from astrocnn.errors import CatalogError
from astrocnn.plugins import nearest
from astrocnn.targets import ClassFamily, Task

__all__ = ["Predicted", "named", "some_of_each", "uncertain"]

_FIFTHS = 5
"""Parts of a quantity's predicted range that count as classes."""

Rows = NDArray[np.int64]


class Predicted:
    """What the run predicts of some rows, about one target.

    Parameters
    ----------
    task : Task
        That of the estimator, calibrated if the run is.
    target : str
        Name of one of its targets.
    samples : mapping of str to ndarray of shape (n_draws, n, units)
        Activated parameters by target.
    """

    def __init__(self, task: Task, target: str, samples: Mapping[str, Any]) -> None:
        own = task.target(target)
        family: Any = own.family
        table = task.summarize(samples)
        name = own.prefix
        self.classes: tuple[str, ...] = getattr(family, "classes", ())
        if isinstance(family, ClassFamily):
            self.probabilities = family.to_probabilities(samples[target]).mean(axis=0)
            self.best = np.argmax(self.probabilities, axis=1)
            self.sure = np.take_along_axis(self.probabilities, self.best[:, None], axis=1)[:, 0]
            self.uncertainty = np.asarray(table[f"{name}_entropy"], float)
            self.measure = "entropy [nat]"
        else:
            self.value = np.asarray(table[f"{name}_mean"], float)
            self.uncertainty = np.asarray(table[f"{name}_std"], float)
            self.measure = "standard deviation"

    @property
    def wanted(self) -> list[str | None]:
        """Class to explain for each object; None for the mean of a quantity."""
        if self.classes:
            return [self.classes[k] for k in self.best]
        return [None] * len(self.value)

    @property
    def said(self) -> list[str]:
        """The prediction in words."""
        if self.classes:
            pairs = zip(self.wanted, self.sure, strict=True)
            return [f"{name}, p = {p:.2f}" for name, p in pairs]
        pairs_ = zip(self.value, self.uncertainty, strict=True)
        return [f"{v:.3g} +- {s:.2g}" for v, s in pairs_]


def named(catalog: Catalog, names: Sequence[str]) -> Rows:
    """Rows of objects by identifier, in the order given, each once.

    Raises
    ------
    CatalogError
        If one is not in the catalogue; the message holds the nearest that is.
    """
    ids = catalog.ids
    whole = ids.dtype.kind == "i"
    rows = []
    for name in names:
        known: Any = name
        if whole:
            try:
                known = int(name)
            except ValueError:
                raise CatalogError(
                    "The identifiers of this catalogue are whole numbers.", received=name
                ) from None
        found = np.flatnonzero(ids == known)
        if not len(found):
            raise CatalogError(
                "This object is not in the catalogue.",
                received=name,
                allowed=f"{len(ids)} identifiers such as {', '.join(str(i) for i in ids[:3])}",
                hint=_nearest(known, ids),
            )
        rows.append(int(found[0]))
    return np.array(list(dict.fromkeys(rows)), np.int64)


def uncertain(found: Predicted, count: int) -> NDArray[np.intp]:
    """Places of the objects of which the prediction is least certain, the least certain first."""
    order = np.argsort(-np.nan_to_num(found.uncertainty, nan=-np.inf), kind="stable")
    return order[:count]


def some_of_each(found: Predicted, count: int) -> NDArray[np.intp]:
    """Places of `count` objects of each predicted class, evenly from its surest to its least sure.

    Of a quantity `count` in each fifth of the objects ordered by the predicted value.
    """
    if not found.classes:
        order = np.argsort(found.value, kind="stable")
        return order[_evenly(len(order), _FIFTHS * count)]
    parts = []
    for k in range(len(found.classes)):
        mine = np.flatnonzero(found.best == k)
        mine = mine[np.argsort(-found.sure[mine], kind="stable")]
        parts.append(mine[_evenly(len(mine), count)])
    return np.concatenate(parts)


def _evenly(n: int, count: int) -> NDArray[np.intp]:
    count = min(n, count)
    return ((np.arange(count) + 0.5) * n / max(count, 1)).astype(np.intp)


def _nearest(name: Any, ids: NDArray[Any]) -> str | None:
    if isinstance(name, str):
        return nearest(name, ids.tolist())
    # As Python integers: differences of 64-bit ones may overflow.
    near = min(ids.tolist(), key=lambda one: abs(one - name))
    return f"the nearest number is {near}"
