"""``astrocnn init``: a survey file and a run file to edit, filled in from a catalogue."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import astrocnn
from astrocnn.atomic import write_text
from astrocnn.catalog import Catalog, read_catalog
from astrocnn.catalog.roles import find_column
from astrocnn.errors import ConfigError
from astrocnn.plugins import nearest

__all__ = ["TEMPLATES", "list_surveys", "run"]

TEMPLATES = {
    "tiles": """\
# Large images, cut at the position of each object.
name = {name}
kind = "tiles"

[[bands]]
name = "g"
image = "images/*_g.fits"             # a path, a pattern, or a list of them; .fz and .gz too
# weight = "images/*_g_weight.fits"   # inverse variance; or rms = ..., mask = ...
# zero_point = "MAGZERO"              # header keyword, or a number [AB mag]

[[bands]]
name = "r"
image = "images/*_r.fits"
""",
    "stamps": """\
# A small file for each object. Names in braces are columns of the catalogue.
name = {name}
kind = "stamps"
# pixel_scale = 0.2                   # [arcsec]; needed for files without a WCS
bands = ["r"]
image = "stamps/{{id}}.fits"            # FITS, JPEG, PNG or TIFF
""",
}
"""Survey files for images of one's own."""

_RUN = """\
# Check this file with `astrocnn check {run}`; every key is described in the documentation.
title = {name}
survey = "survey.toml"

[catalog]
file = {catalog}
{roles}
[inputs]
size = 64                             # side of the cutouts [pixel]

[task]
{task}
[model]
architecture = "plain8"

[training]
epochs = 40
optimizer = "adamw"
schedule = "cosine"
"""
_CLASSES = 'name = "morphology"\ncolumn = {column}\nclasses = [{classes}]\n'
_REDSHIFT = 'name = "photoz"\ncolumn = {column}\nrange = [0.0, {high}]\n'
_MOST_CLASSES = 20
# Catalogues mark a missing redshift by values such as 99 or 9999.
_NO_REDSHIFT = 90


def list_surveys() -> dict[str, Path]:
    """Survey files that come with the package, by name."""
    package = Path(astrocnn.__file__).parent
    # In a wheel the folder is inside of the package, in a checkout beside it.
    for folder in (package / "pipelines", package.parent / "pipelines"):
        if (folder / "surveys").is_dir():
            return {path.stem: path for path in sorted((folder / "surveys").glob("*.toml"))}
    return {}


def run(
    folder: Path, survey: str = "tiles", catalog: Path | None = None, id: str | None = None
) -> Iterator[str]:
    """Write ``survey.toml`` and ``run.toml`` into a folder; existing files are left alone.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    survey : str
        ``"tiles"`` or ``"stamps"`` for images of one's own, or a survey of `list_surveys`.
    catalog : Path, optional
        Its columns are looked through for positions and labels.
    id : str, optional
        Column of the identifiers, if it has none of the usual names.

    Raises
    ------
    ConfigError
        If there is no such survey, or one of the files exists.
    CatalogError
        If the catalogue cannot be read.
    """
    shipped = list_surveys()
    if survey not in TEMPLATES and survey not in shipped:
        known = [*TEMPLATES, *shipped]
        raise ConfigError(
            f"There is no survey '{survey}'.", allowed=known, hint=nearest(survey, known)
        )
    name = _quote(folder.resolve().name)
    roles, task = "", _CLASSES.format(column='"class"', classes='"elliptical", "spiral"')
    if catalog is not None:
        table = read_catalog(catalog, id=id)
        roles, task = _describe_roles(table), _describe_task(table)
    text = (
        TEMPLATES[survey].format(name=name)
        if survey in TEMPLATES
        else shipped[survey].read_text(encoding="utf-8")
    )
    path = "catalog.fits" if catalog is None else str(catalog.resolve())
    run_file = folder / "run.toml"
    files = {
        folder / "survey.toml": text,
        run_file: _RUN.format(
            run=run_file, name=name, catalog=_quote(path), roles=roles, task=task
        ),
    }
    if existing := [str(path) for path in files if path.exists()]:
        raise ConfigError(
            "The folder has such files already.", received=existing, hint="name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path_, content in files.items():
        write_text(path_, content)
        yield f"wrote {path_}"
    yield f"next: edit both, then astrocnn check {run_file}"


def _describe_roles(catalog: Catalog) -> str:
    """Lines that name the recognized columns."""
    found = {role: getattr(catalog.roles, role) for role in ("id", "ra", "dec")}
    return "".join(f"{role} = {_quote(column)}\n" for role, column in found.items() if column)


def _describe_task(catalog: Catalog) -> str:
    """A task for the column with the fewest classes, or for a redshift."""
    columns = catalog.table.colnames
    used = {name for name, _, _ in catalog.role_columns()}
    candidates: dict[str, list[str]] = {}
    for column in columns:
        values = catalog.table[column]
        if column not in used and values.ndim == 1 and values.dtype.kind in "USOiub":
            filled = values.compressed() if hasattr(values, "compressed") else values
            distinct = sorted({str(value).strip() for value in np.unique(filled)} - {""})
            if 2 <= len(distinct) <= _MOST_CLASSES:
                candidates[column] = distinct
    # Text is a label more often than a number, which may be a flag or a count.
    text = [column for column in candidates if catalog.table[column].dtype.kind in "USO"]
    redshift = find_column("redshift", columns)
    if redshift is not None and not text:
        values = catalog.numbers(redshift)
        high = np.max(values[np.isfinite(values) & (values < _NO_REDSHIFT)], initial=0.1)
        return _REDSHIFT.format(column=_quote(redshift), high=math.ceil(high * 10) / 10)
    if not candidates:
        return _CLASSES.format(column='"class"', classes='"elliptical", "spiral"')
    best = min(text or candidates, key=lambda column: len(candidates[column]))
    others = ", ".join(column for column in candidates if column != best)
    comment = f"# other columns with few values: {others}\n" if others else ""
    classes = ", ".join(_quote(value) for value in candidates[best])
    return comment + _CLASSES.format(column=_quote(best), classes=classes)


def _quote(text: str) -> str:
    """A string of TOML, which those of JSON are."""
    return json.dumps(text, ensure_ascii=False)
