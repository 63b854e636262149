"""Sets of classes that hold the true one as often as they say, whatever the model.

If the objects to come are exchangeable with those of the calibration, coverage is at least the
level asked for, on average over calibrations, with no other assumption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration._conformal import check_levels, digest, percent, quantile
from astrocnn.calibration.base import Batch, labelled, mean_over_draws
from astrocnn.column import Column
from astrocnn.errors import PredictionError
from astrocnn.targets import ClassFamily

__all__ = ["ConformalSets", "examples"]


@dataclass(frozen=True)
class ConformalSets:
    """Sets of classes that hold the true one with a given probability.

    The score of a class is one less its probability (LAC); a set holds every class whose score is
    at most the cutoff of that class, and always the most probable one, so that no set is empty.

    Parameters
    ----------
    target : str
        Name of a target over classes.
    prefix : str
        Of its columns.
    classes : tuple of str
        Names of the classes.
    levels : tuple of float
        Coverage of each set, as 0.9.
    cutoffs : tuple of tuple of float
        By level and class: largest score of a class in the set.

    References
    ----------
    Sadinle, Lei and Wasserman (2019), JASA 114, 223 (least ambiguous sets, for all objects
    together and by class); Vovk et al. (2005), Algorithmic Learning in a Random World, chapter 2.
    """

    target: str
    prefix: str
    classes: tuple[str, ...]
    levels: tuple[float, ...]
    cutoffs: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(
        cls,
        target: Any,
        encoded: Any,
        weight: Any,
        samples: Any,
        *,
        levels: Sequence[float] = (0.9,),
        by_class: bool = True,
    ) -> ConformalSets:
        """Choose the cutoffs on labelled objects that were not trained on.

        Objects without a label or a prediction are left out; a fractional label counts as its
        commonest answer.

        Parameters
        ----------
        target : Target
            Over classes.
        encoded, weight : array_like of shape (n, k) and (n,)
            Labels as `Target.encode` gives them.
        samples : array_like of shape (n_draws, n, units)
            Activated samples.
        levels : sequence of float
            Coverage of each set.
        by_class : bool
            Whether coverage is to hold within each true class, or for all objects together.

        Raises
        ------
        PredictionError
            If there are too few objects, or too few of a class, for a level.
        """
        family = target.family
        if not isinstance(family, ClassFamily):
            raise PredictionError(
                f"Target '{target.name}' has no classes to make sets of.",
                received=type(family).__name__,
            )
        check_levels(levels)
        rows = labelled(family, encoded, weight, samples)
        p = _probabilities(family, np.asarray(samples)[:, rows])
        label = np.asarray(family.to_truth(np.asarray(encoded)[rows])).argmax(axis=1)
        score = 1.0 - p[np.arange(len(rows)), label]
        classes = tuple(family.classes)
        cutoffs = []
        for level in levels:
            if by_class:
                found = [
                    quantile(score[label == k], level, f"a set of class {name} at {level:g}")
                    for k, name in enumerate(classes)
                ]
            else:
                found = [quantile(score, level, f"sets at {level:g}")] * len(classes)
            cutoffs.append(tuple(found))
        return cls(target.name, target.prefix, classes, tuple(levels), tuple(cutoffs))

    @property
    def fingerprint(self) -> str:
        """Digest of target, levels and cutoffs."""
        return digest(self.to_dict())

    def columns(self) -> tuple[Column, ...]:
        """For each level the names of the classes in the set, joined by '+', and their number."""
        width = len("+".join(self.classes))
        found = []
        for level in self.levels:
            name = f"{self.prefix}_set{percent(level)}"
            text = f"Classes of which one is right with {100 * level:g} % coverage"
            found.append(Column(name, f"U{width}", "", "meta.code.class", text))
            said = f"Number of classes in {name}"
            found.append(Column(f"{name}_size", "i2", "", "meta.number", said))
        return tuple(found)

    def compute(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """The sets of some predicted objects."""
        family = batch.estimator.task.target(self.target).family
        p = _probabilities(family, batch.samples[self.target])
        out: dict[str, NDArray[Any]] = {}
        columns = iter(self.columns())
        for inside in self.members(p):
            text, size = next(columns), next(columns)
            kinds, place = np.unique(inside, axis=0, return_inverse=True)
            names = ["+".join(np.array(self.classes)[kind]) for kind in kinds]
            out[text.name] = np.array(names, text.dtype)[place.reshape(-1)]
            out[size.name] = inside.sum(axis=1).astype(size.dtype)
        return out

    def members(self, probabilities: NDArray[np.floating]) -> list[NDArray[np.bool_]]:
        """Which classes each set holds, an array of shape (n, n_classes) for each level.

        Parameters
        ----------
        probabilities : ndarray of shape (n, n_classes)
            Mean over draws; rows with NaN give sets without any class.
        """
        p = np.asarray(probabilities, np.float64)
        known = np.isfinite(p).all(axis=1)
        known = np.broadcast_to(np.expand_dims(known, 1), p.shape)
        best = np.argmax(np.where(known, p, 0.0), axis=1)
        first = known & (np.expand_dims(best, 1) == np.arange(p.shape[1]))
        return [first | (known & (1.0 - p <= np.array(each))) for each in self.cutoffs]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ConformalSets:
        """What `to_dict` described."""
        return cls(
            values["target"],
            values["prefix"],
            tuple(values["classes"]),
            tuple(values["levels"]),
            tuple(map(tuple, values["cutoffs"])),
        )


def _probabilities(family: ClassFamily, samples: NDArray[Any]) -> NDArray[np.float64]:
    p = mean_over_draws(np.asarray(family.to_probabilities(samples), np.float64))
    return p / p.sum(axis=-1, keepdims=True)


def examples() -> tuple[ConformalSets, ...]:
    """Instances for the contract tests, for a target ``kind`` of stars and galaxies."""
    return (
        ConformalSets("kind", "kind", ("star", "galaxy"), (0.9, 0.99), ((0.7, 0.8), (0.95, 0.99))),
    )
