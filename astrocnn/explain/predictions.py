"""Predictions and labels of a run, and the objects chosen from them.

Objects are selected by identifier, by uncertainty or by predicted class.  Labels are not used, so
the selection is independent of the score on the test split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards, read_labels
from astrocnn.errors import CatalogError
from astrocnn.estimators import Estimator
from astrocnn.explain.target import ExplainTarget
from astrocnn.plugins import nearest
from astrocnn.targets import DiscreteFamily, Target, Task

__all__ = [
    "RunPredictions",
    "TargetPredictions",
    "select_by_id",
    "select_most_uncertain",
    "select_per_class",
]

_FIFTHS = 5
"""Parts of a quantity's predicted range that count as classes."""

Rows = NDArray[np.int64]
Samples = Mapping[str, NDArray[np.float32]]


class TargetPredictions:
    """Predictions of one target for some rows, from samples of shape (n_draws, n, units)."""

    def __init__(self, task: Task, name: str, samples: Mapping[str, Any]) -> None:
        target = task.target(name)
        family: Any = target.family
        table = task.summarize(samples)
        prefix = target.prefix
        self.classes: tuple[str, ...] = getattr(family, "classes", ())
        if isinstance(family, DiscreteFamily):
            probabilities = family.to_probabilities(samples[name]).mean(axis=0)
            self.best = np.argmax(probabilities, axis=1)
            self.confidence = np.take_along_axis(probabilities, self.best[:, None], axis=1)[:, 0]
            self.uncertainty = np.asarray(table[f"{prefix}_entropy"], float)
            self.measure = "entropy [nat]"
        else:
            self.value = np.asarray(table[f"{prefix}_mean"], float)
            self.uncertainty = np.asarray(table[f"{prefix}_std"], float)
            self.measure = "standard deviation"

    def explain_target(self, target: Target) -> ExplainTarget:
        """The explained output by default: the logit of the predicted class, or the mean."""
        if self.classes:
            return ExplainTarget(target, classes=[self.classes[k] for k in self.best])
        return ExplainTarget(target)

    @property
    def texts(self) -> list[str]:
        """The prediction of each object in words."""
        if self.classes:
            pairs = zip(self.best, self.confidence, strict=True)
            return [f"{self.classes[k]}, p = {p:.2f}" for k, p in pairs]
        values = zip(self.value, self.uncertainty, strict=True)
        return [f"{value:.3g} +- {std:.2g}" for value, std in values]


@dataclass(frozen=True, eq=False)
class RunPredictions:
    """Predictions and labels of any rows of a run."""

    estimator: Estimator
    """Of the run, calibrated if the run is."""
    shards: Shards
    sample: Callable[[Rows], Samples]
    """From rows to samples by target, as the run predicts."""
    kept: tuple[Rows, Samples] | None = None
    """Sorted rows and their samples that need not be computed again, of this very estimator."""
    columns: Sequence[str] = ()
    """Of the catalogue; the first one that exists colors an embedding as well."""

    def of_target(self, name: str, rows: Any) -> TargetPredictions:
        """Predictions of a target for some rows."""
        return TargetPredictions(self.estimator.task, name, self.samples(np.asarray(rows)))

    def samples(self, rows: Rows) -> Samples:
        """Activated parameters of some rows."""
        if self.kept is not None:
            # The kept rows are sorted, so that rows in any order are found by bisection.
            kept_rows, values = self.kept
            place = np.searchsorted(kept_rows, rows)
            if len(kept_rows) and np.array_equal(
                kept_rows[np.minimum(place, len(kept_rows) - 1)], rows
            ):
                return {name: v[:, place] for name, v in values.items()}
        return self.sample(rows)

    def labels(self, name: str, rows: Any) -> list[str]:
        """The label of each row in words, empty where there is none."""
        values = self._read_labels(name, rows)
        if values.dtype.kind == "U":
            return [str(value) for value in values]
        return ["" if np.isnan(value) else f"{value:.3g}" for value in values]

    def colors(self, name: str, rows: Any) -> dict[str, Any]:
        """Values by which objects may be colored: label, prediction, uncertainty, a column."""
        predictions = self.of_target(name, rows)
        colors: dict[str, Any] = {f"label of {name}": self._read_labels(name, rows)}
        if not predictions.classes:
            colors[f"predicted {name}"] = predictions.value
        colors[f"{predictions.measure} of {name}"] = predictions.uncertainty
        for column in self.columns:
            if column in self.shards.catalog.table.colnames:
                values, missing = self.shards.column(column)
                colors[column] = np.where(missing, np.nan, values)[np.asarray(rows)]
                break
        return colors

    def _read_labels(self, name: str, rows: Any) -> NDArray[Any]:
        """Labels, of classes as text; empty or NaN where there is none."""
        encoded, weights = read_labels(self.shards, self.estimator.task, np.asarray(rows))
        labelled = weights[name] > 0
        family: Any = self.estimator.task.target(name).family
        if isinstance(family, DiscreteFamily):
            best = np.argmax(family.to_truth(encoded[name]), axis=1)
            pairs = zip(best, labelled, strict=True)
            return np.array([family.classes[k] if known else "" for k, known in pairs])
        return np.where(labelled, family.to_values(encoded[name]), np.nan)


def select_by_id(catalog: Catalog, ids: Sequence[str]) -> Rows:
    """Rows of objects by identifier, in the order given, each once.

    Raises
    ------
    CatalogError
        If one is not in the catalogue; the message holds the nearest that is.
    """
    rows = []
    for text in ids:
        identifier: Any = text
        if catalog.ids.dtype.kind == "i":
            try:
                identifier = int(text)
            except ValueError:
                raise CatalogError(
                    "The identifiers of this catalogue are integers.", received=text
                ) from None
        matches = np.flatnonzero(catalog.ids == identifier)
        if not len(matches):
            first = ", ".join(str(i) for i in catalog.ids[:3])
            raise CatalogError(
                "This object is not in the catalogue.",
                received=text,
                allowed=f"{len(catalog.ids)} identifiers such as {first}",
                hint=_format_nearest(identifier, catalog.ids),
            )
        rows.append(int(matches[0]))
    return np.array(list(dict.fromkeys(rows)), np.int64)


def select_most_uncertain(predictions: TargetPredictions, count: int) -> NDArray[np.intp]:
    """Indices of the objects with the most uncertain predictions, the most uncertain first."""
    order = np.argsort(-np.nan_to_num(predictions.uncertainty, nan=-np.inf), kind="stable")
    return order[:count]


def select_per_class(predictions: TargetPredictions, count: int) -> NDArray[np.intp]:
    """Indices of `count` objects of each predicted class, evenly spaced in confidence.

    For a quantity, `count` objects of each fifth ordered by the predicted value.
    """
    if not predictions.classes:
        order = np.argsort(predictions.value, kind="stable")
        return order[_select_evenly(len(order), _FIFTHS * count)]
    parts = []
    for k in range(len(predictions.classes)):
        members = np.flatnonzero(predictions.best == k)
        members = members[np.argsort(-predictions.confidence[members], kind="stable")]
        parts.append(members[_select_evenly(len(members), count)])
    return np.concatenate(parts)


def _select_evenly(n: int, count: int) -> NDArray[np.intp]:
    count = min(n, count)
    return ((np.arange(count) + 0.5) * n / max(count, 1)).astype(np.intp)


def _format_nearest(name: Any, ids: NDArray[Any]) -> str | None:
    if isinstance(name, str):
        return nearest(name, ids.tolist())
    # As Python integers: differences of 64-bit ones may overflow.
    near = min(ids.tolist(), key=lambda one: abs(one - name))
    return f"the nearest number is {near}"
