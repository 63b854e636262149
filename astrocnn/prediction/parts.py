"""Parts of a prediction on disk: written whole or not at all, and merged into one table."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from astrocnn.column import fits_name
from astrocnn.errors import PredictionError
from astrocnn.prediction.layout import ROW, Layout
from astrocnn.prediction.pdf.plane import ERROR
from astrocnn.prediction.plan import Plan
from astrocnn.prediction.rows import Predicted
from astrocnn.prediction.table import TableWriter

if TYPE_CHECKING:
    from astrocnn.catalog import Catalog

__all__ = ["exists", "fingerprint_of", "merge", "remove", "write"]

ROWS = 65536


def fingerprint_of(path: Path) -> str | None:
    """Fingerprint of the prediction that a file belongs to; None if it is none of ours."""
    try:
        return fits.getheader(path, 0).get("FPRINT")
    except OSError:
        return None


def write(plan: Plan, folder: Path, part: int, predicted: Predicted, layout: Layout) -> None:
    """Write one part."""
    rows = plan.rows(part)
    columns = [ROW, *layout.predicted]
    cards = [("FPRINT", plan.fingerprint[:64], "fingerprint of the prediction")]
    images = [plane.image(predicted.errors[plane.name]) for plane in layout.planes]
    with TableWriter(plan.path(folder, part), columns, len(rows), cards, images=images) as writer:
        values = {"ROW": rows, **predicted.columns, **predicted.densities}
        writer.put(np.arange(len(rows)), values)


def exists(plan: Plan, folder: Path, part: int) -> bool:
    """Whether a part is there, whole.

    Raises
    ------
    PredictionError
        If it belongs to another prediction.
    """
    path = plan.path(folder, part)
    if not path.is_file() or not _is_whole(path):
        return False
    if fingerprint_of(path) != plan.fingerprint:
        raise PredictionError(
            f"{folder} holds parts of another prediction (model, catalogue, images or draws).",
            received=path.name,
            hint="write to another --out, or remove that folder to start afresh",
        )
    return True


def merge(
    plan: Plan,
    folder: Path,
    out: Path,
    catalog: Catalog,
    layout: Layout,
    cards: Sequence[tuple[str, Any, str]],
) -> None:
    """Write the table from all parts, in the order of the catalogue."""
    own = catalog.role_columns()
    images = [plane.image() for plane in layout.planes]
    tables = {name: grid for plane in layout.planes for name, grid in plane.grid().items()}
    names = [column.name for column in layout.predicted]
    errors = {plane.name: 0.0 for plane in layout.planes}
    with TableWriter(
        out, [*layout.own, *layout.predicted], len(catalog), cards, images=images, tables=tables
    ) as writer:
        for start in range(0, len(catalog), ROWS):
            rows = np.arange(start, min(start + ROWS, len(catalog)))
            writer.put(rows, {fits_name(name): column[rows] for name, column, _ in own})
        for part in range(len(plan)):
            path = plan.path(folder, part)
            if fingerprint_of(path) != plan.fingerprint:
                raise PredictionError(
                    "A part changed while the parts were being merged.",
                    received=str(path),
                    hint="run the same command again",
                )
            # Densities are copied as they are stored, never scaled.
            with fits.open(path, memmap=True, do_not_scale_image_data=True) as hdus:
                records = hdus["PREDICTIONS"].data
                if not np.array_equal(records["ROW"], plan.rows(part)):
                    raise PredictionError(
                        "A part does not hold the rows it should.",
                        received=str(path),
                        hint="remove it and run the same command again",
                    )
                values = {name: np.asarray(records[name]) for name in names}
                for plane in layout.planes:
                    values[plane.name] = np.asarray(hdus[plane.name].data)
                    error = hdus[plane.name].header[ERROR]
                    errors[plane.name] = max(errors[plane.name], error)
                writer.put(np.asarray(records["ROW"], dtype=np.int64), values)
        for name, error in errors.items():
            writer.set_card(name, ERROR, error)


def remove(plan: Plan, folder: Path) -> None:
    """Remove the parts of a finished table, and their folder if nothing else is in it."""
    for part in range(len(plan)):
        plan.path(folder, part).unlink(missing_ok=True)
    # Another worker may have removed it, and what a user keeps there stays.
    with suppress(OSError):
        folder.rmdir()


def _is_whole(path: Path) -> bool:
    """Whether the file has the length its headers promise."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with fits.open(path) as hdus:
                return "PREDICTIONS" in hdus
        except (OSError, AstropyUserWarning):
            return False
