"""Inputs of the inspection methods: a network and the objects by which it is inspected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import InputsError, ModelError
from astrocnn.explain.explained_network import ExplainedNetwork
from astrocnn.explain.hdus import Card, band_cards
from astrocnn.explain.methods import InspectionMethod
from astrocnn.explain.predictions import RunPredictions

__all__ = ["Inspection"]


@dataclass(frozen=True, eq=False)
class Inspection:
    """A network, and the objects by which it is inspected.

    Parameters
    ----------
    network : ExplainedNetwork
        The network.
    predictions : RunPredictions
        Predictions and labels.
    target : str
        The first target that is explained.
    rows : ndarray of int
        Rows of the test split.
    example : int
        Row of the object whose feature maps are shown.
    seed : int
        Seed of the random numbers.
    """

    network: ExplainedNetwork
    predictions: RunPredictions
    target: str
    rows: NDArray[np.int64]
    example: int
    seed: int = 0

    def run(self, name: str, method: InspectionMethod, skipped: dict[str, str]) -> Sequence[Any]:
        """Run a method; without extensions, and with the reason in `skipped`, where it fails."""
        # A method that fails must not discard the results of the others.
        if not len(self.rows) and method.needs_objects:
            skipped[name] = "The test split has no labelled object."
            return ()
        try:
            return method(self)
        except (ModelError, InputsError) as error:
            skipped[name] = error.what
            return ()

    @property
    def model(self) -> keras.Model:
        """The network itself."""
        return self.network.model

    @property
    def n_bands(self) -> int:
        """Channels of the image that are bands, which come first."""
        return self.network.inputs.n_bands

    def images(self, rows: Any) -> NDArray[np.float32]:
        """Images of some rows, in flux."""
        return self.network.shards.images(rows)

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
