"""``astrocnn show``: plot the network inputs before training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astrocnn.atomic import replacing
from astrocnn.catalog import read_catalog
from astrocnn.errors import ConfigError, ImageError
from astrocnn.flags import UNUSABLE
from astrocnn.report.gallery import plot_bands
from astrocnn.runs.run import load_survey, open_images

__all__ = ["run"]

FORMATS = (".png", ".pdf", ".svg", ".jpg")


def run(
    survey: Path,
    *,
    catalog: Path,
    out: Path,
    id: str | None = None,
    size: int = 64,
    objects: int = 8,
) -> Iterator[str]:
    """Plot the band stacks of the first objects of a catalogue that have an image.

    Raises
    ------
    ConfigError
        If `out` is no picture format.
    ImageError
        If none of the first thousand objects has one.
    """
    if out.suffix.lower() not in FORMATS:
        raise ConfigError(
            "The picture to write has an unknown format.", received=str(out), allowed=FORMATS
        )
    definition = load_survey(survey)
    table = read_catalog(catalog, id=id)
    source = open_images(definition, table, size)
    cutouts = source.read(np.arange(min(len(table), max(1000, objects))))
    good = np.flatnonzero((cutouts.flags & int(UNUSABLE)) == 0)[:objects]
    if not len(good):
        raise ImageError(
            f"None of the first {len(cutouts.flags)} objects of the catalogue has an image.",
            hint="compare the positions of the catalogue with the footprint of the survey",
        )
    figure = plot_bands(
        cutouts.images[good],
        source.bands,
        labels=[str(name) for name in table.ids[good]],
        pixel_scale=source.pixel_scale,
    )
    with replacing(out) as temporary:
        figure.savefig(temporary, format=out.suffix.lower().lstrip("."), dpi=200)
    yield f"{len(good)} objects in {len(source.bands)} bands: {out}"
