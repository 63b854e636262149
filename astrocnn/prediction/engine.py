"""Prediction at the scale of a catalogue: bounded memory, resumable, N rows in and N rows out.

Parts of the catalogue are computed one after another and kept as FITS files that exist whole
or not at all; what exists is done.  Any number of workers can share the parts without a lock.
When all parts are there, whoever finishes merges them into one table in the catalogue's order.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from astrocnn.catalog import CatalogWarning
from astrocnn.errors import PredictionError
from astrocnn.estimators.base import VIEWS
from astrocnn.flags import UNUSABLE, Flag
from astrocnn.plugins import nearest
from astrocnn.prediction.plan import Plan, digest, parse_worker
from astrocnn.prediction.table import TableWriter
from astrocnn.prediction.table_column import TableColumn, ascii_text, fits_name
from astrocnn.progress import track

if TYPE_CHECKING:
    from astrocnn.catalog import Catalog
    from astrocnn.estimators import Estimator
    from astrocnn.imaging import Cutouts, Source

__all__ = ["predict", "predict_rows"]

FLAGS = TableColumn("flags", "int32", ucd="meta.code", description="bit mask, see FLAGn cards")
_SAID = {
    "MODELSHA": "digest of the network",
    "CONFSHA": "digest of the run file",
    "CATSHA": "digest of identifiers and positions",
    "IMAGESHA": "digest of samples of the images",
    "SURVEY": "name of the survey",
}
_ROW = TableColumn("ROW", "int64", description="row of the catalogue, from 0")


def predict(
    estimator: Estimator,
    catalog: Catalog,
    source: Source,
    out: str | Path,
    *,
    draws: int = 0,
    seed: int = 0,
    views: str = "one",
    worker: tuple[int, int] = (1, 1),
    provenance: Mapping[str, str] | None = None,
) -> Path | None:
    """Predict every row of a catalogue and write one FITS table.

    Parameters
    ----------
    estimator : Estimator
        A trained estimator.
    catalog : Catalog
        The objects, in the order the table will have.
    source : Source
        Their images, row for row.
    out : path-like
        The table to write. Parts are kept in ``<out>.parts`` until it is complete.
    draws : int
        Stochastic forward passes per object; 0 for one deterministic pass.
    seed : int
        Seed of the draws. The same seed gives the same table on any number of workers.
    views : {"one", "d4"}
        Whether to average over the eight orientations.
    worker : (int, int)
        Worker i of n computes the parts i, i + n, i + 2n ...
    provenance : mapping of str to str, optional
        Digests and names that identify model, run and images; they enter the fingerprint and
        the primary header.

    Returns
    -------
    Path or None
        The table, or None while parts of other workers are missing.

    Raises
    ------
    InputsError
        If the images are not of the kind the estimator was trained on.
    PredictionError
        If an argument makes no sense, images and catalogue have different rows, existing parts
        belong to another prediction, `out` exists and is no table of predictions, or the disk
        is full.
    """
    out = Path(out)
    if len(source) != len(catalog):
        raise PredictionError(
            "The images and the catalogue do not have the same rows.",
            received=f"{len(source)} images",
            allowed=f"{len(catalog)} rows, each once",
        )
    parse_worker(f"{worker[0]}/{worker[1]}")
    if draws < 0 or views not in VIEWS:
        raise PredictionError(
            "There is no such way of predicting.",
            received=f"draws={draws}, views={views!r}",
            allowed=f"0 or more draws, views {' or '.join(map(repr, VIEWS))}",
            hint=nearest(views, VIEWS),
        )
    estimator.inputs.check(source)
    scalars = _scalars(catalog, estimator)
    provenance = {
        "MODELSHA": estimator.fingerprint,
        **(provenance or {}),
        "CATSHA": digest(catalog.ids, *_positions(catalog)),
        "IMAGESHA": source.fingerprint,
    }
    facts = {
        **provenance,
        "weights": estimator.fingerprint,
        "scalars": None if scalars is None else digest(scalars),
        "inputs": estimator.inputs.to_json(),
        "precision": estimator.precision,
        "draws": draws,
        "seed": seed,
        "views": views,
    }
    size, bands = estimator.inputs.size, len(estimator.inputs.bands)
    plan = Plan.make(source.order(), size * size * bands * 4, facts)
    if _finished(out, plan):
        return out
    _refuse_to_replace(out)
    _warn_of_escapes(catalog.ids)
    folder = out.with_name(out.name + ".parts")
    folder.mkdir(parents=True, exist_ok=True)
    mine = range(worker[0] - 1, len(plan), worker[1])
    missing = [p for p in mine if not _part_exists(plan, folder, p)]
    work = _read_ahead(source, plan, missing)
    for part, cutouts in track(work, "predicting", total=len(missing)):
        rows = plan.rows(part)
        columns = predict_rows(
            estimator, catalog[rows], cutouts, draws=draws, seed=seed, views=views
        )
        _write_part(plan, folder, part, rows, columns, estimator)
    if not all(plan.path(folder, part).is_file() for part in range(len(plan))):
        return None
    cards = _cards(estimator, plan, provenance, draws, seed, views)
    _merge(plan, folder, out, catalog, estimator, cards)
    if worker[1] == 1:
        shutil.rmtree(folder)
    return out


def predict_rows(
    estimator: Estimator,
    catalog: Catalog,
    cutouts: Cutouts,
    *,
    draws: int = 0,
    seed: int = 0,
    views: str = "one",
) -> dict[str, np.ndarray]:
    """Predict a few objects in memory.

    Parameters
    ----------
    estimator : Estimator
        A trained estimator.
    catalog : Catalog
        The objects.
    cutouts : Cutouts
        Their images and flags, row for row.
    draws, seed, views
        As in `predict`.

    Returns
    -------
    dict of str to ndarray of shape (n_objects,)
        ``flags`` and the columns of every target. Rows that cannot be predicted are NaN (text
        columns: empty) and carry `Flag.NOT_PREDICTED`.
    """
    n = len(catalog)
    flags = cutouts.flags.astype(np.int32) | catalog.flags.astype(np.int32)
    scalars = _scalars(catalog, estimator)
    if scalars is not None:
        flags[~np.isfinite(scalars).all(axis=-1)] |= Flag.SCALAR_MISSING
    unusable = UNUSABLE if estimator.inputs.mask_channel else UNUSABLE | Flag.BAND_MISSING
    good = np.flatnonzero((flags & int(unusable)) == 0)
    flags[np.setdiff1d(np.arange(n), good)] |= Flag.NOT_PREDICTED
    columns: dict[str, np.ndarray] = {"flags": flags}
    samples = (
        estimator.sample(
            cutouts.images[good],
            None if scalars is None else scalars[good],
            draws=draws,
            seed=seed,
            views=views,
        )
        if good.size
        else {}
    )
    full = {}
    for target in estimator.task.targets:
        shape = (max(draws, 1), n, target.family.units)
        full[target.name] = np.full(shape, np.nan, dtype=np.float32)
        if good.size:
            full[target.name][:, good] = samples[target.name]
    columns.update(estimator.task.summarize(full))
    return columns


def _read_ahead(source: Source, plan: Plan, parts: list[int]) -> Iterator[tuple[int, Cutouts]]:
    """Read the images of the next part while this one is being predicted."""
    with ThreadPoolExecutor(1) as reader:
        upcoming = None
        for here, following in zip(parts, [*parts[1:], None], strict=False):
            now = upcoming or reader.submit(source.read, plan.rows(here))
            upcoming = (
                reader.submit(source.read, plan.rows(following)) if following is not None else None
            )
            yield here, now.result()


def _positions(catalog: Catalog) -> list[np.ndarray]:
    return [p for p in (catalog.ra, catalog.dec) if p is not None]


def _scalars(catalog: Catalog, estimator: Estimator) -> np.ndarray | None:
    """Scalar inputs, float32 of shape (n, n_scalars), NaN where missing."""
    names = estimator.inputs.scalars
    if not names:
        return None
    with np.errstate(over="ignore"):
        return np.stack([catalog.numbers(name) for name in names], axis=-1).astype(np.float32)


def _target_columns(estimator: Estimator) -> list[TableColumn]:
    return [
        TableColumn(c.name, c.dtype, c.unit, c.ucd, c.description) for c in estimator.task.columns()
    ]


def _write_part(
    plan: Plan,
    folder: Path,
    part: int,
    rows: np.ndarray,
    columns: Mapping[str, np.ndarray],
    estimator: Estimator,
) -> None:
    layout = [_ROW, FLAGS, *_target_columns(estimator)]
    cards = [("FPRINT", plan.fingerprint[:64], "fingerprint of the prediction")]
    with TableWriter(plan.path(folder, part), layout, len(rows), cards) as writer:
        writer.put(np.arange(len(rows)), {"ROW": rows, **columns})


def _part_exists(plan: Plan, folder: Path, part: int) -> bool:
    path = plan.path(folder, part)
    if not path.is_file() or not _is_whole(path):
        return False
    if _fingerprint(path) != plan.fingerprint:
        raise PredictionError(
            f"{folder} holds parts of another prediction (model, catalogue, images or draws).",
            received=path.name,
            hint="write to another --out, or remove that folder to start afresh",
        )
    return True


def _is_whole(path: Path) -> bool:
    """Whether the file has the length its headers promise."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with fits.open(path) as hdus:
                return "PREDICTIONS" in hdus
        except (OSError, AstropyUserWarning):
            return False


def _finished(out: Path, plan: Plan) -> bool:
    return out.is_file() and _fingerprint(out) == plan.fingerprint


def _refuse_to_replace(out: Path) -> None:
    """Predictions may be made anew; anything else of that name may be someone's only copy."""
    if out.exists() and _fingerprint(out) is None:
        raise PredictionError(
            f"'{out}' exists and is no table of predictions: it is not replaced.",
            hint="write to another --out, or remove it first",
        )


def _warn_of_escapes(ids: np.ndarray) -> None:
    """FITS holds ASCII only; what else is in an identifier is still there, but spelt otherwise."""
    strange = [name for name in ids.tolist() if not name.isascii()] if ids.dtype.kind == "U" else []
    if strange:
        warnings.warn(
            f"{len(strange)} identifiers are not plain ASCII and are written with backslash "
            f"escapes: '{strange[0]}' as '{ascii_text(np.array(strange[:1]))[0].decode()}'.",
            CatalogWarning,
            stacklevel=3,
        )


def _fingerprint(path: Path) -> str | None:
    try:
        return fits.getheader(path, 0).get("FPRINT")
    except OSError:
        return None


def _merge(
    plan: Plan,
    folder: Path,
    out: Path,
    catalog: Catalog,
    estimator: Estimator,
    cards: list[tuple[str, object, str]],
) -> None:
    own = catalog.role_columns()
    layout = [
        *(TableColumn.like(name, column, ucd) for name, column, ucd in own),
        FLAGS,
        *_target_columns(estimator),
    ]
    with TableWriter(out, layout, len(catalog), cards) as writer:
        for start in range(0, len(catalog), 65536):
            rows = np.arange(start, min(start + 65536, len(catalog)))
            writer.put(rows, {fits_name(name): column[rows] for name, column, _ in own})
        for part in range(len(plan)):
            path = plan.path(folder, part)
            if _fingerprint(path) != plan.fingerprint:
                raise PredictionError(
                    "A part changed while the parts were being merged.",
                    received=str(path),
                    hint="run the same command again",
                )
            with fits.open(path, memmap=True) as hdus:
                records = hdus["PREDICTIONS"].data
                if not np.array_equal(records["ROW"], plan.rows(part)):
                    raise PredictionError(
                        "A part does not hold the rows it should.",
                        received=str(path),
                        hint="remove it and run the same command again",
                    )
                values = {
                    c.name: np.asarray(records[c.name]) for c in layout if c.name in records.names
                }
                writer.put(np.asarray(records["ROW"], dtype=np.int64), values)


def _cards(
    estimator: Estimator,
    plan: Plan,
    provenance: Mapping[str, str],
    draws: int,
    seed: int,
    views: str,
) -> list[tuple[str, object, str]]:
    with warnings.catch_warnings():
        versions = {name: metadata.version(name) for name in ("astrocnn", "tensorflow", "keras")}
    cards: list[tuple[str, object, str]] = [
        ("FPRINT", plan.fingerprint, "fingerprint of the prediction"),
        ("ORIGIN", f"astrocnn {versions['astrocnn']}", "software"),
        ("TFVER", versions["tensorflow"], "TensorFlow version"),
        ("KERASVER", versions["keras"], "Keras version"),
        ("NDRAWS", draws, "stochastic forward passes (0: deterministic)"),
        ("SEED", seed, "seed of the draws"),
        ("VIEWS", views, "orientations averaged"),
        ("PRECIS", estimator.precision, "arithmetic of the network"),
    ]
    cards += [
        (key.upper()[:8], value, _SAID.get(key.upper(), "")) for key, value in provenance.items()
    ]
    cards += [(f"FLAG{flag.bit_length() - 1}", flag.sentence, f"bit {int(flag)}") for flag in Flag]
    return cards
