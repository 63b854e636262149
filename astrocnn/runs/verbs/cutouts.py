"""``astrocnn cutouts``: the images of a catalogue, cut and stacked into shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astrocnn.datasets import Shards, write_shards
from astrocnn.errors import ImageError
from astrocnn.flags import UNUSABLE, Flag
from astrocnn.runs.assemble import catalog_of, inputs_of, source_of, survey_of
from astrocnn.runs.config import RunConfig, check_names
from astrocnn.runs.directory import RunDirectory

__all__ = ["make_shards", "run"]


def run(config: RunConfig, out: Path) -> Iterator[str]:
    """Write the shards of a run and say what was found."""
    folder = RunDirectory.create(out, config)
    shards = make_shards(config, folder)
    yield f"{len(shards)} objects in {folder.shards}"
    yield from tally_flags(shards)


def make_shards(config: RunConfig, folder: RunDirectory) -> Shards:
    """The shards of a run; those already there are not cut again.

    Raises
    ------
    ImageError
        If not a single object has an image.
    """
    check_names(config)
    catalog = catalog_of(config)
    source = source_of(survey_of(config), catalog, config.inputs.size)
    shards = write_shards(folder.shards, catalog, source, inputs_of(config, source))
    if np.all(shards.flags & int(UNUSABLE)):
        raise ImageError(
            "Not one object of the catalogue has an image.",
            received="; ".join(tally_flags(shards)),
            hint="compare the positions or file names of the catalogue with the survey: "
            "'astrocnn check' shows both",
        )
    return shards


def tally_flags(shards: Shards) -> list[str]:
    """How many rows carry each flag."""
    return [
        f"{count:>9d}  {flag.sentence}"
        for flag in Flag
        if (count := int(np.count_nonzero(shards.flags & int(flag))))
    ]
