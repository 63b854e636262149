"""Simulated surveys and stamps of galaxies with redshifts, with their truth.

The noise of the images is that of the catalogued fluxes.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.simulation.morphology import Shape
from astrocnn.simulation.objects import RenderedObject, make_rng, render_objects
from astrocnn.simulation.redshift.galaxies import (
    REACH,
    Galaxies,
    RedshiftSurvey,
    asinh_magnitude,
    flux_weights,
    sample_galaxies,
)
from astrocnn.simulation.redshift.population import Structure, load_templates
from astrocnn.simulation.spectra import Component
from astrocnn.simulation.tiles import (
    GAP,
    Simulation,
    Tile,
    layout_tiles,
    make_table,
    run_jobs,
    validate_output_folder,
    write_catalog,
    write_image,
    write_survey_file,
)

__all__ = [
    "build_objects",
    "morphology_label",
    "redshift_table",
    "simulate_redshift",
    "simulate_redshift_stamps",
]

CELL = 56  # mean distance of galaxies [pixel]
JITTER = 15  # no two are nearer than CELL - 2 JITTER, twice the reach of the measurement
BORDER = 20  # a stamp of 64 pixels about any galaxy lies on the tile
SMOOTH, CLUMPY = 0.5, 2.4
"""Types up to the first are rendered as ellipticals, beyond the second as irregulars."""
SERSIC_INDICES = (4.0, 3.0, 2.0, 1.5)
"""Of the bulge at type 0, 1, 2, 3, before scatter and rounding to a half."""
COMPONENTS = (Component(1.0, "old"), Component(1.0, "disk"))
"""Renderers need their number only: the fluxes are those of the catalogue."""


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
    out, n_objects, seed, center, workers
        As for `astrocnn.simulation.simulate`.
    survey : RedshiftSurvey, optional
        Bands, noise, limit, and whether sizes and shapes are informative about the redshift.
    tile_size : int
        Largest side of a tile [pixel].

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

    Galaxy i of a seed is always the same, whatever `n_objects`; `size` is the side of a stamp
    [pixel].

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

    Measured are ``mag_<band>`` and ``mag_err_<band>`` (asinh magnitudes, which exist for negative
    fluxes too), ``flux_<band>`` and ``flux_err_<band>`` [nJy].  `ra` and `dec` are positions [deg]
    of shape (n,); without them the table has no such columns.
    """
    table = make_table(galaxies.id, ra, dec)

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


def morphology_label(spectral_type: np.ndarray) -> np.ndarray:
    """``elliptical``, ``spiral`` or ``irregular`` for each type, shape (n,)."""
    smooth, clumpy = spectral_type < SMOOTH, spectral_type > CLUMPY
    return np.select([smooth, clumpy], ["elliptical", "irregular"], "spiral")


def build_objects(galaxies: Galaxies, survey: RedshiftSurvey, *, seed: int) -> list[RenderedObject]:
    """The first galaxies of a seed with the flux of each component.

    The bulge has the spectrum of an elliptical, the disk the remaining flux, and the arms are
    bluer than the rest of the disk; the sum is the flux of the catalogue.  With `morphology` off,
    all components of a galaxy have one color.
    """
    structure, n_bands = galaxies.structure, len(survey.bands)
    labels = morphology_label(structure.spectral_type)
    bulge = structure.b_over_t[:, None] * np.ones(n_bands)
    if survey.morphology:
        spectra = load_templates(survey.names)
        old = spectra.template_fluxes(galaxies.z)[0].T
        bulge = bulge * old / spectra.fluxes(galaxies.z, galaxies.spectral_type, galaxies.dust)
        bulge = np.where(labels[:, None] == "elliptical", structure.b_over_t[:, None], bulge)
    bulge = np.clip(bulge, 0.0, 0.97)
    tilt = np.linspace(1.3, 0.8, n_bands) if survey.morphology else np.ones(n_bands)
    objects = []
    for index, label in enumerate(labels):
        rng = make_rng(seed, "form", index)
        shape, young = _build_shape(rng, structure[index : index + 1], str(label))
        arms = np.clip(young * tilt, 0, 0.9) * (1 - bulge[index])
        parts = [bulge[index], 1 - bulge[index] - arms]
        if young:
            parts.append(arms)
        fluxes = np.array(parts) * galaxies.true_flux[index]
        objects.append(RenderedObject(seed, index, shape, fluxes, margin=3.0))
    return objects


def _build_shape(rng: np.random.Generator, structure: Structure, label: str) -> tuple[Shape, float]:
    """Shape of one galaxy, and the fraction of arms or clumps in the disk."""
    spectral_type, r_e = float(structure.spectral_type[0]), float(structure.r_e[0])
    cosine = float(structure.cosine[0])
    index = np.interp(spectral_type, range(4), SERSIC_INDICES) + 0.5 * rng.standard_normal()
    shape = Shape(
        label=label,
        components=COMPONENTS,
        extent=5 * r_e,
        r_e=r_e,
        b_over_t=float(structure.b_over_t[0]),
        # Rounded: galsim prepares each Sersic index once.
        sersic_n=float(np.clip(np.round(2 * index) / 2, 1.0, 5.0)),
        position_angle=float(structure.position_angle[0]),
    )
    if label == "elliptical":
        return dataclasses.replace(shape, axis_ratio=float(np.sqrt(0.3 + 0.7 * cosine**2))), 0.0
    shape = dataclasses.replace(
        shape,
        extent=4.2 * r_e,
        axis_ratio=float(rng.uniform(0.6, 1.0)),
        inclination=float(np.degrees(np.arccos(cosine))),
        n_arms=int(rng.choice([2, 3, 4], p=[0.7, 0.15, 0.15])),
        pitch=float(np.clip(8 + 8 * spectral_type + 3 * rng.standard_normal(), 8, 35)),
        handedness=int(rng.choice([-1, 1])),
    )
    return shape, float(rng.uniform(0.2, 0.5))


def render_field(
    galaxies: Galaxies,
    objects: list[RenderedObject],
    pixels: np.ndarray,
    size: int,
    survey: RedshiftSurvey,
    *,
    seed: int,
    field: int,
) -> np.ndarray:
    """A square field with noise: flux [nJy], float32, of shape (n_bands, size, size).

    Pixel noise is white and Gaussian, under the condition that its weighted sum about each object
    is the noise of the catalogued flux: pixels and catalogue are one measurement.  `objects` are
    the `galaxies` from `build_objects`, at zero-based positions `pixels` (x, y) of shape (n, 2).
    """
    image = render_objects(objects, pixels, size, survey.bands)
    rng = make_rng(seed, "pixels", field)
    noise = galaxies.flux - galaxies.true_flux
    for plane, band, sums in zip(image, survey.bands, noise.T, strict=True):
        white = band.sky_sigma * rng.standard_normal((size, size), dtype=np.float32)
        plane += _condition_noise(white, flux_weights(band), np.rint(pixels).astype(int), sums)
    return image


def _condition_noise(
    white: np.ndarray, weights: np.ndarray, centers: np.ndarray, sums: np.ndarray
) -> np.ndarray:
    """White noise n given its weighted sums: n + W^T (W W^T)^-1 (sums - W n)."""
    size = len(white)
    used = np.flatnonzero(weights)
    dy, dx = np.divmod(used, 2 * REACH + 1)
    x, y = centers[:, :1] + dx - REACH, centers[:, 1:] + dy - REACH
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    values = np.where(inside, weights.ravel()[used], 0.0)
    flat = np.where(inside, y * size + x, 0)
    rows = np.repeat(np.arange(len(centers)), len(used))
    matrix = scipy.sparse.csr_matrix(
        (values.ravel(), (rows, flat.ravel())), shape=(len(centers), size**2)
    )
    missing = sums - matrix @ white.ravel().astype(np.float64)
    gram = (matrix @ matrix.T).tocsc()
    solved = np.atleast_1d(scipy.sparse.linalg.spsolve(gram, missing))
    return white + (matrix.T @ solved).reshape(white.shape).astype(np.float32)
