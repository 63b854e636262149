"""``astrocnn cutouts``: the images of a catalogue, cut and stacked into shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astrocnn import plugins
from astrocnn.clusters import open_scheduler
from astrocnn.datasets import Shards, write_shards
from astrocnn.errors import ImageError
from astrocnn.flags import UNUSABLE, Flag
from astrocnn.imaging import open_source
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.run import Run
from astrocnn.runs.sections import RunConfig
from astrocnn.scheduling import Scheduler

__all__ = ["run", "write_cutouts"]

_SHOWN = 5


def run(
    config: RunConfig, out: Path, *, workers: int = 1, cluster: str | None = None
) -> Iterator[str]:
    """Write the shards of a run and report their contents.

    Parameters
    ----------
    config : RunConfig
        The run.
    out : Path
        Its folder.
    workers, cluster
        Who cuts; see `astrocnn.scheduling.open_scheduler`.
    """
    with RunDirectory(out).claimed(), open_scheduler(cluster, workers) as scheduler:
        current = Run(config, RunDirectory.create(out, config))
        problems = write_cutouts(current, scheduler)
    yield f"{len(current.shards)} objects in {current.directory.shards}"
    yield from tally_flags(current.shards)
    yield from problems


def write_cutouts(run: Run, scheduler: Scheduler | None = None) -> list[str]:
    """Write missing shards, and open them as `Run.shards`.

    Returns
    -------
    problems : list of str
        What was wrong with the first files that could not be read.

    Raises
    ------
    ImageError
        If not a single object has an image.
    """
    source = run.source
    problems: list[str] = getattr(source, "problems", [])
    run.shards = shards = write_shards(
        run.directory.shards, run.catalog, source, run.inputs, scheduler=scheduler
    )
    if np.all(shards.flags & int(UNUSABLE)):
        raise ImageError(
            "Not one object of the catalogue has an image.",
            received="; ".join(
                [*(" ".join(line.split()) for line in tally_flags(shards)), *problems[:1]]
            ),
            hint=_explain_misses(run)
            or "compare the positions or file names of the catalogue with the survey: "
            "'astrocnn check' shows both",
        )
    return problems[:_SHOWN]


def _explain_misses(run: Run) -> str | None:
    """Explain missing images by a wrong unit or order of the coordinates, if that fits."""
    survey, catalog = run.survey, run.catalog
    if survey is None or not plugins.declared(plugins.load("sources", survey.kind), "TILED", False):
        return None
    if catalog.roles.ra is None or catalog.roles.dec is None:
        return None
    rows = np.unique(np.linspace(0, len(catalog) - 1, 1000).astype(int))
    ra, dec = (catalog.numbers(name)[rows] for name in (catalog.roles.ra, catalog.roles.dec))
    for x, y, reading in (
        (np.degrees(ra), np.degrees(dec), "as radians (give the columns the unit rad)"),
        (15 * ra, dec, "with RA in hours (give its column the unit hourangle)"),
        (dec, ra, "with RA and Dec exchanged (name them in [catalog])"),
    ):
        good = np.isfinite(x) & np.isfinite(y) & (np.abs(y) <= 90) & (np.abs(x) <= 360)
        if not good.any():
            continue
        source = open_source(survey, ra=x[good], dec=y[good], size=run.config.inputs.size)
        inside = source.read(np.arange(len(source))).flags & int(UNUSABLE) == 0
        if inside.any():
            return f"read {reading}, {inside.sum()} of {len(rows)} positions tried have an image"
    return None


def tally_flags(shards: Shards) -> list[str]:
    """Count the rows with each flag."""
    return [
        f"{count:>9d}  {flag.sentence}"
        for flag in Flag
        if (count := int(np.count_nonzero(shards.flags & int(flag))))
    ]
