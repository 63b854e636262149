"""The network of a run, ready to be looked into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.datasets import Shards
from astrocnn.errors import ModelError
from astrocnn.imaging import Inputs
from astrocnn.tasks import Task

if TYPE_CHECKING:
    import keras

    from astrocnn.estimators import Estimator, KerasEstimator

__all__ = ["Subject", "innermost", "subject_of"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network with the images it learned from.

    Parameters
    ----------
    network : KerasEstimator
        Its model gives raw outputs by target.
    shards : Shards
        Images of all rows.
    remarks : tuple of str
        What a reader should know of the choice of the network.
    """

    network: KerasEstimator
    shards: Shards
    remarks: tuple[str, ...] = ()

    @property
    def model(self) -> keras.Model:
        """From normalized images and standardized scalars to raw outputs by target."""
        return self.network.model_

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
        """What the last axis of a normalized image counts."""
        bands = self.inputs.bands
        whitened = self.inputs.normalization and self.inputs.normalization.whitening is not None
        first = tuple(f"mixture {b + 1}" for b in range(len(bands))) if whitened else bands
        return (*first, *(f"mask of {b}" for b in bands)) if self.inputs.mask_channel else first

    def arrays(self, rows: Any) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Normalized images and standardized scalars of some rows, as the network takes them."""
        assert self.inputs.normalization is not None
        images = np.asarray(
            self.inputs.normalization.apply(self.shards.images(np.asarray(rows))), np.float32
        )
        return images, self.scalars(rows)

    def scalars(self, rows: Any) -> NDArray[np.float32] | None:
        """Standardized scalars of some rows; None where the network takes none."""
        if not self.inputs.scalars:
            return None
        return self.inputs.standardize(self.shards.scalars(self.inputs.scalars)[np.asarray(rows)])

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
        If there is no network, or it looks at no image.
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
    if not found.inputs.bands:
        raise ModelError(
            "This network looks at no image, so that there are no pixels to explain.",
            received=f"scalars: {', '.join(found.inputs.scalars)}",
            allowed="a run with bands",
        )
    return Subject(found, shards, tuple(remarks))
