"""Predictions of a catalogue in partitions, which is never in memory as a whole.

A partition is a Parquet file of a folder, of any partitioning, or of a HATS catalogue.  Each is
read, predicted in chunks and written by itself, as a Parquet file at the same place in the output.
Memory is bounded by the needed columns of one partition, whatever their number.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from astrocnn import plugins
from astrocnn.atomic import remove_leftovers, replacing_folder, write_text
from astrocnn.calibration import Extra
from astrocnn.catalog import Catalog, read_catalog
from astrocnn.catalog.parquet_table import find_parts, open_parquet
from astrocnn.catalog.roles import choose_roles, resolve_column, split_difference
from astrocnn.catalog.uniqueness import validate_unique
from astrocnn.datasets.object_store import list_name_columns, open_images
from astrocnn.errors import ClusterError, PredictionError
from astrocnn.estimators.base import Estimator
from astrocnn.imaging import Survey
from astrocnn.prediction.engine import compute_table, describe_prediction, make_plan
from astrocnn.prediction.export import to_parquet
from astrocnn.prediction.predictions import MANIFEST, PartitionManifest, parse_cards
from astrocnn.prediction.session import Prediction
from astrocnn.prediction.stored_model import list_catalog_columns, read_model, write_model
from astrocnn.progress import track
from astrocnn.scheduling import Scheduler, StoredTask, run_tasks
from astrocnn.stored_files import Stored, read_json

__all__ = ["predict_partitions"]

_SESSION = ".session"
_ABOUT = "partitions.json"


class _About(Stored):
    """What a worker reads: the survey, how catalogues are read, and where."""

    survey: Survey | None
    read: dict[str, Any]
    given: dict[str, str]
    root: str
    files: tuple[str, ...]


@dataclass
class _Partitions:
    """What partitions are predicted from."""

    estimator: Estimator
    extras: Sequence[Extra]
    options: Prediction
    about: _About
    out: Path
    trusted: bool = False

    def compute_parts(self, numbers: Sequence[int]) -> int:
        """Predict the missing ones of some partitions; the number of their rows."""
        return sum(self._predict(self.about.files[number]) for number in numbers)

    def _predict(self, name: str) -> int:
        file, table = Path(self.about.root, name), self.out / name
        with open_parquet(file) as opened:
            n_rows = opened.metadata.num_rows
        if not n_rows:
            return 0
        catalog = self._read(file)
        source = open_images(
            self.about.survey, catalog, self.estimator.inputs.size, trusted=self.trusted
        )
        origin, plan = make_plan(
            describe_prediction(
                self.estimator, catalog, source, self.options, self.about.given, self.extras
            )
        )
        if _is_done(table, plan.fingerprint):
            return 0
        table.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(table.parent)
        whole = table.with_suffix(".fits")
        compute_table(whole, origin, self.options)
        to_parquet(whole, table)
        whole.unlink()
        return len(catalog)

    def _read(self, file: Path) -> Catalog:
        with open_parquet(file) as opened:
            names = opened.schema_arrow.names
        wanted = list_catalog_columns(self.estimator, self.extras)
        more = [] if self.about.survey is None else list_name_columns(self.about.survey)
        if wanted is None or more is None:
            return read_catalog(file, **self.about.read)
        terms = [
            resolve_column(term, names) for name in wanted for term in split_difference(name, names)
        ]
        return read_catalog(file, columns=list(dict.fromkeys([*terms, *more])), **self.about.read)


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
    scheduler: Scheduler | None = None,
    **read: Any,
) -> Path:
    """Predict every row of a catalogue in partitions and write a data set of the same partitions.

    The files are Parquet with units, UCDs and descriptions in the metadata of their columns;
    ``_predictions.json`` is written last.  Given again after an interruption, finished partitions
    are kept.

    Parameters
    ----------
    estimator : Estimator
        A trained estimator.
    catalog : path
        Folder of Parquet files, or HATS catalogue.
    survey : Survey or None
        The images; None for an estimator without images.
    out : path
        Folder to write.
    draws, seed, views, pdf, extras, provenance, scheduler
        As for `predict`; a scheduler computes whole partitions.
    **read
        Options of `read_catalog`: ``id``, ``ra``, ``dec``, ``missing``.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    CatalogError
        If identifiers repeat, or a partition is damaged or has other columns.
    PredictionError
        If `out` holds predictions of something else.
    """
    root, out = Path(catalog).resolve(), Path(out).resolve()
    if out == root or root in out.parents:
        raise PredictionError(
            "The predictions would be written among the partitions of the catalogue.",
            received=str(out),
            hint="give another --out",
        )
    if survey is not None:
        plugins.load("sources", survey.kind)  # an error before any work
    files = list(find_parts(root))
    out.mkdir(parents=True, exist_ok=True)
    about = _About(
        survey=survey,
        read={key: value for key, value in read.items() if value is not None},
        given=dict(provenance or {}),
        root=str(root),
        files=tuple(str(file.relative_to(root)) for file in files),
    )
    with open_parquet(files[0]) as opened:
        names = opened.schema_arrow.names
    roles = choose_roles(names, **{key: read.get(key) for key in ("id", "ra", "dec")})
    manifest = out / MANIFEST
    # Without the file a set counts as incomplete, while partitions are replaced.
    complete = _read_manifest(manifest, about.files)
    if complete is None:
        manifest.unlink(missing_ok=True)
        n_rows = validate_unique(files, roles.id, out)
    partitions = _Partitions(estimator, extras, Prediction(draws, seed, views, pdf), about, out)
    numbers = range(len(files))
    if scheduler is None:
        for number in track(numbers, "predicting"):
            partitions.compute_parts([number])
    else:
        task = _store(partitions)
        for _ in run_tasks(scheduler, task, numbers, "predicting", count=int, bundle=1):
            pass
    if complete is None:
        kept = PartitionManifest(rows=n_rows, files=about.files)
        write_text(manifest, kept.model_dump_json(indent=1) + "\n")
    shutil.rmtree(out / _SESSION, ignore_errors=True)
    return out


def _store(partitions: _Partitions) -> StoredTask:
    folder = partitions.out / _SESSION
    with replacing_folder(folder) as temporary:
        own = write_model(temporary, partitions.estimator, partitions.extras)
        write_text(temporary / _ABOUT, partitions.about.model_dump_json())
    survey = partitions.about.survey
    own |= {"options": partitions.options, "kind": survey and survey.kind}
    return StoredTask(_open, folder, own)


def _open(folder: Path, own: Mapping[str, Any]) -> _Partitions:
    about: _About = read_json(folder / _ABOUT, _About, ClusterError)
    # Code of the user was trusted where the work was begun.
    trusted = about.survey is not None and about.survey.kind == own["kind"]
    return _Partitions(*read_model(folder, own), own["options"], about, folder.parent, trusted)


def _read_manifest(path: Path, files: tuple[str, ...]) -> PartitionManifest | None:
    if not path.is_file():
        return None
    manifest: PartitionManifest = read_json(path, PartitionManifest, PredictionError)
    return manifest if manifest.files == files else None


def _is_done(table: Path, fingerprint: str) -> bool:
    """Whether a partition was written, is intact, and is of these inputs."""
    if not table.is_file():
        return False
    try:
        with pq.ParquetFile(table, page_checksum_verification=True) as file:
            cards = parse_cards(file.schema_arrow, table)
            for _ in file.iter_batches():
                pass
    except (pa.ArrowException, OSError):
        return False
    if cards.get("FPRINT") != fingerprint:
        raise PredictionError(
            f"'{table}' is of another prediction (model, catalogue, images or draws).",
            hint="write to another --out, or remove that folder to start afresh",
        )
    return True
