"""Prediction of whole catalogues: bounded memory, resumable, one output row per input row.

The catalogue is divided into chunks, which are computed one after another and kept as FITS files
that exist whole or not at all; what exists is done.  Any number of workers can share the chunks
without a lock.  When all are there, whoever finishes merges them into one table in the
catalogue's order.
"""

from __future__ import annotations

import glob
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from astrocnn import __version__
from astrocnn.atomic import remove_leftovers
from astrocnn.backend import get_versions
from astrocnn.calibration import Extra
from astrocnn.catalog import Catalog, CatalogWarning
from astrocnn.column import Column
from astrocnn.errors import PredictionError
from astrocnn.estimators.base import Estimator, validate_draws
from astrocnn.flags import Flag
from astrocnn.imaging import NoImages, Source
from astrocnn.prediction import chunks
from astrocnn.prediction.chunks import Plan, validate_worker
from astrocnn.prediction.objects import stack_scalars
from astrocnn.prediction.session import Computation, Prediction, Session, store
from astrocnn.progress import track
from astrocnn.scheduling import Scheduler, run_tasks
from astrocnn.stored_files import compute_array_digest

__all__ = [
    "Provenance",
    "compute_table",
    "describe_prediction",
    "make_plan",
    "predict",
    "refuse_to_replace",
]

_COMMENTS = {
    "MODELSHA": "digest of the network",
    "CONFSHA": "digest of the run file",
    "CATSHA": "digest of identifiers and positions",
    "IMAGESHA": "digest of samples of the images",
    "SURVEY": "name of the survey",
}


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
    scheduler: Scheduler | None = None,
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
        The table to write. Chunks are kept in ``<out>.parts`` until it is complete.
    draws : int
        Stochastic forward passes per object; 0 for one deterministic pass.
    seed : int
        Seed of the draws. The same seed gives the same table on any number of workers.
    views : {"one", "d4"}
        Whether to average over the eight orientations.
    worker : (int, int)
        Worker i of n computes the chunks i, i + n, i + 2n ...
    scheduler : Executor or dask.distributed.Client, optional
        Who computes the chunks in place of this process; the table has the same bytes. Its
        workers must see the folder of `out` and the images by the same paths.
    provenance : mapping of str to str, optional
        Digests and names that identify model, run and images; they enter the fingerprint and
        the primary header.
    extras : sequence of Extra
        Further columns, which follow those of the task; see `astrocnn.calibration.Extra`.
    pdf : {"none", "float32", "int16", "quantiles"}
        How to store the predictive density (the mean over draws) of targets that are numbers:
        not at all; the density in each bin, of 4 or of 2 bytes; or values at fixed levels of
        probability. The extension ``PDF`` (of several such targets: ``PDF_<TARGET>``) has a row
        for each row of the table, and its header the largest error of the cumulative
        probability; ``PDF_GRID`` explains it. `read_pdf` reads all forms.

    Returns
    -------
    Path or None
        The table, or None while chunks of other workers are missing.

    Raises
    ------
    InputsError
        If the images are not of the kind the estimator was trained on.
    CatalogError
        If a scalar holds numbers that usually mean "not measured" and none were declared.
    ModelError
        If `draws` or `views` is invalid.
    PredictionError
        If images and catalogue have different rows, two columns have one name, densities are
        requested of a task that has none, existing chunks belong to another prediction, `out`
        exists and is no table of predictions, or the disk is full.
    ClusterError
        If the scheduler or its workers do not come, are lost, or have another version or model.
    """
    options = Prediction(draws, seed, views, pdf)
    origin = describe_prediction(estimator, catalog, source, options, provenance or {}, extras)
    return compute_table(out, origin, options, worker=worker, scheduler=scheduler)


def describe_prediction(
    estimator: Estimator,
    catalog: Catalog,
    source: Source,
    options: Prediction,
    given: Mapping[str, str],
    extras: Sequence[Extra],
) -> Provenance:
    """All inputs that determine the numbers of a prediction.

    Raises
    ------
    ModelError
        If the draws or views are invalid.
    """
    validate_draws(options.draws, options.views)
    return Provenance(
        estimator,
        catalog,
        source,
        asdict(options),
        (
            ("NDRAWS", options.draws, "stochastic forward passes (0: deterministic)"),
            ("SEED", options.seed, "seed of the draws"),
            ("VIEWS", options.views, "orientations averaged"),
        ),
        given,
        extras,
    )


def make_plan(origin: Provenance) -> tuple[Provenance, Plan]:
    """Check the inputs and divide them into chunks.

    Returns
    -------
    origin : Provenance
        Without the images, if the estimator has no bands.
    plan : Plan
        The chunks, and the fingerprint of all that determines the table.

    Raises
    ------
    InputsError, CatalogError, PredictionError
        As `predict`, for images or a catalogue that the estimator cannot use.
    """
    estimator, catalog, source = origin.estimator, origin.catalog, origin.source
    if len(source) != len(catalog):
        raise PredictionError(
            "The images and the catalogue do not have the same rows.",
            received=f"{len(source)} images",
            allowed=f"{len(catalog)} rows, each once",
        )
    estimator.inputs.check(source)
    catalog.refuse_sentinels(estimator.inputs.scalars)
    if not estimator.inputs.bands:
        source = NoImages(len(catalog))  # images of an estimator without bands are not read
        origin = replace(origin, source=source)
    size, n_bands = estimator.inputs.size, len(estimator.inputs.bands)
    return origin, Plan.make(source.order(), size * size * n_bands * 4, origin.facts())


def compute_table(
    out: str | Path,
    origin: Provenance,
    computation: Computation,
    *,
    worker: tuple[int, int] = (1, 1),
    scheduler: Scheduler | None = None,
) -> Path | None:
    """Compute the columns of a table chunk by chunk, and merge the chunks.

    Parameters
    ----------
    out, worker, scheduler
        As for `predict`, with its errors.
    origin : Provenance
        Estimator, catalogue and images, and what else the values depend on.
    computation : Computation
        What is computed for each chunk.

    Returns
    -------
    Path or None
        The table, or None while chunks of other workers are missing.
    """
    out = Path(out)
    validate_worker(*worker)
    origin, plan = make_plan(origin)
    estimator, catalog, source = origin.estimator, origin.catalog, origin.source
    layout = computation.build_layout(estimator, catalog, origin.extras)
    folder = out.with_name(out.name + ".parts")
    # Temporary files of a killed process are as large as the table itself.
    remove_leftovers(out.parent, glob.escape(out.name))
    if chunks.is_finished(out, plan.fingerprint):
        chunks.remove(plan, folder)  # of a process that ended before it could
        return out
    refuse_to_replace(out)
    _warn_of_escapes(catalog.ids)
    folder.mkdir(parents=True, exist_ok=True)

    session = Session(estimator, catalog, source, origin.extras, computation, layout, plan, folder)
    task = None if scheduler is None else store(session)

    def compute(numbers: range) -> None:
        if scheduler is not None and task is not None:
            for _ in run_tasks(scheduler, task, numbers, "predicting", count=int):
                pass
            return
        missing = session.find_missing(numbers)
        for _ in track(session.compute(missing), "predicting", total=len(missing)):
            pass

    try:
        # Strided: rows without coverage come last, and each worker gets some of these cheap ones.
        compute(range(worker[0] - 1, len(plan), worker[1]))
        # Whoever finds all chunks merges them; two who do so at once write the same bytes.
        if all(plan.path(folder, chunk).is_file() for chunk in range(len(plan))):
            # Those of other workers, and those whose images were written anew in the meantime.
            compute(range(len(plan)))
            chunks.merge(plan, folder, out, catalog, layout, origin.cards(plan.fingerprint))
        # Another worker may have merged and removed the chunks in the meantime.
        elif not chunks.is_finished(out, plan.fingerprint):
            return None
    except (OSError, PredictionError):
        # Another process may have computed the same chunks, merged and removed them.
        if not chunks.is_finished(out, plan.fingerprint):
            raise
    chunks.remove(plan, folder)
    return out


def refuse_to_replace(out: Path) -> None:
    """Raise if `out` exists and is no table of predictions."""
    if out.exists() and chunks.read_fingerprint(out) is None:
        raise PredictionError(
            f"'{out}' exists and is not a table of predictions; it is not replaced.",
            hint="write to another --out, or remove it first",
        )


def _warn_of_escapes(ids: np.ndarray) -> None:
    """Warn of non-ASCII identifiers, which FITS can hold only as escapes."""
    column = Column.like("id", ids)
    if column.escaped:
        escaped = [name for name in ids.tolist() if not (name.isascii() and name.isprintable())]
        example = column.encode(np.array(escaped[:1]), 1)[0].decode()
        warnings.warn(
            f"{len(escaped)} identifiers are not plain ASCII and are written with backslash "
            f"escapes: '{escaped[0]}' as '{example}'.",
            CatalogWarning,
            stacklevel=3,
        )


@dataclass(frozen=True)
class Provenance:
    """All inputs that determine the computed numbers.

    Parameters
    ----------
    estimator : Estimator
        The trained estimator.
    catalog : Catalog
        The objects.
    source : Source
        Their images, row for row.
    options : mapping
        Plain values; they enter the fingerprint.
    described : tuple of (keyword, value, comment)
        Cards of the primary header that describe the options.
    given : mapping of str to str
        Digests and names that enter the fingerprint and the primary header.
    extras : sequence of Extra
        What computes further columns.
    """

    estimator: Estimator
    catalog: Catalog
    source: Source
    options: Mapping[str, object]
    described: tuple[tuple[str, object, str], ...]
    given: Mapping[str, str]
    extras: Sequence[Extra] = ()

    @cached_property
    def identity(self) -> dict[str, str]:
        """Digests and names of model, catalogue and images, by FITS keyword."""
        positions = [p for p in (self.catalog.ra, self.catalog.dec) if p is not None]
        return {
            "MODELSHA": self.estimator.fingerprint,
            **self.given,
            "CATSHA": compute_array_digest([self.catalog.ids, *positions]),
            "IMAGESHA": self.source.fingerprint,
        }

    def facts(self) -> dict[str, object]:
        """Plain values from which the fingerprint of the plan is computed."""
        scalars = stack_scalars(self.catalog, self.estimator.inputs.scalars)
        return {
            **self.identity,
            # Beside MODELSHA, which a caller may set to what it likes.
            "weights": self.estimator.fingerprint,
            "scalars": None if scalars is None else compute_array_digest([scalars]),
            "inputs": self.estimator.inputs.to_json(),
            # bfloat16 gives other digits: machines that differ in it must not share chunks.
            "precision": self.estimator.precision,
            # With the columns, because another type or name of one is another table.
            "extras": [[e.fingerprint, *(repr(c) for c in e.columns())] for e in self.extras],
            **self.options,
        }

    def cards(self, fingerprint: str) -> list[tuple[str, object, str]]:
        """Keyword, value and comment of each card of the primary header."""
        versions = get_versions()
        cards: list[tuple[str, object, str]] = [
            ("FPRINT", fingerprint, "fingerprint of the prediction"),
            ("DATE", _get_date(), "UTC when the table was written"),
            ("ORIGIN", f"astrocnn {__version__}", "software"),
            ("TFVER", versions["tensorflow"], "TensorFlow version"),
            ("KERASVER", versions["keras"], "Keras version"),
            *self.described,
            ("PRECIS", self.estimator.precision, "arithmetic of the network"),
        ]
        if self.catalog.frame is not None:
            system, equinox = self.catalog.frame
            cards.append(("RADESYS", system, "frame of right ascension and declination"))
            if equinox is not None:
                cards.append(("EQUINOX", equinox, "equinox of the frame"))
        cards += [
            # FITS keywords have eight capitals at most.
            (key.upper()[:8], value, _COMMENTS.get(key.upper(), ""))
            for key, value in self.identity.items()
        ]
        cards += [
            (f"EXTRA{number}", f"{type(extra).__name__} {extra.fingerprint}", "further columns")
            for number, extra in enumerate(self.extras, start=1)
        ]
        cards += [
            # A bit mask is of use only with its meaning, which therefore travels in the file.
            (f"FLAG{flag.bit_length() - 1}", flag.sentence, f"bit {int(flag)}")
            for flag in Flag
        ]
        return cards


def _get_date() -> str:
    """The time of day, or that of ``SOURCE_DATE_EPOCH``, with which two tables are identical."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(epoch) if epoch.isdecimal() else None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
