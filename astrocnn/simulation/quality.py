"""A simulated survey for quality selection: stamps of which about half have artefacts."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table, hstack, vstack

from astrocnn.errors import ConfigError
from astrocnn.progress import track
from astrocnn.simulation.artefacts import ARTEFACTS, Camera, inject
from astrocnn.simulation.canvas import import_galsim
from astrocnn.simulation.objects import add_noise, make_rng, render_objects, sample_object
from astrocnn.simulation.presets import Preset, get_preset
from astrocnn.simulation.survey import FIRST_NEIGHBOR, truth_table
from astrocnn.simulation.tiles import (
    GAP,
    Simulation,
    layout_tiles,
    validate_output_folder,
    write_catalog,
    write_fits,
    write_image,
    write_survey_file,
)

__all__ = ["QualitySimulation", "simulate_quality"]

PER_ROW = 8  # stamps along a side of a tile
FRACTIONS = {"elliptical": 0.30, "spiral": 0.34, "edge_on": 0.16, "star": 0.20}
"""No mergers: their second nucleus cannot be distinguished from a blend."""


@dataclasses.dataclass(frozen=True)
class QualitySimulation(Simulation):
    """Files of a survey with artefacts: those of `Simulation`, and for each tile its `truth`.

    These are the pixels that artefacts change: bit k stands for the artefact of card ``BIT<k>``.
    """

    truth: tuple[Path, ...]


def simulate_quality(
    out: str | os.PathLike[str],
    *,
    n_objects: int = 2000,
    seed: int = 0,
    size: int = 150,
    fraction: float = 0.5,
    neighbors: float = 2.0,
    center: tuple[float, float] = (53.1, -27.8),
) -> QualitySimulation:
    """Write a simulated survey of Euclid VIS stamps, a fraction of them with artefacts.

    The folder `out` receives ``tiles/tile<number>_VIS.fits``, each a grid of stamps without gaps,
    ``truth/tile<number>_truth.fits`` with the pixels that artefacts change, ``catalog.fits`` and
    ``survey.toml``.  Cutouts of `size` pixels are exactly the stamps; larger ones show their
    neighbors on the grid, and smaller ones may lack the artefact listed in the catalogue.
    Ordinary stars have no spikes: a stamp with spikes is unusable, however faint they are.

    Parameters
    ----------
    out, center
        As for `astrocnn.simulation.simulate`.
    n_objects : int
        Number of objects, each with a stamp of its own.
    seed : int
        Object i of seed s is always the same, whatever `n_objects`.
    size : int
        Side of a stamp [pixel of 0.1 arcsec]; even, 32 or more.
    fraction : float
        Expected fraction of stamps with artefacts.
    neighbors : float
        Mean number of unrelated objects on a stamp.

    Returns
    -------
    QualitySimulation
        Paths of the files.  The catalogue holds the truth of `inject`, the signal-to-noise
        ratio ``snr`` of the object without artefacts, and its true shape.

    Raises
    ------
    ConfigError
        For a parameter out of range, or a folder with files that were not simulated.
    MissingDependency
        Without galsim.
    """
    import_galsim()
    if n_objects < 1 or size < 32 or size % 2 or neighbors < 0:
        raise ConfigError(
            "Invalid simulation parameters.",
            received=f"n_objects={n_objects}, size={size}, neighbors={neighbors}",
            allowed="n_objects >= 1, an even size >= 32, neighbors >= 0",
        )
    folder = Path(out)
    validate_output_folder(folder)
    preset = get_preset("euclid", ("VIS",), fractions=FRACTIONS)
    (band,) = preset.bands
    per_tile = PER_ROW**2
    n_tiles = -(-n_objects // per_tile)
    tables, images, truths = [], [], []
    tiles = layout_tiles(n_tiles, PER_ROW * size, -GAP, band.pixel_scale, center)
    for tile in track(tiles, "simulating tiles", n_tiles):
        numbers = range(tile.index * per_tile, min((tile.index + 1) * per_tile, n_objects))
        stamps, shifts, table = _simulate_stamps(numbers, seed, size, preset, neighbors)
        result = inject(
            stamps, Camera.from_band(band), seed=seed, fraction=fraction, first=numbers[0]
        )
        rows, columns = np.divmod(np.arange(len(numbers)), PER_ROW)
        pixels = np.column_stack([columns, rows]) * size + (size - 1) / 2 + shifts
        wcs = tile.wcs(band.pixel_scale)
        ra, dec = wcs.all_pix2world(pixels, 0).T
        table.add_columns([ra, dec], indexes=[1, 1], names=["ra", "dec"])
        table["ra"].unit = table["dec"].unit = "deg"
        tables.append(hstack([table, result.truth]))
        images.append(write_image(folder, tile, band, _mosaic(result.images, np.nan), seed))
        header = wcs.to_header()
        for bit, name in enumerate(ARTEFACTS):
            header[f"BIT{bit}"] = (name, f"artefact of bit {bit}, value {1 << bit}")
        pixels = _mosaic(result.masks.astype(np.int32), 0)
        masks = fits.CompImageHDU(pixels, header, name="TRUTH", compression_type="GZIP_1")
        truths.append(write_fits(folder / "truth" / f"tile{tile.index:02d}_truth.fits", [masks]))
    catalog = write_catalog(
        vstack(tables, metadata_conflicts="silent"),
        folder,
        seed,
        "usable is 1 on stamps without artefacts; has_<artefact> is 1 on stamps with that one.",
    )
    survey = write_survey_file(folder, "VIS quality", preset.bands, n_tiles)
    return QualitySimulation(catalog, survey, tuple(images), tuple(truths))


def _simulate_stamps(
    numbers: range, seed: int, size: int, preset: Preset, neighbors: float
) -> tuple[np.ndarray, np.ndarray, Table]:
    """Stamps with noise, the offsets of the objects from their centers, and the truth."""
    (band,) = preset.bands
    objects = [sample_object(seed, number, preset) for number in numbers]
    images = np.empty((len(objects), size, size), np.float32)
    snr = np.empty(len(objects), np.float32)
    shifts = np.empty((len(objects), 2))
    for k, (number, item) in enumerate(zip(numbers, objects, strict=True)):
        rng = make_rng(seed, "neighbors", number)
        count = min(int(rng.poisson(neighbors)), 63)
        shifts[k] = rng.uniform(-0.5, 0.5, 2)
        center = (size - 1) / 2 + shifts[k : k + 1]
        target = render_objects([item.rendered(preset)], center, size, preset.bands)[0]
        first = FIRST_NEIGHBOR + 64 * number
        others = [sample_object(seed, first + i, preset).rendered(preset) for i in range(count)]
        positions = _sample_neighbor_positions(rng, count, size)
        sky = target + render_objects(others, positions, size, preset.bands)[0]
        images[k] = add_noise(sky, band, seed, (number, 2))
        variance = band.sky_sigma**2 + np.maximum(target, 0) / band.gain
        snr[k] = np.sqrt(np.sum(target**2 / variance))
    table = truth_table(objects, preset)
    table["snr"] = snr
    table["snr"].description = "signal-to-noise ratio of the object alone"
    return images, shifts, table


def _sample_neighbor_positions(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Positions of unrelated objects, none of them near enough to the center to be a blend."""
    positions = rng.uniform(-0.5, size - 0.5, (count, 2))
    offset = positions - (size - 1) / 2
    distance = np.maximum(np.hypot(*offset.T), 1e-6)
    near = distance < 0.2 * size
    positions[near] += (offset * (0.2 * size / distance)[:, None])[near]
    return positions


def _mosaic(stamps: np.ndarray, fill: float) -> np.ndarray:
    """Stamps side by side, rows from the bottom."""
    size = stamps.shape[1]
    grid = np.full((PER_ROW**2, size, size), fill, stamps.dtype)
    grid[: len(stamps)] = stamps
    grid = grid.reshape(PER_ROW, PER_ROW, size, size).transpose(0, 2, 1, 3)
    return grid.reshape(PER_ROW * size, PER_ROW * size)
