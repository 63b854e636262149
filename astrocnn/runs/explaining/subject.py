"""The network of a run, ready to be looked into."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.catalog.roles import split_difference
from astrocnn.datasets import Shards
from astrocnn.errors import ModelError
from astrocnn.explain.explained import FEW, Scalars
from astrocnn.imaging import Inputs
from astrocnn.targets import Task

if TYPE_CHECKING:
    from astrocnn.estimators import Estimator, KerasEstimator

__all__ = ["Subject", "innermost", "subject_of"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network with the images, or the scalars alone, it learned from.

    Parameters
    ----------
    network : KerasEstimator
        Its model gives raw outputs by target.
    shards : Shards
        Images and scalars of all rows.
    remarks : tuple of str
        What a reader should know of the choice of the network.
    """

    network: KerasEstimator
    shards: Shards
    remarks: tuple[str, ...] = ()

    @cached_property
    def model(self) -> keras.Model:
        """From normalized images and standardized scalars to raw outputs by target.

        Scalars alone are images one pixel high.
        """
        from astrocnn.explain import as_strip

        return self.network.model_ if self.inputs.bands else as_strip(self.network.model_)

    @property
    def task(self) -> Task:
        """What the network itself predicts, before any calibration."""
        return self.network.task

    @property
    def inputs(self) -> Inputs:
        """What goes in."""
        return self.network.inputs

    @property
    def channels(self) -> tuple[str, ...]:
        """What the last axis of a normalized image counts; of scalars alone their names, if few."""
        bands, scalars = self.inputs.bands, self.inputs.scalars
        if not bands:
            return scalars if len(scalars) <= FEW else ()
        whitened = self.inputs.normalization and self.inputs.normalization.whitening is not None
        first = tuple(f"mixture {b + 1}" for b in range(len(bands))) if whitened else bands
        return (*first, *(f"mask of {b}" for b in bands)) if self.inputs.mask_channel else first

    def arrays(self, rows: Any) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Normalized images and standardized scalars of some rows, as `model` takes them."""
        if (alone := self.alone(rows)) is not None:
            return alone.standardized[:, None, :, None], None
        assert self.inputs.normalization is not None
        images = np.asarray(
            self.inputs.normalization.apply(self.shards.images(np.asarray(rows))), np.float32
        )
        return images, None if (found := self._scalars(rows)) is None else found.standardized

    def alone(self, rows: Any) -> Scalars | None:
        """Scalars of some rows, if the network takes them and no image."""
        return None if self.inputs.bands else self._scalars(rows)

    def _scalars(self, rows: Any) -> Scalars | None:
        names = self.inputs.scalars
        if not names:
            return None
        values = self.shards.scalars(names)[np.asarray(rows)]
        units = [self._unit(name) for name in names]
        return Scalars(names, units, values, self.inputs.standardize(values))

    def _unit(self, name: str) -> str:
        """Of a column, or of a difference of two that have the same."""
        table = self.shards.catalog.table
        known = [term for term in split_difference(name, table.colnames) if term in table.colnames]
        units = {str(table[term].unit or "") for term in known}
        return units.pop() if len(units) == 1 else ""

    def flux(self, normalized: Any) -> NDArray[np.float32]:
        """Images in flux from normalized ones."""
        assert self.inputs.normalization is not None
        found = np.asarray(normalized)[..., : self.inputs.n_bands]
        return np.asarray(self.inputs.normalization.invert(found), np.float32)


def innermost(estimator: Any) -> Any:
    """The estimator inside a calibrated one; of an ensemble the first member."""
    bare = _uncalibrated(estimator)
    return bare.members[0] if hasattr(bare, "members") else bare


def _uncalibrated(estimator: Any) -> Any:
    while hasattr(estimator, "estimator"):
        estimator = estimator.estimator
    return estimator


def subject_of(estimator: Estimator, shards: Shards) -> Subject:
    """The network inside an estimator.

    Parameters
    ----------
    estimator : Estimator
        Of a calibrated one the network inside is taken, of an ensemble the first member.
    shards : Shards
        The cutouts of the run.

    Raises
    ------
    ModelError
        If there is no network.
    """
    from astrocnn.estimators import Ensemble, KerasEstimator

    remarks = []
    bare = _uncalibrated(estimator)
    if isinstance(bare, Ensemble):
        remarks.append(
            f"the first of {len(bare.members)} members is explained: each has filters of its own"
        )
    found = innermost(estimator)
    if not isinstance(found, KerasEstimator):
        raise ModelError(
            "This run has no network to look into.",
            received=found.facts.get("Method", type(found).__name__),
            allowed="a run with model.architecture",
            hint="'astrocnn report' shows what a classical method learned as far as that goes",
        )
    return Subject(found, shards, tuple(remarks))
