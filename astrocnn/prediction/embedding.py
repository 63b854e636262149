"""Embeddings of whole catalogues: the features of each object, computed as predictions are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration import Extra
from astrocnn.catalog import Catalog
from astrocnn.column import Column
from astrocnn.estimators.base import (
    Estimator,
    average_over_views,
    compute_features,
    validate_draws,
)
from astrocnn.imaging import Cutouts, Source
from astrocnn.prediction.engine import Provenance, compute_table
from astrocnn.prediction.layout import Layout
from astrocnn.prediction.objects import ChunkPrediction, find_usable
from astrocnn.scheduling import Scheduler

__all__ = ["EMBEDDING", "EMBEDDINGS", "embed"]

EMBEDDING = "embedding"
"""Column of the vectors."""

EMBEDDINGS = "EMBEDDINGS"
"""Extension of the table."""

_BLOCK = 256
"""Objects in memory in all orientations at a time."""


def embed(
    estimator: Estimator,
    catalog: Catalog,
    source: Source,
    out: str | Path,
    *,
    layer: str | None = None,
    views: str = "one",
    worker: tuple[int, int] = (1, 1),
    scheduler: Scheduler | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Path | None:
    """Compute a feature vector for every row of a catalogue and write one FITS table.

    The table ``EMBEDDINGS`` has identifier, position, ``flags`` and the vector column
    ``embedding`` (float32, NaN where there is no usable image).

    Parameters
    ----------
    estimator : Estimator
        A trained estimator with features: a network, the first one of an ensemble, or the
        hand-made features of a classical method.
    catalog, source, out, worker, scheduler, provenance
        As for `astrocnn.prediction.predict`: chunks are resumed, memory is bounded by a chunk, and
        the file has the same bytes for any number of workers.
    layer : str, optional
        Name of any layer, whose maps are averaged over their pixels; by default the input of the
        heads.  Dropout is off.
    views : {"one", "d4"}
        "d4" averages the vectors over the eight orientations of each image, so that an object and
        its rotated or reflected image have one embedding.  (Over the four rotations, when a label
        of the task does not survive a reflection.)

    Returns
    -------
    Path or None
        The table, or None while chunks of other workers are missing.

    Raises
    ------
    ModelError
        If the estimator has no features, or there is no such layer; the message lists all.
    InputsError, CatalogError, PredictionError
        As for `astrocnn.prediction.predict`.
    """
    validate_draws(0, views)
    if not estimator.inputs.bands:
        views = "one"  # there is nothing to rotate
    origin = Provenance(
        estimator,
        catalog,
        source,
        {"embedding": True, "layer": layer, "views": views},
        (
            ("LAYER", layer or "", "layer of the features (none: input of the heads)"),
            ("VIEWS", views, "orientations averaged"),
        ),
        provenance or {},
    )

    computation = _Embedding(layer, views)
    return compute_table(out, origin, computation, worker=worker, scheduler=scheduler)


@dataclass(frozen=True)
class _Embedding:
    """What is computed for each chunk."""

    layer: str | None
    views: str

    def build_layout(
        self, estimator: Estimator, catalog: Catalog, extras: Sequence[Extra]
    ) -> Layout:
        """The column of the vectors."""
        where = "the input of the heads" if self.layer is None else f"the layer {self.layer}"
        column = Column(
            EMBEDDING,
            "float32",
            ucd="stat.value",
            description=f"Feature vector of the network, {where}; no unit",
            shape=(_compute_width(estimator, self.layer),),
        )
        return Layout.join(catalog, [("the embedding", (column,))], name=EMBEDDINGS)

    def compute(
        self,
        estimator: Estimator,
        catalog: Catalog,
        cutouts: Cutouts,
        extras: Sequence[Extra],
        layout: Layout,
    ) -> ChunkPrediction:
        """Compute the vectors of some rows."""
        width = layout.predicted[-1].shape[0]
        return _embed_chunk(estimator, catalog, cutouts, width, self.layer, self.views)


def _compute_width(estimator: Estimator, layer: str | None) -> int:
    """Length of the vectors."""
    inputs = estimator.inputs
    image = np.zeros((1, inputs.size, inputs.size, inputs.n_bands), np.float32)
    scalars = np.zeros((1, len(inputs.scalars)), np.float32) if inputs.scalars else None
    return compute_features(estimator, image, scalars, layer).shape[1]


def _embed_chunk(
    estimator: Estimator,
    catalog: Catalog,
    cutouts: Cutouts,
    width: int,
    layer: str | None,
    views: str,
) -> ChunkPrediction:
    flags, usable, scalars = find_usable(estimator, catalog, cutouts)
    vectors = np.full((len(catalog), width), np.nan, np.float32)
    for start in range(0, usable.size, _BLOCK):
        rows = usable[start : start + _BLOCK]
        numbers = None if scalars is None else scalars[rows]

        def measure(
            images: NDArray[Any], numbers: NDArray[Any] | None = numbers
        ) -> dict[str, NDArray[np.float32]]:
            return {EMBEDDING: compute_features(estimator, images, numbers, layer)}

        averaged = average_over_views(measure, cutouts.images[rows], estimator.task, views)
        vectors[rows] = averaged[EMBEDDING]
    return ChunkPrediction({"flags": flags, EMBEDDING: vectors}, {}, {})
