"""``astrocnn predict``: predict a catalogue and write a table with uncertainties."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any

from astrocnn.atomic import remove_leftovers, sha256
from astrocnn.backend import load_tensorflow
from astrocnn.catalog.partitions import is_large
from astrocnn.clusters import open_scheduler
from astrocnn.errors import ConfigError
from astrocnn.estimators.base import Estimator
from astrocnn.imaging import Survey
from astrocnn.imaging.files import expand_path
from astrocnn.prediction import (
    parse_worker,
    predict_partitions,
    read_predictions,
    to_csv,
    to_parquet,
    to_qp,
)
from astrocnn.prediction import predict as predict_catalog
from astrocnn.runs.run import Run, load_survey, open_images, select_bands
from astrocnn.runs.sections import RunConfig

__all__ = ["parse_share", "refuse_catalog", "run", "write_table"]

_WRITERS: dict[str, Callable[[Path, Path], Path]] = {
    ".csv": to_csv,
    ".parquet": to_parquet,
    ".hdf5": to_qp,
}


def run(
    folder: Path,
    *,
    out: Path,
    catalog: Path | None = None,
    survey: Path | None = None,
    id: str | None = None,
    draws: int | None = None,
    seed: int = 0,
    views: str | None = None,
    pdf: str | None = None,
    worker: str = "1/1",
    workers: int = 1,
    cluster: str | None = None,
) -> Iterator[str]:
    """Predict every row of a catalogue with the estimator of a run directory.

    Raises
    ------
    ConfigError
        If `out` ends in something else than .fits, .csv, .parquet or .hdf5, or would replace the
        catalogue; if `worker` is given beside `workers` or `cluster`.
    """
    if out.suffix not in ("", ".fits", *_WRITERS):
        raise ConfigError(
            "The table to write has an unknown format.",
            received=str(out),
            allowed=[".fits", *_WRITERS, "or a folder, for a table in partitions"],
        )
    current = Run.open(folder)
    config, home = current.config, current.directory
    share = parse_share(worker, workers, cluster)
    pdf = pdf or config.prediction.pdf
    if out.suffix == ".hdf5" and pdf == "none":
        pdf = "float32"  # qp needs densities
    home.require(home.model, "train")
    options: dict[str, Any] = {
        "draws": config.prediction.draws if draws is None else draws,
        "seed": seed,
        "views": config.prediction.views if views is None else views,
        "pdf": pdf,
        "extras": current.extras,
    }
    partitions = _find_partitions(config, catalog, out)
    if partitions is not None:
        whole = out.with_suffix(".fits") if out.suffix else out
        for path in {out, whole}:
            refuse_catalog(path, config, catalog)
        written = _predict_partitions(
            current, partitions, survey, id, whole, options, share, workers, cluster
        )
        if written is None:
            yield _describe_missing(share)
            return
        _convert(written, out, _WRITERS)
        made = read_predictions(written)
        n = len(made.files)
        where = "" if out.suffix else f" in {n} partition{'s'[: n > 1]}"
        yield f"{len(made)} rows{where}: {out}"
        return
    yield from write_table(
        current,
        partial(predict_catalog, **options),
        out,
        _WRITERS,
        catalog=catalog,
        survey=survey,
        id=id,
        share=share,
        workers=workers,
        cluster=cluster,
    )


def write_table(
    current: Run,
    compute: Callable[..., Path | None],
    out: Path,
    writers: Mapping[str, Callable[[Path, Path], Path]],
    *,
    catalog: Path | None,
    survey: Path | None,
    id: str | None,
    share: tuple[int, int],
    workers: int,
    cluster: str | None,
) -> Iterator[str]:
    """Compute a table of all objects of a catalogue and write it in the format of `out`.

    Parameters
    ----------
    current : Run
        A trained run.
    compute : callable
        `astrocnn.predict`, `astrocnn.embed` or alike, with the options of its own.
    out : Path
        Table to write; beside one that is not FITS stands the FITS table.
    writers : mapping of str to callable
        By suffix of `out`, from the FITS table to `out`.
    catalog, survey, id, share, workers, cluster
        As for `run`; `share` is what `parse_share` gives.

    Raises
    ------
    ConfigError
        If the table would replace the catalogue.
    """
    whole = out.with_suffix(".fits")
    for path in {out, whole}:
        refuse_catalog(path, current.config, catalog)
    objects, images = current.read_objects(catalog, survey, id)
    estimator, images = _load_estimator(current, images)
    with open_scheduler(cluster, workers) as scheduler:
        table = compute(
            estimator,
            objects,
            open_images(images, objects, estimator.inputs.size),
            whole,
            worker=share,
            scheduler=scheduler,
            provenance=_describe_origin(current, images),
        )
    if table is None:
        yield _describe_missing(share)
        return
    _convert(table, out, writers)
    yield f"{len(objects)} rows: {out}"


def _describe_missing(share: tuple[int, int]) -> str:
    return f"the parts of worker {share[0]}/{share[1]} are done; others are missing"


def _convert(table: Path, out: Path, writers: Mapping[str, Callable[[Path, Path], Path]]) -> None:
    """Write a FITS table in the format of `out`, if that is another."""
    if out.suffix in writers:
        remove_leftovers(out.parent, escape(out.name))
        writers[out.suffix](table, out)


def _load_estimator(current: Run, images: Survey | None) -> tuple[Estimator, Survey | None]:
    """The estimator of a run, and the bands of a survey that it takes."""
    load_tensorflow()
    estimator = current.estimator
    if images is not None:
        images = select_bands(images, estimator.inputs.bands)
    return estimator, images


def _describe_origin(current: Run, images: Survey | None) -> dict[str, str]:
    return {
        "CONFSHA": sha256(current.directory.config_file),
        "SURVEY": "" if images is None else images.name,
    }


def _find_partitions(config: RunConfig, catalog: Path | None, out: Path) -> str | None:
    """The catalogue, if it is read partition by partition; None if it is read as a whole."""
    own = [expand_path(file, config.root) for file in config.catalog.files]
    found = own if catalog is None else [str(catalog)]
    if len(found) == 1 and (out.suffix == "" or is_large(found[0], config.catalog.hdu)):
        return str(found[0])
    if out.suffix == "":
        raise ConfigError(
            "A folder is written for one catalogue only.",
            received=f"--out {out} for {', '.join(map(str, found))}",
            hint=f"--out {out}.fits, or give the files as one pattern",
        )
    return None


def _predict_partitions(
    current: Run,
    path: str,
    survey: Path | None,
    id: str | None,
    out: Path,
    options: dict[str, Any],
    share: tuple[int, int],
    workers: int,
    cluster: str | None,
) -> Path | None:
    section = current.config.catalog
    given = current.survey if survey is None else load_survey(survey)
    estimator, images = _load_estimator(current, given)
    with open_scheduler(cluster, workers) as scheduler:
        return predict_partitions(
            estimator,
            path,
            images,
            out,
            **options,
            worker=share,
            scheduler=scheduler,
            provenance=_describe_origin(current, images),
            hdu=section.hdu,
            id=id or section.id,
            ra=section.ra,
            dec=section.dec,
            missing=section.missing,
        )


def parse_share(worker: str, workers: int, cluster: str | None) -> tuple[int, int]:
    """Worker i of n, which is computed in this process.

    Raises
    ------
    ConfigError
        If other processes are asked for as well.
    """
    share = parse_worker(worker)
    if share != (1, 1) and (workers > 1 or cluster is not None):
        raise ConfigError(
            "--worker i/n computes in this process only.",
            hint="leave out --worker, or --workers and --cluster",
        )
    return share


def refuse_catalog(path: Path, config: RunConfig, catalog: Path | None) -> None:
    """Raise if a table would replace the catalogue that it is made for."""
    own = [Path(expand_path(file, config.root)) for file in config.catalog.files]
    read = own if catalog is None else [catalog]
    if path.exists() and any(file.exists() and path.samefile(file) for file in read):
        raise ConfigError(
            "The table would replace the catalogue that it is made for.",
            received=str(path),
            hint="give another --out",
        )
