"""A catalogue and its images by reference: stored once in a folder, opened by many processes.

Columns are arrays that are memory-mapped, so that a process reads only the rows that it needs.
Images stay where they are: what is stored is the survey, with absolute paths.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from astrocnn.atomic import write_text
from astrocnn.catalog import Catalog, Roles
from astrocnn.catalog.roles import resolve_column, split_difference
from astrocnn.errors import ClusterError
from astrocnn.imaging import ArraySource, NoImages, Source, Survey, open_source
from astrocnn.imaging.files import FileTemplate
from astrocnn.imaging.survey import PLANES
from astrocnn.plugins import is_outside
from astrocnn.stored_files import Stored, read_json

__all__ = [
    "list_name_columns",
    "open_images",
    "read_array",
    "read_objects",
    "write_array",
    "write_objects",
]

_ABOUT = "objects.json"
_HINT = "remove that folder and give the same command again"


class _Images(Stored):
    """Where the images are."""

    kind: Literal["none", "arrays", "survey", "own"]
    size: int
    survey: Survey | None = None
    bands: tuple[str, ...] = ()
    pixel_scale: float | None = None
    unit: str | None = None


class _About(Stored):
    """Names and roles of the columns, and the images."""

    id: str
    ra: str | None
    dec: str | None
    columns: tuple[str, ...]
    images: _Images


def write_objects(
    folder: Path, catalog: Catalog, source: Source, columns: Iterable[str] | None = None
) -> Source | None:
    """Store a catalogue and what its images are read from.

    Parameters
    ----------
    folder : Path
        An existing folder.
    catalog : Catalog
        Its columns become arrays.
    source : Source
        Its images; those in memory are stored as well.
    columns : iterable of str, optional
        Columns that are needed beside those of the roles and of file names, or differences of
        two; by default all.

    Returns
    -------
    Source or None
        The source, if it is of a class of the user and has no stored form.
    """
    images = _describe_images(source)
    arrays = {"ids": catalog.ids, "flags": catalog.flags}
    arrays |= {k: v for k, v in (("ra", catalog.ra), ("dec", catalog.dec)) if v is not None}
    names = _list_columns(catalog, images, columns)
    for number, name in enumerate(names):
        column = catalog.table[name]
        arrays[f"column-{number}"] = np.ma.getdata(column)
        if np.ma.is_masked(column):
            arrays[f"mask-{number}"] = np.ma.getmaskarray(column)
    if isinstance(source, ArraySource) and images.kind == "arrays":
        arrays["images"] = source.images
    for name, values in arrays.items():
        write_array(folder, name, values)
    roles = catalog.roles
    about = _About(id=roles.id, ra=roles.ra, dec=roles.dec, columns=tuple(names), images=images)
    write_text(folder / _ABOUT, about.model_dump_json())
    return source if images.kind == "own" else None


def read_objects(
    folder: Path, own: Source | None = None, trusted: str | None = None
) -> tuple[Catalog, Source]:
    """Open what `write_objects` stored; the columns were checked before.

    Parameters
    ----------
    folder : Path
        Where it is.
    own : Source, optional
        What `write_objects` returned.
    trusted : str, optional
        Kind of source whose code was trusted where the work was begun.

    Raises
    ------
    ClusterError
        If a file is missing or damaged.
    ImageError
        If images cannot be opened.
    """
    about: _About = read_json(folder / _ABOUT, _About, ClusterError, _HINT)
    table = Table(copy=False)
    for number, name in enumerate(about.columns):
        values = read_array(folder, f"column-{number}")
        if (folder / f"mask-{number}.npy").is_file():
            mask = read_array(folder, f"mask-{number}")
            table.add_column(MaskedColumn(values, name, mask, copy=False), copy=False)
        else:
            table.add_column(Column(values, name, copy=False), copy=False)
    with_positions = (folder / "ra.npy").is_file()
    catalog = Catalog(
        table,
        Roles(about.id, about.ra, about.dec),
        read_array(folder, "ids"),
        read_array(folder, "ra") if with_positions else None,
        read_array(folder, "dec") if with_positions else None,
        read_array(folder, "flags"),
    )
    return catalog, own or _open_images(folder, about.images, catalog, trusted)


def write_array(folder: Path, name: str, values: Any) -> None:
    """Store one array."""
    np.save(folder / f"{name}.npy", np.asarray(values), allow_pickle=False)


def read_array(folder: Path, name: str) -> np.ndarray:
    """Map an array that was stored.

    Raises
    ------
    ClusterError
        If it is missing or damaged.
    """
    path = folder / f"{name}.npy"
    try:
        # As a plain array: indexing the subclass costs more.
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except (OSError, ValueError, EOFError) as error:
        raise ClusterError(f"'{path}' cannot be read.", received=str(error), hint=_HINT) from error


def _describe_images(source: Source) -> _Images:
    if isinstance(source, NoImages):
        return _Images(kind="none", size=0)
    if type(source) is ArraySource:
        scale = None if source.pixel_scale is None else float(source.pixel_scale)
        return _Images(
            kind="arrays", size=source.size, bands=source.bands, pixel_scale=scale, unit=source.unit
        )
    survey = getattr(source, "survey", None)
    inside = type(source).__module__.startswith("astrocnn.imaging.sources.")
    if isinstance(survey, Survey) and (inside or is_outside(survey.kind)):
        return _Images(kind="survey", size=source.size, survey=_make_absolute(survey))
    return _Images(kind="own", size=source.size)


def _make_absolute(survey: Survey) -> Survey:
    """The survey with paths that do not count from the folder of this process."""

    def absolute(paths: Any) -> Any:
        if paths is None or isinstance(paths, str):
            return paths and os.path.join(os.getcwd(), paths)
        return tuple(map(absolute, paths))

    return replace(
        survey,
        bands=tuple(
            replace(band, **{role: absolute(getattr(band, role)) for role in PLANES})
            for band in survey.bands
        ),
    )


def _list_columns(catalog: Catalog, images: _Images, columns: Iterable[str] | None) -> list[str]:
    known = catalog.table.colnames
    more = [] if images.survey is None else list_name_columns(images.survey)
    if columns is None or images.kind == "own" or more is None:
        return list(known)
    names = [name for name in (catalog.roles.id, catalog.roles.ra, catalog.roles.dec) if name]
    for wanted in columns:
        names += [resolve_column(term, known) for term in split_difference(wanted, known)]
    return list(dict.fromkeys([*names, *more]))


def list_name_columns(survey: Survey) -> list[str] | None:
    """Columns of the catalogue in the file names of a survey; None for a source of the user."""
    if is_outside(survey.kind):
        return None
    names: list[str] = []
    if survey.kind == "stamps":
        for band in survey.bands:
            for paths, _ in band.planes().values():
                for path in (paths,) if isinstance(paths, str) else paths:
                    names += FileTemplate(path).names
    return list(dict.fromkeys(names))


def open_images(
    survey: Survey | None,
    catalog: Catalog,
    size: int,
    *,
    trusted: bool = False,
    opened: Source | None = None,
) -> Source:
    """Open the images of the rows of a catalogue; an empty source without a survey.

    What was opened for other rows serves again, if its class has a method ``with_positions``.
    """
    if survey is None:
        return NoImages(len(catalog))
    with_positions = getattr(opened, "with_positions", None)
    if with_positions is not None:
        source: Source = with_positions(catalog.ra, catalog.dec)
        return source
    columns: Mapping[str, Any] = {name: catalog.table[name] for name in catalog.table.colnames}
    ra, dec = catalog.ra, catalog.dec
    return open_source(survey, ra, dec, columns=columns, size=size, trusted=trusted)


def _open_images(folder: Path, about: _Images, catalog: Catalog, trusted: str | None) -> Source:
    if about.kind == "none":
        return NoImages(len(catalog))
    if about.survey is None:
        images = read_array(folder, "images")
        return ArraySource(images, about.bands, about.pixel_scale, about.unit)
    known = about.survey.kind == trusted
    return open_images(about.survey, catalog, about.size, trusted=known)
