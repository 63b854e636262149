"""Tables of ranked objects, and the page with their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrocnn import __version__
from astrocnn.atomic import replacing
from astrocnn.catalog import Catalog, Roles, read_catalog
from astrocnn.catalog.readers import read_column_names
from astrocnn.column import Column
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.flags import UNUSABLE
from astrocnn.imaging import Survey
from astrocnn.prediction import TableWriter
from astrocnn.report.gallery import Stamp, compute_band_levels, plot_gallery
from astrocnn.report.page import Chapter, Picture, write_report
from astrocnn.runs.run import Run, open_images
from astrocnn.runs.sections import CatalogSection

__all__ = [
    "FORMATS",
    "MOST_STAMPS",
    "Section",
    "find_objects",
    "open_run_of_images",
    "read_table",
    "require_images",
    "select_objects",
    "validate_outputs",
    "write_objects",
    "write_page",
]

FORMATS = (".csv", ".fits")
MOST_STAMPS = 200
"""Objects that a page shows at most."""


def validate_outputs(out: Path, *inputs: Path) -> None:
    """Raise if a table has an unknown format, is a folder, or would replace one that is read.

    Raises
    ------
    ConfigError
    """
    if out.suffix not in FORMATS:
        raise ConfigError(
            "The table to write has an unknown format.", received=str(out), allowed=FORMATS
        )
    if out.is_dir():
        raise ConfigError("The table to write is a folder.", received=str(out))
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise ConfigError("A table that is read would be replaced.", received=str(out))


def open_run_of_images(
    images: Path | None, catalog: Path | None, survey: Path | None
) -> Run | None:
    """Open the run whose images are shown; None if none are asked for.

    Raises
    ------
    ConfigError
        If `images` is no run directory, or a catalogue or survey is given without it.
    PredictionError
        If the run has no images.
    """
    if images is not None:
        run = Run.open(images)
        require_images(run, survey)
        return run
    if catalog is not None or survey is not None:
        raise ConfigError(
            "--catalog and --survey belong to the images that --images shows.",
            hint="add --images DIR, or leave them out",
        )
    return None


def require_images(run: Run, survey: Path | None) -> None:
    """Raise if neither a run nor the survey that replaces its own has images.

    Raises
    ------
    PredictionError
    """
    if run.config.survey is None and survey is None:
        raise PredictionError("This run has no images.", received=str(run.directory.path))


def read_table(path: Path, id: str | None, known: Roles | CatalogSection | None) -> Catalog:
    """Read a table of objects of a run or of a table of embeddings.

    Parameters
    ----------
    path : Path
    id : str, optional
        Column of the identifiers.
    known : Roles or CatalogSection, optional
        Columns of identifiers and positions in the tables that the objects are from; used where
        this one has columns of these names.
    """
    names = [] if known is None else read_column_names(path)
    roles = {role: getattr(known, role, None) for role in ("id", "ra", "dec")}
    options = {role: name for role, name in roles.items() if name in names}
    return read_catalog(path, **(options if id is None else {**options, "id": id}))


def write_objects(table: Table, out: Path, name: str) -> None:
    """Write a table of objects as CSV or FITS, atomically.

    Parameters
    ----------
    table : Table
        Integers, floats and texts.
    out : Path
        Ends in .csv or .fits.
    name : str
        EXTNAME in FITS.
    """
    if out.suffix == ".csv":
        with replacing(out) as temporary:
            table.write(temporary, format="ascii.csv", overwrite=True)
        return
    columns = [Column.like(key, table[key]) for key in table.colnames]
    with TableWriter(out, columns, len(table), name=name) as writer:
        writer.put(np.arange(len(table)), {key: table[key] for key in table.colnames})


@dataclass(frozen=True)
class Section:
    """A chapter of a page of objects.

    Parameters
    ----------
    title : str
        Heading.
    text : str
        Paragraph below it.
    ids : ndarray of shape (n,)
        Identifiers of its objects, in order.
    captions : sequence of str
        Text below the image of each object.
    """

    title: str
    text: str
    ids: NDArray[Any]
    captions: Sequence[str]


def write_page(
    path: Path,
    title: str,
    sections: Sequence[Section],
    run: Run,
    id: str,
    *,
    catalog: Path | None = None,
    survey: Path | None = None,
    subtitle: str = "",
) -> None:
    """Write a page with the images of objects, in the style of the report.

    Parameters
    ----------
    path : Path
        HTML file.
    title, subtitle : str
    sections : sequence of Section
        Of each, the first 200 objects are shown.
    run : Run
        Run whose images are shown.
    id : str
        Column of their identifiers, as for `select_objects`.
    catalog, survey : Path, optional
        In place of those of the run.

    Raises
    ------
    PredictionError
        As `select_objects`.
    """
    shown = [section.ids[:MOST_STAMPS] for section in sections]
    chosen, images = select_objects(run, np.concatenate(shown), id, catalog, survey)
    source = open_images(images, chosen, run.config.inputs.size)
    cutouts = source.read(np.arange(len(chosen)))
    good = (cutouts.flags & int(UNUSABLE)) == 0
    levels = compute_band_levels(cutouts.images[good]).tolist() if good.any() else None
    chapters, start = [], 0
    for section, ids in zip(sections, shown, strict=True):
        rows = slice(start, start + len(ids))
        start = rows.stop
        stamps = [Stamp(i, "", section.captions[i], "", False) for i in range(len(ids))]
        figure = plot_gallery(
            cutouts.images[rows],
            stamps,
            pixel_scale=source.pixel_scale,
            levels=levels,
            columns=8,
            labels=[_shorten(str(name)) for name in ids.tolist()],
        )
        count = f"{len(ids)} of {len(section.ids)}" if len(ids) < len(section.ids) else len(ids)
        caption = f"{count} objects, in order." if len(ids) > 1 else "One object."
        picture = Picture(figure, caption, alt=section.title, raster=True)
        chapters.append(Chapter(section.title, [section.text] if section.text else [], (picture,)))
    footer = f"Written by astrocnn {__version__}. The table beside this page lists the objects."
    write_report(path, title=title, subtitle=subtitle, chapters=chapters, footer=footer)


def select_objects(
    run: Run, ids: Any, id: str, catalog: Path | None, survey: Path | None
) -> tuple[Catalog, Survey]:
    """Select objects from the catalogue of a run, or another one, with the survey of their images.

    Parameters
    ----------
    run : Run
    ids : array_like of shape (n,)
        Identifiers of the objects.
    id : str
        Name of their column, by which they are found where the catalogue has such a column.
    catalog, survey : Path, optional
        In place of those of the run.

    Raises
    ------
    PredictionError
        If an object is not in the catalogue.
    """
    objects, images = run.read_objects(catalog, survey, None)
    assert images is not None  # see `require_images`
    roles = objects.roles
    if id != roles.id and id in objects.table.colnames:
        objects = Catalog.from_table(objects.table, id=id, ra=roles.ra, dec=roles.dec)
    return objects[find_objects(objects, ids)], images


def find_objects(catalog: Catalog, ids: Any) -> np.ndarray:
    """Rows of a catalogue by identifier.

    Raises
    ------
    PredictionError
        If one is not in it.
    """
    names = [str(name) for name in np.asarray(ids).tolist()]
    places = {str(name): row for row, name in enumerate(catalog.ids.tolist())}
    absent = [name for name in names if name not in places]
    if absent:
        raise PredictionError(
            "Objects are not in the catalogue of the images.",
            received=absent,
            hint="give the catalogue that was embedded with --catalog",
        )
    return np.array([places[name] for name in names], np.int64)


def _shorten(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:8]}\u2026{name[-9:]}"
