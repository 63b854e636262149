"""``astrocnn map``: write an interactive map of embeddings, one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.catalog import Catalog, Roles
from astrocnn.embeddings import project, select_colors, write_map
from astrocnn.errors import ConfigError
from astrocnn.flags import UNUSABLE
from astrocnn.imaging import Survey
from astrocnn.progress import track
from astrocnn.report.gallery import compute_band_levels, encode_jpeg, make_rgb
from astrocnn.runs.object_tables import open_run_of_images, read_table, select_objects
from astrocnn.runs.run import open_images

__all__ = ["MOST_THUMBNAILS", "run"]

MOST_THUMBNAILS = 20_000
"""Objects with an image on a map at most; of more, a random sample."""

_SIDE = 48
_BLOCK = 256
_LEVEL_OBJECTS = 256


def run(
    embeddings: Path,
    *,
    out: Path,
    method: str = "pca",
    colors: Path | None = None,
    columns: Sequence[str] = (),
    id: str | None = None,
    images: Path | None = None,
    catalog: Path | None = None,
    survey: Path | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Write the map of a table of embeddings.

    Raises
    ------
    ConfigError
        If `out` is no HTML file, columns are named without a table, or images are described and
        not asked for.
    PredictionError
        If the table holds no embeddings, or a column or an object is not where it should be.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError("The map must be an HTML file.", received=str(out), allowed=".html")
    source = open_run_of_images(images, catalog, survey)
    if columns and colors is None and source is None:
        raise ConfigError(
            "The columns to color by are in no table.",
            received=list(columns),
            hint="--colors TABLE, such as predictions.fits or the catalogue",
        )
    projection = project(embeddings, method=method, id=id, seed=seed)
    name = projection.objects.colnames[0]
    shades: dict[str, NDArray[Any]] = {}
    if colors is not None:
        table = read_table(colors, id, Roles(name))
        shades = select_colors(table.table, projection.ids, table.roles.id, columns)
    thumbnails: list[str] = []
    if source is not None:
        own, sky = select_objects(source, projection.ids, name, catalog, survey)
        thumbnails, usable = _encode_thumbnails(own, sky, source.config.inputs.size, seed)
        yield f"{usable} of {len(projection.ids)} objects have a thumbnail"
        if colors is None:
            names = columns or [c for c in source.task.label_columns if c in own.table.colnames]
            if names:
                shades = select_colors(own.table, projection.ids, own.roles.id, names)
    title = "Map of embeddings"
    if source is not None and source.config.title:
        title = f"{title}: {source.config.title}"
    write_map(out, projection, colors=shades, thumbnails=thumbnails, title=title)
    if projection.total > len(projection.ids):
        yield f"{len(projection.ids)} of {projection.total} objects, chosen at random"
    colored = f", colored by {next(iter(shades))}" if shades else ""
    if len(shades) > 1:
        colored += f" and {len(shades) - 1} other columns"
    yield f"{len(projection.ids)} objects by {method}{colored}"
    yield f"map: {out}, {out.stat().st_size / 1e6:.1f} MB"


def _encode_thumbnails(
    objects: Catalog, sky: Survey, size: int, seed: int
) -> tuple[list[str], int]:
    """JPEG of each object, empty where there is none, and the number of images."""
    shown = np.arange(len(objects))
    if len(objects) > MOST_THUMBNAILS:
        random = np.random.default_rng(seed)
        shown = np.sort(random.choice(len(objects), MOST_THUMBNAILS, replace=False))
    chosen = objects[shown]
    source = open_images(sky, chosen, size)
    sample = np.linspace(0, len(chosen) - 1, min(len(chosen), _LEVEL_OBJECTS)).astype(np.int64)
    first = source.read(sample)
    good = (first.flags & int(UNUSABLE)) == 0
    levels = compute_band_levels(first.images[good]).tolist() if good.any() else None
    thumbnails, usable = [""] * len(objects), 0
    starts = range(0, len(chosen), _BLOCK)
    for start in track(starts, "thumbnails", total=len(starts)):
        rows = np.arange(start, min(start + _BLOCK, len(chosen)))
        cutouts = source.read(rows)
        pictures = make_rgb(cutouts.images, levels=levels)
        for row, picture, flags in zip(rows, pictures, cutouts.flags, strict=True):
            if not flags & int(UNUSABLE):
                # North is up: row 0 of an array is the bottom of the image.
                thumbnails[shown[row]] = encode_jpeg(picture[::-1], _SIDE)
                usable += 1
    return thumbnails, usable
