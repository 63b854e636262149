"""The network of a run, with the arrays it takes and the objects by which it is inspected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.catalog.roles import split_difference
from astrocnn.datasets import Shards
from astrocnn.errors import InputsError, ModelError
from astrocnn.estimators import Ensemble, Estimator, KerasEstimator
from astrocnn.explain.attribution import MAX_NAMED_SCALARS, Scalars
from astrocnn.explain.hdus import Card, band_cards
from astrocnn.explain.methods import InspectionMethod
from astrocnn.explain.network import as_strip
from astrocnn.explain.predictions import RunPredictions
from astrocnn.imaging import Inputs
from astrocnn.targets import Task

__all__ = ["ExplainedNetwork", "Inspection", "innermost"]


@dataclass(frozen=True, eq=False)
class ExplainedNetwork:
    """A trained network with the images, or the scalars alone, that it was trained on."""

    estimator: KerasEstimator
    shards: Shards
    """Images and scalars of all rows."""
    remarks: tuple[str, ...] = ()
    """Notes on the choice of the network."""

    @classmethod
    def find(cls, estimator: Estimator, shards: Shards) -> ExplainedNetwork:
        """The network inside an estimator: of an ensemble its first member.

        Raises
        ------
        ModelError
            If there is no network.
        """
        remarks: tuple[str, ...] = ()
        bare = _uncalibrated(estimator)
        if isinstance(bare, Ensemble):
            count = len(bare.members)
            remarks = (f"the first of {count} members is explained: each has its own filters",)
        network = innermost(estimator)
        if not isinstance(network, KerasEstimator):
            raise ModelError(
                "This run has no network to explain.",
                received=network.facts.get("Method", type(network).__name__),
                allowed="a run with model.architecture",
                hint="'astrocnn report' shows feature importances of classical methods",
            )
        return cls(network, shards, remarks)

    @cached_property
    def model(self) -> keras.Model:
        """From normalized images and standardized scalars to raw outputs by target.

        Scalars alone are images one pixel high.
        """
        model = self.estimator.model_
        return model if self.inputs.bands else as_strip(model)

    @property
    def task(self) -> Task:
        """Task of the network, before any calibration."""
        return self.estimator.task

    @property
    def inputs(self) -> Inputs:
        """Images and scalars that the network takes."""
        return self.estimator.inputs

    @property
    def channels(self) -> tuple[str, ...]:
        """Names along the last axis of a normalized image; of scalars alone theirs, if few."""
        bands, scalars = self.inputs.bands, self.inputs.scalars
        if not bands:
            return scalars if len(scalars) <= MAX_NAMED_SCALARS else ()
        normalization = self.inputs.normalization
        whitened = normalization is not None and normalization.whitening is not None
        first = tuple(f"mixture {b + 1}" for b in range(len(bands))) if whitened else bands
        return (*first, *(f"mask of {b}" for b in bands)) if self.inputs.mask_channel else first

    def arrays(self, rows: Any) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Normalized images and standardized scalars of some rows, as `model` takes them."""
        scalars = self._scalars(rows)
        if not self.inputs.bands:
            assert scalars is not None
            return scalars.standardized[:, None, :, None], None
        assert self.inputs.normalization is not None
        images = self.inputs.normalization.apply(self.shards.images(np.asarray(rows)))
        standardized = None if scalars is None else scalars.standardized
        return np.asarray(images, np.float32), standardized

    def scalars_alone(self, rows: Any) -> Scalars | None:
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
        """Unit of a column, or of a difference of two that have the same."""
        table = self.shards.catalog.table
        terms = [term for term in split_difference(name, table.colnames) if term in table.colnames]
        units = {str(table[term].unit or "") for term in terms}
        return units.pop() if len(units) == 1 else ""

    def to_flux(self, normalized: Any) -> NDArray[np.float32]:
        """Images in flux from normalized ones."""
        assert self.inputs.normalization is not None
        bands = np.asarray(normalized)[..., : self.inputs.n_bands]
        return np.asarray(self.inputs.normalization.invert(bands), np.float32)


@dataclass(frozen=True, eq=False)
class Inspection:
    """A network, and the objects by which it is inspected."""

    network: ExplainedNetwork
    predictions: RunPredictions
    target: str
    """The first target that is explained."""
    rows: NDArray[np.int64]
    """Of the test split."""
    example: int
    """Row of the object whose feature maps are shown."""
    seed: int = 0

    def run_all(
        self,
        methods: Mapping[str, InspectionMethod],
        results: dict[str, Sequence[Any]],
        skipped: dict[str, str],
    ) -> Iterator[str]:
        """Run methods one at a time, and name them; their extensions or the reason for none."""
        for name, method in methods.items():
            # A method that fails must not discard the results of the others.
            try:
                if method.needs_objects and not len(self.rows):
                    raise InputsError("The test split has no labelled object.")
                if hdus := method(self):
                    results[name] = hdus
            except (ModelError, InputsError) as error:
                skipped[name] = error.what
            yield name

    @property
    def model(self) -> keras.Model:
        """The network itself."""
        return self.network.model

    @property
    def example_card(self) -> Card:
        """The identifier of the example."""
        return ("OBJID", str(self.network.shards.ids[self.example]), "identifier of the object")

    @property
    def flux_cards(self) -> list[Card]:
        """Unit and bands of images in flux."""
        unit = self.network.shards.unit
        cards: list[Card] = [("BUNIT", unit, "unit of the pixels")] if unit else []
        return [*cards, *band_cards(self.network.shards.bands)]


def innermost(estimator: Any) -> Any:
    """The estimator inside a calibrated one; of an ensemble the first member."""
    bare = _uncalibrated(estimator)
    return bare.members[0] if hasattr(bare, "members") else bare


def _uncalibrated(estimator: Any) -> Any:
    while hasattr(estimator, "estimator"):
        estimator = estimator.estimator
    return estimator
