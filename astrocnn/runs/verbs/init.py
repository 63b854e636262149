"""``astrocnn init``: a survey file and a run file to edit, from images and a catalogue."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import astrocnn
from astrocnn.atomic import write_text
from astrocnn.catalog import Catalog, join_catalogs, read_catalog
from astrocnn.catalog.roles import ROW_NUMBER
from astrocnn.errors import CatalogError, ConfigError
from astrocnn.plugins import nearest
from astrocnn.runs.drafts.stamps import draft_stamps
from astrocnn.runs.drafts.survey import SurveyDraft, list_images, quote
from astrocnn.runs.drafts.task import UNKNOWN_TASK, draft_scalars, draft_task
from astrocnn.runs.drafts.tiles import draft_tiles
from astrocnn.targets import make

__all__ = ["TEMPLATES", "list_surveys", "run"]

TEMPLATES = {
    "tiles": """\
# Large images, cut at the position of each object.
name = {name}
kind = "tiles"

[[bands]]
name = "g"
image = "images/*_g.fits"             # a path, a pattern, or a list of them; .fz and .gz too
# weight = "images/*_g_weight.fits"   # inverse variance; or rms, variance, mask = ...
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
image = "stamps/{{id}}.fits"            # FITS, JPEG or PNG
""",
}
"""Survey files for images of one's own."""

_RUN = """\
# Check this file with `astrocnn check {run}`; every key is described in the documentation.
title = {name}
{survey}
[catalog]
file = {catalog}
{roles}
[inputs]
{inputs}
[task]
{task}
[model]
architecture = "{architecture}"
{augmentation}
[training]
epochs = 40
optimizer = "adamw"
schedule = "cosine"
"""
_ROTATIONS = """
[augmentation]
d4 = "rotations"                      # no mirror images: they have other labels
"""
_SURVEY = 'survey = "survey.toml"\n'
_SIZE = "size = {size:<4}                           # side of the cutouts [pixel]\n"
_SPLIT_NAMES = {"train": "train", "validation": "val", "test": "test"}
"""Beginnings of words in the names of files, by split."""
_HEAD = 100
"""Rows of the catalogue whose file names are tried."""


def list_surveys() -> dict[str, Path]:
    """Survey files that come with the package, by name."""
    package = Path(astrocnn.__file__).parent
    # In a wheel the folder is inside of the package, in a checkout beside it.
    for folder in (package / "pipelines", package.parent / "pipelines"):
        if (folder / "surveys").is_dir():
            return {path.stem: path for path in sorted((folder / "surveys").glob("*.toml"))}
    return {}


def run(
    folder: Path,
    images: Sequence[Path] = (),
    survey: str | None = None,
    catalog: Path | None = None,
    id: str | None = None,
    *,
    more: Sequence[Path] = (),
) -> Iterator[str]:
    """Write ``survey.toml`` and ``run.toml`` into a folder; existing files are left alone.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    images : sequence of Path
        Image files, or folders of them: the survey file is drafted from their names and headers.
    survey : str, optional
        ``"tiles"`` or ``"stamps"`` for a template to fill in, or a survey of `list_surveys`.  By
        default it is drafted from the images, or from a column of the catalogue that names them; a
        catalogue of magnitudes and redshifts without images needs none.
    catalog : Path, optional
        Its columns are looked through for positions, labels and file names.
    id : str, optional
        Column of the identifiers, if it has none of the usual names.
    more : sequence of Path
        Further catalogues, joined with the first one; splits are taken from the names of the files.

    Yields
    ------
    str
        What was assumed, what was not found, and what to do next.

    Raises
    ------
    ConfigError
        If there is no such survey, or no such image, or one of the files exists.
    CatalogError
        If the catalogue cannot be read.
    """
    shipped = list_surveys()
    if survey is not None and survey not in TEMPLATES and survey not in shipped:
        known = [*TEMPLATES, *shipped]
        raise ConfigError(
            f"There is no survey '{survey}'.", allowed=known, hint=nearest(survey, known)
        )
    if survey is not None and images:
        raise ConfigError(
            "A survey is either drafted from images or named.",
            received=f"--survey {survey}, and {len(images)} paths of images",
            hint="leave one of them out",
        )
    files = [folder / "survey.toml", folder / "run.toml"]
    if existing := [str(path) for path in files if path.exists()]:
        raise ConfigError(
            "The folder has such files already.", received=existing, hint="name another folder"
        )
    name = quote(folder.resolve().name)
    table, notes = (None, []) if catalog is None else _read(catalog, id)
    paths, split = [] if catalog is None else [str(p.resolve()) for p in (catalog, *more)], ""
    if more:
        assert table is not None
        split, split_note = _draft_split(paths)
        notes.append(split_note)
        join_catalogs([table, *(read_catalog(p, id=table.roles.id) for p in more)], paths)
    draft = None if survey is not None else _draft_survey(table, catalog, images)
    notes += draft.notes if draft is not None else []
    scalars: list[str] = []
    roles, task = "", UNKNOWN_TASK
    if table is not None:
        roles = _describe_roles(table)
        positions = f"positions '{table.roles.ra}', '{table.roles.dec}'"
        notes.append(
            f"catalogue of {len(table)} rows: identifier '{table.roles.id}', "
            + (positions if table.roles.ra else "no positions")
        )
        if survey is None and draft is None:
            scalars, scalar_notes = draft_scalars(table)
            notes += scalar_notes
        task, task_notes = draft_task(table, images=not scalars)
        notes += task_notes
    options = tomllib.loads(f"[task]\n{task}")["task"]
    handed = "handedness" in make(**options).sensitive_to
    if handed:
        notes.append("a mirror image has another label: augmentation by rotations alone")
    content: dict[Path, str] = {}
    if draft is not None:
        content[files[0]] = draft.format(folder.resolve().name)
    elif not scalars:
        template = survey or "tiles"
        content[files[0]] = (
            TEMPLATES[template].format(name=name)
            if template in TEMPLATES
            else shipped[template].read_text(encoding="utf-8")
        )
    content[files[1]] = _RUN.format(
        run=files[1],
        name=name,
        survey="" if scalars else _SURVEY,
        catalog=quote("catalog.fits" if catalog is None else str(catalog.resolve()))
        if not more
        else _quote_all(paths),
        roles=roles + split,
        inputs=_describe_inputs(draft, scalars),
        task=task,
        architecture="ann" if scalars else "plain8",
        augmentation=_ROTATIONS if handed else "",
    )
    folder.mkdir(parents=True, exist_ok=True)
    yield from (f"- {note}" for note in notes)
    for path, text in content.items():
        write_text(path, text)
        yield f"wrote {path}"
    if table is None and draft is not None and draft.kind == "tiles":
        yield f"next: astrocnn detect {files[0]} --out {folder / 'catalog.fits'}"
    elif draft is None and not scalars:
        yield f"next: edit {' and '.join(map(str, content))}, then astrocnn check {files[1]}"
    else:
        yield f"next: astrocnn check {files[1]}"


def _draft_split(paths: Sequence[str]) -> tuple[str, str]:
    """Lines with the split of each file, by its name, and what was assumed."""
    splits = []
    for number, path in enumerate(paths):
        words = re.findall("[a-z]+", Path(path).stem.lower())
        named = (s for s, start in _SPLIT_NAMES.items() if any(w.startswith(start) for w in words))
        last = number and number == len(paths) - 1
        splits.append(next(named, "test" if last else "train"))
    if "train" not in splits:
        splits[0] = "train"
    note = ", ".join(f"{Path(p).name}: {s}" for p, s in zip(paths, splits, strict=True))
    return f"\n[split]\nfiles = {_quote_all(splits)}\n", f"split of the files: {note}"


def _quote_all(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(quote, texts))}]"


def _read(path: Path, id: str | None) -> tuple[Catalog, list[str]]:
    """The catalogue, with another identifier if none is known, and what was assumed."""
    try:
        return read_catalog(path, id=id), []
    except CatalogError:
        table = read_catalog(path, id=ROW_NUMBER) if id is None else None
        if table is None or table.roles.id != ROW_NUMBER:
            raise
    for name in table.table.colnames:
        values, missing = table.column(name)
        # Numbers of any measurement differ from row to row as well.
        if values.dtype.kind in "US" and not missing.any() and len(set(values)) == len(values):
            note = f"no column has the name of an identifier: '{name}' differs in each row"
            return read_catalog(path, id=name), [note]
    return table, [f"no column of identifiers: rows are numbered, as '{ROW_NUMBER}'"]


def _draft_survey(
    table: Catalog | None, catalog: Path | None, images: Sequence[Path]
) -> SurveyDraft | None:
    """A survey of the images that are given, or that a column of the catalogue names."""
    files = list_images(images) if images else []
    if table is not None and catalog is not None:
        columns: Mapping[str, Sequence[object]] = {
            name: list(table.table[name][:_HEAD])
            for name in table.table.colnames
            if table.table[name].dtype.kind in "USOiu" and table.table[name].ndim == 1
        }
        draft = draft_stamps(columns, files, catalog.resolve().parent)
        if draft is not None:
            return draft
    return draft_tiles(files) if files else None


def _describe_inputs(draft: SurveyDraft | None, scalars: list[str]) -> str:
    """The keys of ``[inputs]``."""
    if scalars:
        return f"scalars = {quote(scalars)}\n"
    lines = _SIZE.format(size=64 if draft is None else draft.size)
    if draft is not None and draft.stretch is not None:
        lines += f"stretch = {quote(draft.stretch)}\n"
    return lines


def _describe_roles(catalog: Catalog) -> str:
    """Lines that name the recognized columns."""
    found = {role: getattr(catalog.roles, role) for role in ("id", "ra", "dec")}
    return "".join(f"{role} = {quote(column)}\n" for role, column in found.items() if column)
