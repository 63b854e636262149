"""Simulated surveys and stamps of galaxies of several classes and stars, with their truth."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.simulation.canvas import import_galsim
from astrocnn.simulation.objects import (
    CANVAS_SIZES,
    SkyObject,
    add_noise,
    make_rng,
    render_objects,
    sample_object,
)
from astrocnn.simulation.presets import Preset, get_preset
from astrocnn.simulation.tiles import (
    Simulation,
    Tile,
    layout_tiles,
    make_table,
    run_jobs,
    sample_position,
    sample_uncovered_position,
    validate_output_folder,
    write_catalog,
    write_image,
    write_survey_file,
)

__all__ = ["FIRST_NEIGHBOR", "simulate", "simulate_stamps", "truth_table"]

MASKED_VALUE = 1.0e5  # of masked pixels, in sky sigmas: using one by mistake is conspicuous
FIRST_NEIGHBOR = 2**31  # neighbors are objects of the same population, with numbers beyond any row

COLUMNS: dict[str, tuple[type | str, str | None, str]] = {
    "morphology": ("U16", None, "true class"),
    "r_e": (np.float32, "arcsec", "half-light radius along the major axis"),
    "b_over_t": (np.float32, None, "bulge-to-total flux ratio at 0.62 micron"),
    "sersic_n": (np.float32, None, "Sersic index of the bulge"),
    "axis_ratio": (np.float32, None, "axis ratio of the bulge"),
    "inclination": (np.float32, "deg", "inclination of the disk, 90 for edge-on"),
    "position_angle": (np.float32, "deg", "major axis from north through east"),
    "n_arms": (np.int16, None, "number of spiral arms"),
    "pitch": (np.float32, "deg", "pitch angle of the arms"),
    "handedness": (np.int16, None, "1: arms turn counterclockwise outwards, -1: clockwise"),
    "bar": (np.int16, None, "1 with a bar"),
    "dust_lane": (np.int16, None, "1 with a dust lane"),
    "separation": (np.float32, "arcsec", "distance between the nuclei of a merger"),
}
"""Attribute of `Shape` (its label for ``morphology``) -> type, unit and description."""


@dataclasses.dataclass(frozen=True)
class _TileJob:
    """Everything a process needs to make one tile: positions [deg] are those of all objects."""

    folder: Path
    tile: Tile
    preset: Preset
    seed: int
    ra: np.ndarray
    dec: np.ndarray
    masked: bool
    rms: bool


def simulate(
    out: str | os.PathLike[str],
    *,
    n_objects: int = 2000,
    preset: str | Preset = "ground",
    bands: Sequence[str] | None = None,
    seed: int = 0,
    tile_size: int = 1500,
    overlap: int = 150,
    spacing: float = 72.0,
    center: tuple[float, float] = (150.1, 2.2),
    class_fractions: Mapping[str, float] | None = None,
    invalid_rows: int = 8,
    coarse: Mapping[str, float] | None = None,
    rms: bool = False,
    masked: bool = True,
    workers: int | None = 1,
) -> Simulation:
    """Write a simulated survey with known truth.

    The folder `out` receives ``tiles/tile<number>_<band>.fits`` (HDUs IMAGE, MASK and, on
    request, RMS), ``catalog.fits`` with the truth, and ``survey.toml``, which describes the tiles.

    Parameters
    ----------
    out : path
        Folder; created if missing.  Files of an earlier simulation are replaced.
    n_objects : int
        Number of objects on the tiles.
    preset : str or Preset
        Survey to imitate: ``"ground"`` (g r i z) or ``"euclid"`` (VIS Y J H).
    bands : sequence of str, optional
        Bands of the preset; all by default.
    seed : int
        The same seed gives identical pixels, whatever `workers`.
    tile_size, overlap : int
        Side of a tile, and width of the overlap of the first two [pixel].
    spacing : float
        Mean distance of objects [pixel]: with their number it sets the number of tiles.
    center : tuple of float
        RA, Dec of the middle of the field [deg].
    class_fractions : mapping of str to float, optional
        Fraction of each class.
    invalid_rows : int
        Further rows of the catalogue, half of them outside all tiles and half without
        coordinates (NaN), as real catalogues have.
    coarse : mapping of str to float, optional
        Bands with larger pixels, and how many times larger.
    rms : bool
        Whether each tile has a plane with the standard deviation of the noise, 1e16 where
        there is no data.
    masked : bool
        Whether the last tile has a masked region.
    workers : int, optional
        Number of processes; None for one per core.

    Raises
    ------
    ConfigError
        For an unknown preset, band or class, a parameter out of range, or a folder with files
        that were not simulated.
    MissingDependency
        Without galsim.
    AstrocnnError
        If a worker process fails.
    """
    import_galsim()
    survey = get_preset(preset, bands, coarse, class_fractions)
    if n_objects < 1 or tile_size < 64 or invalid_rows < 0 or not 0 <= overlap < tile_size:
        raise ConfigError(
            "Invalid simulation parameters.",
            received=f"n_objects={n_objects}, tile_size={tile_size}, overlap={overlap}, "
            f"invalid_rows={invalid_rows}",
            allowed="n_objects >= 1, tile_size >= 64, 0 <= overlap < tile_size, invalid_rows >= 0",
        )
    folder = Path(out)
    validate_output_folder(folder)
    n_tiles = max(2, round(n_objects * spacing**2 / tile_size**2))
    tiles = layout_tiles(n_tiles, tile_size, overlap, survey.pixel_scale, center)
    margin = min(32, tiles[0].size(survey.pixel_scale) // 8)
    positions = [
        sample_position(seed, index, tiles, survey.pixel_scale, margin)
        for index in range(n_objects)
    ]
    rng = make_rng(seed, "rows", 0)
    for row in range(invalid_rows):
        uncovered = row % 2 == 0
        positions.append(sample_uncovered_position(rng, tiles) if uncovered else (np.nan, np.nan))
    ra, dec = np.array(positions).T
    objects = [sample_object(seed, index, survey) for index in range(n_objects + invalid_rows)]
    on_tiles = ra[:n_objects], dec[:n_objects]
    jobs = [
        _TileJob(folder, tile, survey, seed, *on_tiles, masked and tile is tiles[-1], rms)
        for tile in tiles
    ]
    images = tuple(path for paths in run_jobs(jobs, workers, _write_tile) for path in paths)
    # Shuffled, so that invalid rows are not all at the end.
    order = make_rng(seed, "rows", 1).permutation(len(objects))
    comment = "Magnitudes are observed AB. Some rows lie outside all tiles or have no coordinates."
    catalog = write_catalog(truth_table(objects, survey, ra, dec)[order], folder, seed, comment)
    path = write_survey_file(
        folder, survey.name, survey.bands, n_tiles, reference=survey.reference, mask=True, rms=rms
    )
    return Simulation(catalog, path, images)


def _write_tile(job: _TileJob) -> list[Path]:
    """Render one tile in all bands, and return its files."""
    paths = []
    for scale in sorted({band.pixel_scale for band in job.preset.bands}):
        same_grid = tuple(band for band in job.preset.bands if band.pixel_scale == scale)
        group = dataclasses.replace(job.preset, bands=same_grid)
        size = job.tile.size(scale)
        pixels = job.tile.pixels(job.ra, job.dec, scale)
        reach = CANVAS_SIZES[-1] / 2
        near = np.flatnonzero(np.all((pixels > -reach) & (pixels < size + reach), axis=1))
        objects = [sample_object(job.seed, int(k), job.preset).rendered(group) for k in near]
        images = render_objects(objects, pixels[near], size, same_grid)
        mask = _make_mask(job, size) if job.masked else np.zeros((size, size), np.uint8)
        for band, image in zip(same_grid, images, strict=True):
            noisy = add_noise(image, band, job.seed, (job.tile.index, 0))
            noisy[mask != 0] = MASKED_VALUE * band.sky_sigma
            rms = None
            if job.rms:
                rms = np.sqrt(band.sky_sigma**2 + np.maximum(image, 0) / band.gain)
            paths.append(
                write_image(job.folder, job.tile, band, noisy, job.seed, mask=mask, rms=rms)
            )
    return paths


def _make_mask(job: _TileJob, size: int) -> np.ndarray:
    """A disk and a column, like the halo and the bleeding trail of a bright star."""
    # In units of the side, so that it covers the same sky in bands with larger pixels.
    x0, y0 = make_rng(job.seed, "mask", job.tile.index).uniform(0.2, 0.8, 2) * size
    y, x = np.mgrid[:size, :size]
    disk = np.hypot(x - x0, y - y0) < 0.05 * size
    column = (np.abs(x - x0) < 0.002 * size) & (np.abs(y - y0) < 0.15 * size)
    return (disk | column).astype(np.uint8)


def simulate_stamps(
    n_objects: int,
    *,
    size: int = 64,
    preset: str | Preset = "ground",
    bands: Sequence[str] | None = None,
    seed: int = 0,
    class_fractions: Mapping[str, float] | None = None,
    neighbors: float = 0.4,
    noise: bool = True,
) -> tuple[np.ndarray, Table]:
    """Stamps of simulated objects as arrays, and their truth.

    Parameters
    ----------
    preset, bands, class_fractions
        As for `simulate`.
    size : int
        Side of a stamp [pixel].
    seed : int
        Object i of seed s is always the same, whatever `n_objects`.
    neighbors : float
        Mean number of unrelated objects whose centers fall on a stamp.
    noise : bool
        Whether to add noise.

    Returns
    -------
    images : ndarray of shape (n_objects, size, size, n_bands)
        Flux [nJy], float32.
    truth : Table
        As in the catalogue of `simulate`, without positions.

    Raises
    ------
    ConfigError
        For an unknown preset, band or class, or a number that is not positive.
    MissingDependency
        Without galsim.

    Examples
    --------
    >>> images, truth = simulate_stamps(3, size=32, bands=("g", "r"), seed=1)
    >>> images.shape, len(truth)
    ((3, 32, 32, 2), 3)
    """
    import_galsim()
    if n_objects < 1 or size < 1:
        raise ConfigError("`n_objects` and `size` must be positive.", received=(n_objects, size))
    survey = get_preset(preset, bands, fractions=class_fractions)
    objects = [sample_object(seed, index, survey) for index in range(n_objects)]
    images = np.empty((n_objects, size, size, len(survey.bands)), np.float32)
    for index, item in enumerate(objects):
        rng = make_rng(seed, "neighbors", index)
        count = int(rng.poisson(neighbors))
        center = (size - 1) / 2 + rng.uniform(-0.5, 0.5, (1, 2))
        pixels = np.vstack([center, rng.uniform(-0.5, size - 0.5, (count, 2))])
        first = FIRST_NEIGHBOR + 64 * index
        others = [sample_object(seed, first + number, survey) for number in range(min(count, 64))]
        stamp = [other.rendered(survey) for other in (item, *others)]
        image = render_objects(stamp, pixels[: len(stamp)], size, survey.bands)
        for channel, (band, plane) in enumerate(zip(survey.bands, image, strict=True)):
            noisy = add_noise(plane, band, seed, (index, 1)) if noise else plane
            images[index, :, :, channel] = noisy
    return images, truth_table(objects, survey)


def truth_table(
    objects: Sequence[SkyObject],
    preset: Preset,
    ra: np.ndarray | None = None,
    dec: np.ndarray | None = None,
) -> Table:
    """Table of the true properties of objects, with observed magnitudes ``mag_<band>``.

    `ra` and `dec` are positions [deg] of shape (n,); without them the table has no such columns.
    """
    table = make_table(np.array([item.id for item in objects]), ra, dec)
    magnitudes = np.array([item.magnitudes(preset) for item in objects], dtype=np.float32)
    for name, (dtype, unit, description) in COLUMNS.items():
        attribute = "label" if name == "morphology" else name
        table[name] = np.array([getattr(item.shape, attribute) for item in objects], dtype=dtype)
        table[name].unit, table[name].description = unit, description
        if name == "morphology":
            for band, column in zip(preset.bands, magnitudes.T, strict=True):
                table[f"mag_{band.name}"] = column
                table[f"mag_{band.name}"].unit = "mag"
    table["ebv"] = np.array([item.ebv for item in objects], dtype=np.float32)
    table["ebv"].unit, table["ebv"].description = "mag", "Galactic reddening E(B-V)"
    return table
