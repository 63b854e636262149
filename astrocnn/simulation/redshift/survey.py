"""The simulated redshift survey on disk: tiles, catalogue and survey file."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrocnn.atomic import replacing, write_text
from astrocnn.errors import ConfigError
from astrocnn.simulation.layout import GAP, Tile, lay_tiles
from astrocnn.simulation.population import generator
from astrocnn.simulation.redshift.galaxies import Galaxies, draw_galaxies
from astrocnn.simulation.redshift.images import draw_field
from astrocnn.simulation.redshift.painting import PaintedGalaxy, painted
from astrocnn.simulation.redshift.photometry import RedshiftSurvey
from astrocnn.simulation.redshift.truth import redshift_table
from astrocnn.simulation.survey import (
    FIRST_LINE,
    SIMULATED,
    Simulation,
    refuse_to_replace,
    run_jobs,
)
from astrocnn.simulation.tiles import tile_name
from astrocnn.simulation.truth import write_table

__all__ = ["simulate_redshift"]

CELL = 56  # mean distance of galaxies [pixel]
JITTER = 15  # no two are nearer than CELL - 2 JITTER, twice the reach of the measurement
BORDER = 20  # a stamp of 64 pixels about any galaxy lies on the tile


@dataclasses.dataclass(frozen=True)
class FieldJob:
    """All that a process needs to make one tile.

    Parameters
    ----------
    folder : Path
        Where the files go.
    tile : Tile
        Place on the sky.
    survey : RedshiftSurvey
        Bands.
    seed : int
        Seed of the simulation.
    galaxies : Galaxies
        Those on the tile.
    objects : list of PaintedGalaxy
        The same, ready to be drawn.
    pixels : ndarray of shape (n, 2)
        Positions on the tile.
    """

    folder: Path
    tile: Tile
    survey: RedshiftSurvey
    seed: int
    galaxies: Galaxies
    objects: list[PaintedGalaxy]
    pixels: np.ndarray


def simulate_redshift(
    out: str | os.PathLike[str],
    *,
    n_objects: int = 2500,
    seed: int = 0,
    survey: RedshiftSurvey | None = None,
    tile_size: int = 1500,
    center: tuple[float, float] = (150.1, 2.2),
    workers: int | None = 1,
) -> Simulation:
    """Write a survey of galaxies in u g r i z, with redshifts of up to 0.4.

    In `out` appear ``tiles/tile<number>_<band>.fits``, ``catalog.fits`` and ``survey.toml``, as
    `astrocnn.simulation.simulate` writes them; the columns are those of `redshift_table`.

    Parameters
    ----------
    out : path
        Folder; made when missing.  Files of an older simulation are replaced.
    n_objects : int
        Number of galaxies.
    seed : int
        The same seed gives identical pixels, whatever `workers`.
    survey : RedshiftSurvey, optional
        Bands, noise, limit, and whether forms tell of the redshift.
    tile_size : int
        Largest side of a tile [pixel].
    center : tuple of float
        RA, Dec of the middle of the field [deg].
    workers : int, optional
        Processes; None for one on each core.

    Returns
    -------
    Simulation
        Paths of the files.

    Raises
    ------
    ConfigError
        For numbers that make no survey, or a folder with a catalogue that is not simulated.
    MissingDependency
        Without galsim.
    """
    survey = survey or RedshiftSurvey()
    if n_objects < 1 or tile_size < CELL + 2 * BORDER:
        raise ConfigError(
            "These numbers make no survey.",
            received=f"n_objects={n_objects}, tile_size={tile_size}",
            allowed=f"n_objects >= 1, tile_size >= {CELL + 2 * BORDER}",
        )
    folder = Path(out)
    refuse_to_replace(folder)
    galaxies = draw_galaxies(n_objects, seed=seed, survey=survey)
    objects = painted(galaxies, survey, seed=seed)
    n_tiles = -(-n_objects // ((tile_size - 2 * BORDER) // CELL) ** 2)
    cells = int(np.ceil(np.sqrt(n_objects / n_tiles)))
    tiles = lay_tiles(n_tiles, cells * CELL + 2 * BORDER, -GAP, survey.pixel_scale, center)
    jobs, positions = [], []
    for tile, rows in zip(tiles, np.array_split(np.arange(n_objects), n_tiles), strict=True):
        pixels = _scatter(generator(seed, "place", tile.index), len(rows), cells)
        positions.append(tile.wcs(survey.pixel_scale).all_pix2world(pixels, 0))
        near = [objects[row] for row in rows]
        jobs.append(FieldJob(folder / "tiles", tile, survey, seed, galaxies[rows], near, pixels))
    written = [path for paths in run_jobs(jobs, workers, _write_field) for path in paths]
    ra, dec = np.concatenate(positions).T
    write_table(
        redshift_table(galaxies, survey, ra, dec),
        folder / "catalog.fits",
        [f"{SIMULATED} with seed {seed}: not a real sky."],
    )
    write_text(folder / "survey.toml", _survey_file(survey, n_tiles))
    return Simulation(folder / "catalog.fits", folder / "survey.toml", tuple(written))


def _scatter(rng: np.random.Generator, n: int, cells: int) -> np.ndarray:
    """Positions (x, y), one in a cell, shape (n, 2)."""
    chosen = rng.permutation(cells**2)[:n]
    middle = np.column_stack(np.divmod(chosen, cells)) * CELL + BORDER + (CELL - 1) / 2
    return middle + rng.uniform(-JITTER, JITTER, (n, 2))


def _write_field(job: FieldJob) -> list[Path]:
    size = job.tile.size(job.survey.pixel_scale)
    image = draw_field(
        job.galaxies,
        job.objects,
        job.pixels,
        size,
        job.survey,
        seed=job.seed,
        field=job.tile.index,
    )
    paths = []
    for band, plane in zip(job.survey.bands, image, strict=True):
        header = job.tile.wcs(band.pixel_scale).to_header()
        header["FILTER"] = (band.name, "LSST band")
        header["MAGZERO"] = (band.zero_point, "AB magnitude of one unit of this image")
        header["PSFFWHM"] = (band.fwhm, "[arcsec] of the Moffat profile, pixel excluded")
        header["SKYSIGMA"] = (band.sky_sigma / band.unit, "standard deviation of the noise")
        header["SEED"] = (job.seed, "of the simulation")
        header["COMMENT"] = f"{SIMULATED}: not a real sky."
        path = job.folder / tile_name(job.tile.index, band.name)
        hdu = fits.ImageHDU((plane / band.unit).astype(np.float32), header, name="IMAGE")
        with replacing(path) as temporary:
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(temporary, overwrite=True)
        paths.append(path)
    return paths


def _survey_file(survey: RedshiftSurvey, n_tiles: int) -> str:
    names = ", ".join(f'"{name}"' for name in survey.names)
    lines = [
        FIRST_LINE,
        'name = "simulated redshift"',
        'kind = "tiles"',
        'unit = "nJy"',
        'reference = "r"',
        "# {band} stands for the name of each band.",
        "image = [",
        *(f'  "tiles/{tile_name(number, "{band}")}",' for number in range(n_tiles)),
        "]",
        'hdu = "IMAGE"',
        "# Header keyword of the AB magnitude of one image unit.",
        'zero_point = "MAGZERO"',
        f"bands = [{names}]",
    ]
    return "\n".join(lines) + "\n"
