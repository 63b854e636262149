"""Comparison of an exported network with the trained one on the objects of a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.catalog import Catalog
from astrocnn.errors import ModelError, PredictionError
from astrocnn.estimators import Estimator
from astrocnn.export.exporter import TOLERANCE, compute_changes
from astrocnn.export.formats import ExportedNetwork
from astrocnn.export.network import build_twin
from astrocnn.imaging import Source
from astrocnn.prediction.objects import find_usable
from astrocnn.progress import track

__all__ = ["Difference", "compare_predictions"]

_BLOCK = 64


@dataclass(frozen=True)
class Difference:
    """The largest difference of one quantity.

    Attributes
    ----------
    name : str
        Column of the table of predictions, or target.
    value : float
        Of values above 1 relative to them; 1 where texts differ.
    id : str
        Identifier of the object; of several, the first in the catalogue.
    """

    name: str
    value: float
    id: str


def compare_predictions(
    estimator: Estimator, network: ExportedNetwork, catalog: Catalog, source: Source
) -> tuple[list[Difference], int]:
    """Compare the predictions of an exported network with those of the trained one.

    Both make the draws and orientations of the exported network, in float32, and the trained one
    has the calibration that is part of it.  Objects that cannot be predicted are left out.

    Parameters
    ----------
    estimator : Estimator
        The trained estimator.
    network : ExportedNetwork
        From `export_network` or `open_exported`.
    catalog, source
        The objects, and their images, row for row.

    Returns
    -------
    differences : list of Difference
        Of each column of the table of predictions.  A column may differ by more than the
        network does: a mode jumps where two peaks are equally high, and so does a class.
    n : int
        Objects that were compared.

    Raises
    ------
    ModelError
        If the exported network is of another estimator, or its outputs differ by `TOLERANCE` or
        more.
    PredictionError
        If no object can be predicted.
    InputsError
        If the images are not of the kind that the estimator was trained on.
    """
    config = network.config
    if config.get("fingerprint") != estimator.fingerprint:
        raise ModelError(
            "The exported network is not one of this run.",
            received=f"model SHA-256 {config.get('fingerprint')}",
            allowed=estimator.fingerprint,
            hint="export the run again: astrocnn export DIR",
        )
    estimator.inputs.check(source)
    catalog.refuse_sentinels(estimator.inputs.scalars)
    twin, _ = build_twin(estimator)
    options = {"draws": config["draws"], "seed": config["seed"], "views": config["views"]}
    outputs: dict[str, tuple[float, int]] = {}
    columns: dict[str, tuple[float, int]] = {}
    n = 0
    order = np.asarray(source.order(), np.int64)
    starts = range(0, len(order), _BLOCK)
    for start in track(starts, "comparing", total=len(starts)):
        block = order[start : start + _BLOCK]
        objects, cutouts = catalog[block], source.read(block)
        _, usable, scalars = find_usable(estimator, objects, cutouts)
        if not len(usable):
            continue
        images, numbers = cutouts.images[usable], None if scalars is None else scalars[usable]
        expected = twin.sample(images, numbers, **options)
        got = {
            name: np.reshape(values, expected[name].shape)
            for name, values in network.predict(
                images if estimator.inputs.bands else None, numbers
            ).items()
        }
        rows = block[usable]
        n += len(rows)
        _add(outputs, expected, got, rows, axis=1)
        _add(columns, twin.task.summarize(expected), twin.task.summarize(got), rows, axis=0)
    if not n:
        raise PredictionError(
            "No object of the catalogue can be predicted.", received=f"{len(catalog)} objects"
        )

    def describe(found: Mapping[str, tuple[float, int]]) -> list[Difference]:
        return [Difference(k, value, str(catalog.ids[row])) for k, (value, row) in found.items()]

    worst = max(describe(outputs), key=lambda one: one.value)
    if not worst.value < TOLERANCE:
        raise ModelError(
            "The exported network does not predict what the run does.",
            received=f"'{worst.name}' of object {worst.id} differs by {worst.value:.2g}, the "
            f"largest difference of {n} objects",
            allowed=f"below {TOLERANCE:g}",
            hint="another version of the library that runs it, or another --format",
        )
    return describe(columns), n


def _add(
    found: dict[str, tuple[float, int]],
    expected: Mapping[str, NDArray[Any]],
    got: Mapping[str, NDArray[Any]],
    rows: NDArray[np.int64],
    *,
    axis: int,
) -> None:
    """Keep the largest difference of each quantity and its row, the first of equal ones."""
    for name, ours in expected.items():
        change = compute_changes(ours, got[name])
        change = change.max(axis=tuple(a for a in range(change.ndim) if a != axis))
        worst = np.flatnonzero(change == change.max())
        now = float(change[worst[0]]), int(rows[worst].min())
        before = found.get(name, (-1.0, 0))
        found[name] = max(before, now, key=lambda pair: (pair[0], -pair[1]))
