"""Prediction at the scale of a catalogue: bounded memory, resumable, N rows in and N rows out.

Parts of the catalogue are computed one after another and kept as FITS files that exist whole
or not at all; what exists is done.  Any number of workers can share the parts without a lock.
When all parts are there, whoever finishes merges them into one table in the catalogue's order.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from astrocnn.catalog import CatalogWarning
from astrocnn.column import ascii_text
from astrocnn.errors import PredictionError
from astrocnn.estimators.base import VIEWS
from astrocnn.imaging import NoImages
from astrocnn.plugins import nearest
from astrocnn.prediction import parts
from astrocnn.prediction import provenance as origin
from astrocnn.prediction.batch import Extra
from astrocnn.prediction.layout import Layout
from astrocnn.prediction.plan import Plan, parse_worker
from astrocnn.prediction.rows import predict_part
from astrocnn.progress import track

if TYPE_CHECKING:
    from astrocnn.catalog import Catalog
    from astrocnn.estimators import Estimator
    from astrocnn.imaging import Cutouts, Source

__all__ = ["predict"]


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
    extras: Sequence[Extra] = (),
    pdf: str = "none",
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
    extras : sequence of Extra
        Further columns, which follow those of the task; see `astrocnn.prediction.Extra`.
    pdf : {"none", "float32", "int16", "quantiles"}
        How to store the predictive density (the mean over draws) of targets that are numbers:
        not at all; the density in each bin, of 4 or of 2 bytes; or values at fixed levels of
        probability. The extension ``PDF`` (of several such targets: ``PDF_<TARGET>``) has a row
        for each row of the table, and its header the largest error of the cumulative
        probability; ``PDF_GRID`` explains it. `read_pdf` reads all forms.

    Returns
    -------
    Path or None
        The table, or None while parts of other workers are missing.

    Raises
    ------
    InputsError
        If the images are not of the kind the estimator was trained on.
    CatalogError
        If a scalar holds numbers that usually mean "not measured" and none were declared.
    PredictionError
        If an argument makes no sense, images and catalogue have different rows, two columns
        have one name, densities are asked of a task that has none, existing parts belong to
        another prediction, `out` exists and is no table of predictions, or the disk is full.
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
    catalog.refuse_sentinels(estimator.inputs.scalars)
    if not estimator.inputs.bands:
        source = NoImages(len(catalog))  # what images there are is not looked at
    layout = Layout.of(estimator, catalog, extras, pdf)
    way: dict[str, object] = {"draws": draws, "seed": seed, "views": views, "pdf": pdf}
    identity = origin.identities(estimator, catalog, source, provenance)
    size, bands = estimator.inputs.size, len(estimator.inputs.bands)
    plan = Plan.make(
        source.order(),
        size * size * bands * 4,
        origin.facts(estimator, catalog, identity, extras, way),
    )
    if _is_finished(out, plan):
        return out
    _refuse_to_replace(out)
    _warn_of_escapes(catalog.ids)
    folder = out.with_name(out.name + ".parts")
    folder.mkdir(parents=True, exist_ok=True)
    mine = range(worker[0] - 1, len(plan), worker[1])
    missing = [part for part in mine if not parts.exists(plan, folder, part)]
    work = _read_ahead(source, plan, missing)
    for part, cutouts in track(work, "predicting", total=len(missing)):
        predicted = predict_part(
            estimator,
            catalog[plan.rows(part)],
            cutouts,
            draws=draws,
            seed=seed,
            views=views,
            extras=extras,
            planes=layout.planes,
        )
        parts.write(plan, folder, part, predicted, layout)
    if _is_finished(out, plan):  # by another process with the same parts
        parts.remove(plan, folder)
        return out
    if not all(plan.path(folder, part).is_file() for part in range(len(plan))):
        return None
    cards = origin.cards(estimator, plan.fingerprint, identity, extras, way)
    try:
        parts.merge(plan, folder, out, catalog, layout, cards)
    except (OSError, PredictionError):
        # Of several workers that see the last part appear, one has merged and removed them.
        if not _is_finished(out, plan):
            raise
    parts.remove(plan, folder)
    return out


def _is_finished(out: Path, plan: Plan) -> bool:
    return out.is_file() and parts.fingerprint_of(out) == plan.fingerprint


def _read_ahead(source: Source, plan: Plan, todo: list[int]) -> Iterator[tuple[int, Cutouts]]:
    """Read the images of the next part while this one is being predicted."""
    with ThreadPoolExecutor(1) as reader:
        upcoming = None
        for here, following in zip(todo, [*todo[1:], None], strict=False):
            now = upcoming or reader.submit(source.read, plan.rows(here))
            upcoming = (
                reader.submit(source.read, plan.rows(following)) if following is not None else None
            )
            yield here, now.result()


def _refuse_to_replace(out: Path) -> None:
    """Predictions may be made anew; anything else of that name may be someone's only copy."""
    if out.exists() and parts.fingerprint_of(out) is None:
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
