"""Predictions of a catalogue in partitions, which is never in memory as a whole.

Each partition (see `astrocnn.catalog.PartitionedCatalog`) is read, predicted and written by itself:
as a Parquet file of a data set of the same partitions, or as a FITS file whose records become part
of one table.  Memory is bounded by the needed columns of one partition, whatever their number.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from astrocnn import plugins
from astrocnn.atomic import remove_leftovers, replacing_folder, write_text
from astrocnn.calibration import Extra
from astrocnn.catalog import Catalog, PartitionedCatalog
from astrocnn.catalog.hats import write_metadata
from astrocnn.column import Column
from astrocnn.datasets.object_store import list_name_columns, open_images
from astrocnn.errors import CatalogError, ClusterError, PredictionError
from astrocnn.estimators.base import Estimator
from astrocnn.imaging import NoImages, Source, Survey
from astrocnn.prediction import chunks
from astrocnn.prediction.chunks import Plan, get_own_values, validate_worker
from astrocnn.prediction.engine import (
    Provenance,
    compute_table,
    describe_prediction,
    make_plan,
    refuse_to_replace,
)
from astrocnn.prediction.fits_headers import is_intact
from astrocnn.prediction.layout import Layout
from astrocnn.prediction.parquet_writer import ParquetWriter
from astrocnn.prediction.partition_scan import Entry, compute_digest, scan
from astrocnn.prediction.pdf import round_up
from astrocnn.prediction.predictions import MANIFEST, PartitionManifest, parse_cards
from astrocnn.prediction.session import Prediction
from astrocnn.prediction.stored_model import list_catalog_columns, read_model, write_model
from astrocnn.prediction.table_formats import to_parquet
from astrocnn.prediction.table_writer import TableWriter
from astrocnn.progress import track
from astrocnn.scheduling import Scheduler, StoredTask, run_tasks
from astrocnn.stored_files import Stored, read_json

__all__ = ["predict_partitions"]

_SESSION, _SCAN = ".session", "scan"
_ABOUT = "partitions.json"


@dataclass(frozen=True)
class _Prediction(Prediction):
    """A prediction whose tables have the same columns of the catalogue in every partition."""

    own: tuple[Column, ...] = ()

    def build_layout(
        self, estimator: Estimator, catalog: Catalog, extras: Sequence[Extra]
    ) -> Layout:
        """Columns of the task and of the extras, and densities."""
        return replace(super().build_layout(estimator, catalog, extras), own=self.own)


class _About(Stored):
    """What a worker reads: the catalogue, its partitions and columns, the images."""

    catalog: PartitionedCatalog
    entries: tuple[Entry, ...]
    own: tuple[Column, ...]
    survey: Survey | None
    given: dict[str, str]
    suffix: str

    def get_name(self, number: int) -> str:
        """Path of the file of a partition in the folder that is written."""
        if self.suffix == ".fits":
            return f"part-{number:06d}.fits"
        return self.catalog.partitions[number].name + self.suffix


@dataclass
class _Partitions:
    """What partitions are predicted from."""

    estimator: Estimator
    extras: Sequence[Extra]
    options: Prediction
    about: _About
    folder: Path
    trusted: bool = False
    _source: Source | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def compute_parts(self, numbers: Sequence[int]) -> int:
        """Predict the missing ones of some partitions; the number of their rows."""
        return sum(self._predict(number) for number in numbers)

    def get_path(self, number: int) -> Path:
        """The file of a partition."""
        return self.folder / self.about.get_name(number)

    def describe(self, catalog: Catalog) -> Provenance:
        """All inputs of the prediction of a partition; its images are opened once."""
        with self._lock:
            source = self._source = open_images(
                self.about.survey,
                catalog,
                self.estimator.inputs.size,
                trusted=self.trusted,
                opened=self._source,
            )
        return describe_prediction(
            self.estimator, catalog, source, self.computation, self.about.given, self.extras
        )

    @cached_property
    def computation(self) -> _Prediction:
        """The options, and the columns of the catalogue."""
        return _Prediction(**vars(self.options), own=self.about.own)

    def _predict(self, number: int) -> int:
        entry = self.about.entries[number]
        catalog = self.about.catalog.read(number)
        if compute_digest(catalog) != entry.digest:
            raise CatalogError(
                f"The partition '{self.about.catalog.partitions[number]}' was written anew "
                "while it was being predicted.",
                hint="give the same command again when it is complete",
            )
        origin, plan = make_plan(self.describe(catalog))
        path = self.get_path(number)
        if _is_done(path, plan.fingerprint):
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, glob.escape(path.name))
        if isinstance(origin.source, NoImages):
            self._write(path, origin, plan)
        elif path.suffix == ".fits":
            compute_table(path, origin, self.computation)
        else:
            # Rows come in the order of the images, and are put in that of the catalogue.
            table = path.with_name(path.name + ".fits")
            compute_table(table, origin, self.computation)
            to_parquet(table, path)
            table.unlink()
        return len(catalog)

    def _write(self, path: Path, origin: Provenance, plan: Plan) -> None:
        """Predict rows in their order straight into the file: they cost little to do again."""
        catalog, source, extras = origin.catalog, origin.source, origin.extras
        options = self.computation
        layout = options.build_layout(self.estimator, catalog[:1], extras)
        cards = origin.cards(plan.fingerprint)
        errors = {plane.name: 0.0 for plane in layout.planes}
        with _open_writer(path, layout, len(catalog), cards) as writer:
            for chunk in range(len(plan)):
                rows = plan.rows(chunk)
                part = catalog[slice(int(rows[0]), int(rows[-1]) + 1)]
                with self._lock:
                    computed = options.compute(
                        self.estimator, part, source.read(rows), extras, layout
                    )
                values = {**get_own_values(part), **computed.columns, **computed.densities}
                writer.put(rows, values)
                for name, error in computed.errors.items():
                    errors[name] = max(errors[name], error)
            if isinstance(writer, TableWriter):
                rounded = {name: round_up(error) for name, error in errors.items()}
                chunks.set_errors(writer, rounded)


def predict_partitions(
    estimator: Estimator,
    catalog: str | os.PathLike[str],
    survey: Survey | None,
    out: str | os.PathLike[str],
    *,
    draws: int = 0,
    seed: int = 0,
    views: str = "one",
    pdf: str = "none",
    extras: Sequence[Extra] = (),
    provenance: Mapping[str, str] | None = None,
    worker: tuple[int, int] = (1, 1),
    scheduler: Scheduler | None = None,
    **read: Any,
) -> Path | None:
    """Predict every row of a catalogue in partitions, which is never in memory as a whole.

    With a folder as `out` the files are Parquet with units, UCDs and descriptions in the metadata
    of their columns, one for each partition; ``_predictions.json`` is written last.  Those of a
    HATS catalogue are HATS.  Given again after an interruption, finished partitions are kept.

    Parameters
    ----------
    estimator : Estimator
        A trained estimator.
    catalog : path
        Folder of Parquet files, HATS catalogue, pattern of files (``dir/*.fits``), or one file,
        which is divided by ranges of rows.
    survey : Survey or None
        The images; None for an estimator without images.
    out : path
        Folder to write, or a table ``.fits``, in the order of the catalogue.
    draws, seed, views, pdf, extras, provenance, worker, scheduler
        As for `predict`; whole partitions are shared.
    **read
        Options of `read_catalog`: ``id``, ``ra``, ``dec``, ``missing``, ``hdu``; and ``rows``, into
        how many rows files are divided.

    Returns
    -------
    Path or None
        `out`, or None while partitions of other workers are missing.

    Raises
    ------
    CatalogError
        If identifiers repeat, or a partition is damaged or has other columns.
    PredictionError
        If `out` holds predictions of something else.
    """
    out = Path(out).resolve()
    validate_worker(*worker)
    root = Path(catalog).resolve()
    if out == root or root in out.parents:
        raise PredictionError(
            "The predictions would be written among the partitions of the catalogue.",
            received=str(out),
            hint="give another --out",
        )
    if survey is not None:
        plugins.load("sources", survey.kind)  # an error before any work
    given = {key: value for key, value in read.items() if value is not None}
    found = PartitionedCatalog.find(catalog, _list_columns(estimator, survey, extras), **given)
    is_table = out.suffix == ".fits"
    folder = out.with_name(out.name + ".parts") if is_table else out
    folder.mkdir(parents=True, exist_ok=True)
    complete = None if is_table else _read_manifest(out / MANIFEST)
    entries, own = scan(found, folder / _SCAN, scheduler)
    about = _About(
        catalog=found,
        entries=entries,
        own=own,
        survey=survey,
        given=dict(provenance or {}),
        suffix=".fits" if is_table else ".parquet",
    )
    work = _Partitions(estimator, extras, Prediction(draws, seed, views, pdf), about, folder)
    origin = work.describe(found.read(0))
    make_plan(origin)  # an error before any work
    fingerprint = _combine(origin, entries)
    if is_table:
        remove_leftovers(out.parent, glob.escape(out.name))
        if chunks.is_finished(out, fingerprint):
            _remove(work)
            return out
        refuse_to_replace(out)
    manifest = PartitionManifest(
        rows=sum(entry.rows for entry in entries),
        files=tuple(about.get_name(number) for number in range(len(entries))),
    )
    if complete != manifest:
        # Without the file a set counts as incomplete, while partitions are replaced.
        (folder / MANIFEST).unlink(missing_ok=True)
    try:
        if not _compute(work, worker, scheduler):
            # Another process may have merged and removed them.
            return out if is_table and chunks.is_finished(out, fingerprint) else None
        if is_table:
            _merge(work, out, origin, fingerprint)
    except (OSError, PredictionError):
        if not (is_table and chunks.is_finished(out, fingerprint)):
            raise
    if is_table:
        _remove(work)
        return out
    if complete != manifest:
        if found.hats is not None:
            roles = found.roles
            assert roles.ra is not None and roles.dec is not None
            write_metadata(out, found.hats, manifest.rows, roles.ra, roles.dec)
        write_text(out / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    shutil.rmtree(out / _SESSION, ignore_errors=True)
    return out


def _list_columns(
    estimator: Estimator, survey: Survey | None, extras: Sequence[Extra]
) -> list[str] | None:
    """Columns of the catalogue that a prediction reads; None for all."""
    wanted = list_catalog_columns(estimator, extras)
    more = [] if survey is None else list_name_columns(survey)
    return None if wanted is None or more is None else [*wanted, *more]


def _combine(origin: Provenance, entries: Sequence[Entry]) -> str:
    """Fingerprint of the whole prediction: its inputs, and all partitions."""
    facts = {**origin.facts(), "partitions": [entry.digest for entry in entries]}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _compute(work: _Partitions, worker: tuple[int, int], scheduler: Scheduler | None) -> bool:
    """Compute the partitions of a worker; whether those of all are there, intact."""
    numbers = range(len(work.about.entries))

    def compute(numbers: range) -> None:
        if scheduler is None:
            for number in track(numbers, "predicting"):
                work.compute_parts([number])
            return
        for _ in run_tasks(scheduler, _store(work), numbers, "predicting", count=int, bundle=1):
            pass

    compute(numbers[worker[0] - 1 :: worker[1]])
    if worker[1] > 1:
        if not all(work.get_path(number).is_file() for number in numbers):
            return False
        compute(numbers)  # those of other workers may be damaged
    return True


def _remove(work: _Partitions) -> None:
    """Remove the parts of a finished table, and their folder if nothing else is in it."""
    for number in range(len(work.about.entries)):
        work.get_path(number).unlink(missing_ok=True)
    shutil.rmtree(work.folder / _SESSION, ignore_errors=True)
    with suppress(OSError):
        remove_leftovers(work.folder)
        work.folder.rmdir()


def _store(work: _Partitions) -> StoredTask:
    folder = work.folder / _SESSION
    with replacing_folder(folder) as temporary:
        own = write_model(temporary, work.estimator, work.extras)
        write_text(temporary / _ABOUT, work.about.model_dump_json())
    survey = work.about.survey
    own |= {"options": work.options, "kind": survey and survey.kind}
    return StoredTask(_open, folder, own)


def _open(folder: Path, own: Mapping[str, Any]) -> _Partitions:
    about: _About = read_json(folder / _ABOUT, _About, ClusterError)
    # Code of the user was trusted where the work was begun.
    trusted = about.survey is not None and about.survey.kind == own["kind"]
    return _Partitions(*read_model(folder, own), own["options"], about, folder.parent, trusted)


def _open_writer(
    path: Path, layout: Layout, n_rows: int, cards: Sequence[tuple[str, Any, str]]
) -> TableWriter | ParquetWriter:
    if path.suffix == ".fits":
        return chunks.open_table(path, layout, n_rows, cards)
    return ParquetWriter(path, [*layout.own, *layout.predicted], cards, layout.planes)


def _merge(work: _Partitions, out: Path, origin: Provenance, fingerprint: str) -> None:
    """Copy the records of all partitions into one table."""
    entries, catalog = work.about.entries, origin.catalog
    digest = hashlib.sha256("".join(entry.digest for entry in entries).encode()).hexdigest()
    # That of the first partition would stand for all.
    cards = [
        (key, digest if key == "CATSHA" else value, comment)
        for key, value, comment in origin.cards(fingerprint)
    ]
    layout = work.computation.build_layout(work.estimator, catalog[:1], work.extras)
    errors = {plane.name: 0.0 for plane in layout.planes}
    start = 0
    with chunks.open_table(out, layout, sum(entry.rows for entry in entries), cards) as writer:
        for number, entry in enumerate(track(entries, "merging")):
            found = writer.copy(work.get_path(number), start, entry.rows)
            start += entry.rows
            errors = {name: max(error, found[name]) for name, error in errors.items()}
        chunks.set_errors(writer, errors)


def _read_manifest(path: Path) -> PartitionManifest | None:
    if not path.is_file():
        return None
    manifest: PartitionManifest = read_json(path, PartitionManifest, PredictionError)
    return manifest


def _is_done(path: Path, fingerprint: str) -> bool:
    """Whether a partition was written, is intact, and is of these inputs."""
    if not path.is_file():
        return False
    if path.suffix == ".fits":
        if not is_intact(path):
            return False
        found = chunks.read_fingerprint(path)
    else:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                found = parse_cards(file.schema_arrow, path).get("FPRINT")
                for _ in file.iter_batches():
                    pass
        except (pa.ArrowException, OSError):
            return False
    if found != fingerprint:
        raise PredictionError(
            f"'{path}' is of another prediction (model, catalogue, images or draws).",
            hint="write to another --out, or remove that folder to start afresh",
        )
    return True
