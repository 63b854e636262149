"""``astrocnn detect``: detect sources to make a catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack

from astrocnn import plugins
from astrocnn.atomic import replacing
from astrocnn.errors import CatalogError, ConfigError
from astrocnn.imaging.cutouts import build_decoder, find_bad_pixels
from astrocnn.imaging.detection import detect_sources
from astrocnn.imaging.planes import Plane
from astrocnn.imaging.tiles import BandTiles, open_band
from astrocnn.plugins import nearest
from astrocnn.progress import track
from astrocnn.runs.run import load_survey

__all__ = ["run"]

FORMATS = (".fits", ".ecsv", ".csv", ".parquet")
_SAME_SOURCE = 0.5  # arcsec; matching radius for duplicates on overlapping tiles


def run(
    survey: Path,
    *,
    out: Path,
    band: str | None = None,
    threshold: float = 3.0,
    min_pixels: int = 5,
) -> Iterator[str]:
    """Detect the sources on all tiles of one band and write them as a catalogue.

    Raises
    ------
    ConfigError
        If the survey has no such band or is made of stamps, or `out` is of an unknown format
        or exists.
    CatalogError
        If there is no source at all.
    """
    if out.suffix not in FORMATS:
        raise ConfigError(
            "The catalogue to write has an unknown format.", received=str(out), allowed=FORMATS
        )
    if out.exists():
        raise ConfigError(
            f"'{out}' exists: a catalogue is not replaced.", hint="write to another --out"
        )
    definition = load_survey(survey)
    if not plugins.declared(plugins.load("sources", definition.kind), "TILED", False):
        raise ConfigError(
            "Sources are detected on tiles; this survey has none.", received=definition.kind
        )
    name = band or definition.band_names[definition.reference_index]
    if name not in definition.band_names:
        raise ConfigError(
            f"The survey has no band '{name}'.",
            allowed=definition.band_names,
            hint=nearest(name, definition.band_names),
        )
    tiles = open_band(definition.bands[definition.band_names.index(name)])
    numbers = range(len(tiles.grids))
    tables = [
        _on_tile(tiles, number, threshold, min_pixels) for number in track(numbers, "detecting")
    ]
    table = _once(vstack(tables, metadata_conflicts="silent"))
    if not len(table):
        raise CatalogError(
            f"There is no source above {threshold:g} sigma in band {name}.",
            hint="lower --threshold, or --min-pixels",
        )
    with replacing(out) as temporary:
        table.write(temporary, overwrite=True)
    yield f"{len(table)} sources in {len(tables)} image(s) of band {name}: {out}"


def _on_tile(tiles: BandTiles, number: int, threshold: float, min_pixels: int) -> Table:
    planes = {role: paths[number] for role, paths in tiles.planes.items()}
    image = _values(planes["image"], tiles.band.valid_range).astype(np.float64)
    bad = np.zeros(image.shape, bool)
    for role in ("weight", "variance", "mask"):
        if role in planes:
            bad |= find_bad_pixels(role, _values(planes[role]), tiles.band)
    rms = _values(planes["rms"]).astype(np.float64) if "rms" in planes else None
    if rms is None and "variance" in planes:
        with np.errstate(invalid="ignore"):
            rms = np.sqrt(_values(planes["variance"]).astype(np.float64))
    return detect_sources(
        image,
        tiles.grids[number].wcs,
        threshold=threshold,
        min_pixels=min_pixels,
        rms=rms,
        mask=bad,
    )


def _values(plane: Plane, valid_range: tuple[float, float] | None = None) -> np.ndarray:
    stored = plane.load()
    decode = build_decoder(plane.scaling, valid_range)
    values = stored if decode is None else decode(stored)
    return np.asarray(values, values.dtype.newbyteorder("="))


def _once(table: Table) -> Table:
    """Keep the brighter measurement of sources detected on two tiles."""
    table.sort("flux", reverse=True)
    if len(table) > 1:
        sky = SkyCoord(table["ra"], table["dec"], unit="deg")
        first, second, _, _ = sky.search_around_sky(sky, _SAME_SOURCE * u.arcsec)
        table.remove_rows(np.unique(second[second > first]))
    table["id"] = np.arange(1, len(table) + 1, dtype=np.int64)
    return table
