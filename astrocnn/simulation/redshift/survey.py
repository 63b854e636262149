"""Simulated surveys and stamps of galaxies with redshifts, with their truth."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.simulation.objects import RenderedObject, make_rng
from astrocnn.simulation.redshift.galaxies import (
    REACH,
    Galaxies,
    RedshiftSurvey,
    asinh_magnitude,
    sample_galaxies,
)
from astrocnn.simulation.redshift.images import build_objects, morphology_label, render_field
from astrocnn.simulation.survey_files import (
    Simulation,
    run_jobs,
    validate_output_folder,
    write_catalog,
    write_image,
    write_survey_file,
)
from astrocnn.simulation.tiles import GAP, Tile, layout_tiles

__all__ = ["redshift_table", "simulate_redshift", "simulate_redshift_stamps"]

CELL = 56  # mean distance of galaxies [pixel]
JITTER = 15  # no two are nearer than CELL - 2 JITTER, twice the reach of the measurement
BORDER = 20  # a stamp of 64 pixels about any galaxy lies on the tile


@dataclasses.dataclass(frozen=True)
class _FieldJob:
    """Everything a process needs to make one tile; `pixels` are positions of shape (n, 2)."""

    folder: Path
    tile: Tile
    survey: RedshiftSurvey
    seed: int
    galaxies: Galaxies
    objects: list[RenderedObject]
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
    """Write a survey of galaxies in u g r i z, with redshifts up to 0.4.

    The folder `out` receives ``tiles/tile<number>_<band>.fits``, ``catalog.fits`` and
    ``survey.toml``, as from `astrocnn.simulation.simulate`, with the columns of `redshift_table`.

    Parameters
    ----------
    out : path
        Folder; created if missing.  Files of an earlier simulation are replaced.
    n_objects : int
        Number of galaxies.
    seed : int
        The same seed gives identical pixels, whatever `workers`.
    survey : RedshiftSurvey, optional
        Bands, noise, limit, and whether sizes and shapes are informative about the redshift.
    tile_size : int
        Largest side of a tile [pixel].
    center : tuple of float
        RA, Dec of the middle of the field [deg].
    workers : int, optional
        Number of processes; None for one per core.

    Returns
    -------
    Simulation
        Paths of the files.

    Raises
    ------
    ConfigError
        For a parameter out of range, or a folder with files that were not simulated.
    MissingDependency
        Without galsim.
    """
    survey = survey or RedshiftSurvey()
    if n_objects < 1 or tile_size < CELL + 2 * BORDER:
        raise ConfigError(
            "Invalid simulation parameters.",
            received=f"n_objects={n_objects}, tile_size={tile_size}",
            allowed=f"n_objects >= 1, tile_size >= {CELL + 2 * BORDER}",
        )
    folder = Path(out)
    validate_output_folder(folder)
    galaxies = sample_galaxies(n_objects, seed=seed, survey=survey)
    objects = build_objects(galaxies, survey, seed=seed)
    n_tiles = -(-n_objects // ((tile_size - 2 * BORDER) // CELL) ** 2)
    cells = int(np.ceil(np.sqrt(n_objects / n_tiles)))
    tiles = layout_tiles(n_tiles, cells * CELL + 2 * BORDER, -GAP, survey.pixel_scale, center)
    jobs, positions = [], []
    for tile, rows in zip(tiles, np.array_split(np.arange(n_objects), n_tiles), strict=True):
        pixels = _sample_pixels(make_rng(seed, "place", tile.index), len(rows), cells)
        positions.append(tile.wcs(survey.pixel_scale).all_pix2world(pixels, 0))
        near = [objects[row] for row in rows]
        jobs.append(_FieldJob(folder, tile, survey, seed, galaxies[rows], near, pixels))
    images = tuple(path for paths in run_jobs(jobs, workers, _write_field) for path in paths)
    ra, dec = np.concatenate(positions).T
    catalog = write_catalog(redshift_table(galaxies, survey, ra, dec), folder, seed)
    path = write_survey_file(folder, "redshift", survey.bands, n_tiles, reference="r")
    return Simulation(catalog, path, images)


def _sample_pixels(rng: np.random.Generator, n: int, cells: int) -> np.ndarray:
    """Positions (x, y), at most one in a cell, shape (n, 2)."""
    chosen = rng.permutation(cells**2)[:n]
    middle = np.column_stack(np.divmod(chosen, cells)) * CELL + BORDER + (CELL - 1) / 2
    return middle + rng.uniform(-JITTER, JITTER, (n, 2))


def _write_field(job: _FieldJob) -> list[Path]:
    """Render one tile in all bands, and return its files."""
    size, survey = job.tile.size(job.survey.pixel_scale), job.survey
    image = render_field(
        job.galaxies, job.objects, job.pixels, size, survey, seed=job.seed, field=job.tile.index
    )
    return [
        write_image(job.folder, job.tile, band, plane, job.seed, gain=False)
        for band, plane in zip(survey.bands, image, strict=True)
    ]


def simulate_redshift_stamps(
    n_objects: int, *, size: int = 32, seed: int = 0, survey: RedshiftSurvey | None = None
) -> tuple[np.ndarray, Table]:
    """Stamps of galaxies with redshifts as arrays, one galaxy on each, and their catalogue.

    Parameters
    ----------
    n_objects : int
        Number of galaxies.
    size : int
        Side of a stamp [pixel].
    seed : int
        Galaxy i of a seed is always the same, whatever `n_objects`.
    survey : RedshiftSurvey, optional
        Bands, noise, limit, and whether sizes and shapes are informative about the redshift.

    Returns
    -------
    images : ndarray of shape (n_objects, size, size, n_bands)
        Flux [nJy], float32.
    catalog : Table
        As in the catalogue of `simulate_redshift`, without positions.

    Raises
    ------
    ConfigError
        For a stamp too small for the measurement, or no galaxies.
    MissingDependency
        Without galsim.

    Examples
    --------
    >>> images, catalog = simulate_redshift_stamps(3, size=32, seed=1)
    >>> images.shape, len(catalog)
    ((3, 32, 32, 5), 3)
    """
    survey = survey or RedshiftSurvey()
    if size < 2 * REACH + 2:
        raise ConfigError("`size` is too small.", received=size, allowed=f">= {2 * REACH + 2}")
    galaxies = sample_galaxies(n_objects, seed=seed, survey=survey)
    images = np.empty((n_objects, size, size, len(survey.bands)), np.float32)
    center = np.full((1, 2), (size - 1) / 2)
    for index, item in enumerate(build_objects(galaxies, survey, seed=seed)):
        alone = galaxies[index : index + 1]
        image = render_field(alone, [item], center, size, survey, seed=seed, field=index)
        images[index] = np.moveaxis(image, 0, -1)
    return images, redshift_table(galaxies, survey)


def redshift_table(
    galaxies: Galaxies,
    survey: RedshiftSurvey,
    ra: np.ndarray | None = None,
    dec: np.ndarray | None = None,
) -> Table:
    """Catalogue of galaxies: the measurements, and the truth.

    Parameters
    ----------
    galaxies : Galaxies
        Galaxies.
    survey : RedshiftSurvey
        Bands.
    ra, dec : ndarray of shape (n,), optional
        Positions [deg]; without them the table has no such columns.

    Returns
    -------
    Table
        ``id``, ``ra``, ``dec``, ``z``, measured ``mag_<band>`` and ``mag_err_<band>`` (asinh
        magnitudes, which exist for negative fluxes too), ``flux_<band>`` and ``flux_err_<band>``
        [nJy], ``ebv``, and the truth.
    """
    table = Table()
    table["id"] = galaxies.id
    if ra is not None and dec is not None:
        table["ra"], table["dec"] = np.asarray(ra, float), np.asarray(dec, float)
        table["ra"].unit = table["dec"].unit = "deg"

    def add(name: str, column: np.ndarray, unit: str | None, description: str) -> None:
        table[name] = column.astype(np.float32)
        table[name].unit, table[name].description = unit, description

    add("z", galaxies.z, None, "true redshift, as from a spectrum")
    magnitude, error = asinh_magnitude(galaxies.flux, galaxies.flux_error)
    for prefix, values, unit, description in (
        ("mag", magnitude, "mag", "measured asinh magnitude (AB)"),
        ("mag_err", error, "mag", "standard deviation of the asinh magnitude"),
        ("flux", galaxies.flux, "nJy", "measured flux"),
        ("flux_err", np.broadcast_to(galaxies.flux_error, error.shape), "nJy", "flux error"),
    ):
        for band, column in zip(survey.names, values.T, strict=True):
            add(f"{prefix}_{band}", column, unit, f"{description} in {band}")
    structure = galaxies.structure
    add("ebv", galaxies.ebv, "mag", "Galactic reddening E(B-V)")
    add("type", galaxies.spectral_type, None, "true spectral type: 0 E, 1 Sbc, 2 Scd, 3 Im")
    add("absolute_magnitude", galaxies.absolute_magnitude, "mag", "true, in r, without dust")
    add("dust", galaxies.dust, None, "true dust in the galaxy over the mean of its type")
    add("r_e", structure.r_e, "arcsec", "true half-light radius along the major axis")
    add("b_over_t", structure.b_over_t, None, "true bulge-to-total flux ratio in rest-frame r")
    add("axis_ratio", structure.cosine, None, "true cosine of the inclination")
    add("position_angle", structure.position_angle, "deg", "major axis from north through east")
    table["morphology"] = morphology_label(structure.spectral_type).astype("U16")
    table["morphology"].description = "true class"
    return table
