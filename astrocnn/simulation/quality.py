"""A simulated survey for quality selection: stamps of which about half are spoilt."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table, hstack, vstack

from astrocnn.atomic import replacing, write_text
from astrocnn.errors import ConfigError
from astrocnn.progress import track
from astrocnn.simulation.artefacts import ARTEFACTS, Camera
from astrocnn.simulation.canvas import import_galsim
from astrocnn.simulation.injection import Injected, inject
from astrocnn.simulation.layout import Tile, lay_tiles
from astrocnn.simulation.pixels import add_noise, draw_objects
from astrocnn.simulation.population import SkyObject, draw_object, generator
from astrocnn.simulation.presets import Preset, SimulatedBand, preset_named
from astrocnn.simulation.stamps import FIRST_NEIGHBOR
from astrocnn.simulation.survey import FIRST_LINE, SIMULATED, Simulation, refuse_to_replace
from astrocnn.simulation.truth import truth_table, write_table

__all__ = ["QualitySimulation", "simulate_quality"]

PER_ROW = 8  # stamps along a side of a tile
FRACTIONS = {"elliptical": 0.30, "spiral": 0.34, "edge_on": 0.16, "star": 0.20}
"""No mergers: their second nucleus is a blend to any eye."""


@dataclasses.dataclass(frozen=True)
class QualitySimulation(Simulation):
    """What `simulate_quality` has written.

    Parameters
    ----------
    catalog, survey, tiles
        As in `Simulation`.
    truth : tuple of Path
        For each tile, the pixels that artefacts touch: bit k stands for the artefact that
        header card ``BIT<k>`` names.
    """

    truth: tuple[Path, ...]


def simulate_quality(
    out: str | os.PathLike[str],
    *,
    n_objects: int = 2000,
    seed: int = 0,
    size: int = 150,
    share: float = 0.5,
    neighbors: float = 2.0,
    center: tuple[float, float] = (53.1, -27.8),
) -> QualitySimulation:
    """Write a simulated survey of Euclid VIS stamps, some of them spoilt by artefacts.

    In `out` appear ``tiles/tile<number>_VIS.fits``, each a grid of stamps without gaps,
    ``truth/tile<number>_truth.fits`` with the pixels that artefacts touch, ``catalog.fits`` and
    ``survey.toml``.  Cutouts of `size` pixels are just the stamps; larger ones show their
    neighbors on the grid, and smaller ones may lack the artefact that the catalogue tells of.
    Ordinary stars are drawn without spikes: a stamp with spikes is spoilt, however faint they are.

    Parameters
    ----------
    out : path
        Folder; made when missing.  Files of the same names are replaced.
    n_objects : int
        Number of objects, each with a stamp of its own.
    seed : int
        Object i of seed s is always the same, whatever `n_objects`.
    size : int
        Side of a stamp [pixel of 0.1 arcsec]; even, 32 or more.
    share : float
        Expected share of spoilt stamps.
    neighbors : float
        Mean number of unrelated objects on a stamp.
    center : tuple of float
        RA, Dec of the middle of the field [deg].

    Returns
    -------
    QualitySimulation
        Paths of the files.  The catalogue holds the truth of `inject`, the signal-to-noise
        ratio ``snr`` of the object without artefacts, and the truth of its form.

    Raises
    ------
    ConfigError
        If a number makes no sense, or the folder holds files that were not simulated.
    MissingDependency
        Without galsim.
    """
    import_galsim()
    if n_objects < 1 or size < 32 or size % 2 or neighbors < 0:
        raise ConfigError(
            "These numbers make no survey.",
            received=f"n_objects={n_objects}, size={size}, neighbors={neighbors}",
            allowed="n_objects >= 1, an even size >= 32, neighbors >= 0",
        )
    folder = Path(out)
    refuse_to_replace(folder)
    preset = preset_named("euclid", ("VIS",), fractions=FRACTIONS)
    band = preset.band("VIS")
    per_tile = PER_ROW**2
    tiles = lay_tiles(-(-n_objects // per_tile), PER_ROW * size, -60, band.pixel_scale, center)
    tables, images, truths = [], [], []
    for tile in track(tiles, "simulating tiles", len(tiles)):
        numbers = range(tile.index * per_tile, min((tile.index + 1) * per_tile, n_objects))
        stamps, shifts, table = _stamps(numbers, seed, size, preset, neighbors)
        made = inject(stamps, Camera.of_band(band), seed=seed, share=share, first=numbers[0])
        _add_positions(table, tile, band, size, shifts)
        tables.append(hstack([table, made.truth]))
        images.append(_write_image(folder, tile, band, made, seed))
        truths.append(_write_truth(folder, tile, band, made))
    catalog = vstack(tables, metadata_conflicts="silent")
    comments = [
        f"{SIMULATED} with seed {seed}: not a real sky.",
        "usable is 1 on stamps without any artefact; has_<artefact> says which there are.",
    ]
    write_table(catalog, folder / "catalog.fits", comments)
    write_text(folder / "survey.toml", _survey_file(len(tiles)))
    return QualitySimulation(
        folder / "catalog.fits", folder / "survey.toml", tuple(images), tuple(truths)
    )


def _stamps(
    numbers: range, seed: int, size: int, preset: Preset, neighbors: float
) -> tuple[np.ndarray, np.ndarray, Table]:
    """Stamps with noise, the offsets of the objects from their middles, and the truth."""
    band = preset.bands[0]
    objects = [draw_object(seed, number, preset) for number in numbers]
    images = np.empty((len(objects), size, size), np.float32)
    snr = np.empty(len(objects), np.float32)
    shifts = np.empty((len(objects), 2))
    for k, (number, item) in enumerate(zip(numbers, objects, strict=True)):
        rng = generator(seed, "neighbors", number)
        count = min(int(rng.poisson(neighbors)), 63)
        shifts[k] = rng.uniform(-0.5, 0.5, 2)
        target = draw_objects([item], (size - 1) / 2 + shifts[k : k + 1], size, preset)[0]
        others = _neighbors(seed, number, count, preset)
        places = _places(rng, count, size)
        sky = target + draw_objects(others, places, size, preset)[0]
        images[k] = add_noise(sky, band, seed, (number, 2))
        variance = band.sky_sigma**2 + np.maximum(target, 0) / band.gain
        snr[k] = np.sqrt(np.sum(target**2 / variance))
    table = truth_table(objects, preset, None, None)
    table["snr"] = snr
    table["snr"].description = "signal-to-noise ratio of the object alone"
    return images, shifts, table


def _neighbors(seed: int, number: int, count: int, preset: Preset) -> list[SkyObject]:
    first = FIRST_NEIGHBOR + 64 * number
    return [draw_object(seed, first + k, preset) for k in range(count)]


def _places(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Places of unrelated objects, none of them near enough to the middle to be a blend."""
    places = rng.uniform(-0.5, size - 0.5, (count, 2))
    offset = places - (size - 1) / 2
    distance = np.maximum(np.hypot(*offset.T), 1e-6)
    near = distance < 0.2 * size
    places[near] += (offset * (0.2 * size / distance)[:, None])[near]
    return places


def _add_positions(
    table: Table, tile: Tile, band: SimulatedBand, size: int, shifts: np.ndarray
) -> None:
    places = [divmod(k, PER_ROW) for k in range(len(shifts))]
    pixel = np.array(places)[:, ::-1] * size + (size - 1) / 2 + shifts
    ra, dec = tile.wcs(band.pixel_scale).all_pix2world(pixel, 0).T
    table.add_columns([ra, dec], indexes=[1, 1], names=["ra", "dec"])
    table["ra"].unit = table["dec"].unit = "deg"


def _mosaic(stamps: np.ndarray, size: int, fill: float) -> np.ndarray:
    """Stamps side by side, rows from the bottom."""
    grid = np.full((PER_ROW**2, size, size), fill, stamps.dtype)
    grid[: len(stamps)] = stamps
    grid = grid.reshape(PER_ROW, PER_ROW, size, size).transpose(0, 2, 1, 3)
    return grid.reshape(PER_ROW * size, PER_ROW * size)


def _write_image(folder: Path, tile: Tile, band: SimulatedBand, made: Injected, seed: int) -> Path:
    header = tile.wcs(band.pixel_scale).to_header()
    header["FILTER"] = (band.name, "band")
    header["MAGZERO"] = (band.zero_point, "AB magnitude of one unit of this image")
    header["PSFFWHM"] = (band.fwhm, "[arcsec] of the Moffat profile, pixel excluded")
    header["SKYSIGMA"] = (band.sky_sigma / band.unit, "standard deviation of the sky noise")
    header["GAIN"] = (band.gain * band.unit, "electrons per unit of this image")
    header["SEED"] = (seed, "of the simulation")
    header["COMMENT"] = "Simulated by astrocnn: not a real sky, but a grid of stamps."
    stamps = (made.images / np.float32(band.unit)).astype(np.float32)
    mosaic = _mosaic(stamps, stamps.shape[1], np.nan)
    path = folder / "tiles" / f"tile{tile.index:02d}_{band.name}.fits"
    with replacing(path) as temporary:
        units = [fits.PrimaryHDU(), fits.ImageHDU(mosaic, header, name="IMAGE")]
        fits.HDUList(units).writeto(temporary, overwrite=True)
    return path


def _write_truth(folder: Path, tile: Tile, band: SimulatedBand, made: Injected) -> Path:
    header = tile.wcs(band.pixel_scale).to_header()
    for bit, name in enumerate(ARTEFACTS):
        header[f"BIT{bit}"] = (name, f"artefact of bit {bit}, value {1 << bit}")
    mosaic = _mosaic(made.masks.astype(np.int32), made.masks.shape[1], 0)
    path = folder / "truth" / f"tile{tile.index:02d}_truth.fits"
    with replacing(path) as temporary:
        unit = fits.CompImageHDU(mosaic, header, name="TRUTH", compression_type="GZIP_1")
        fits.HDUList([fits.PrimaryHDU(), unit]).writeto(temporary, overwrite=True)
    return path


def _survey_file(n_tiles: int) -> str:
    lines = [
        FIRST_LINE,
        'name = "simulated VIS quality"',
        'kind = "tiles"',
        'unit = "nJy"',
        "image = [",
        *(f'  "tiles/tile{number:02d}_VIS.fits",' for number in range(n_tiles)),
        "]",
        'hdu = "IMAGE"',
        "# Header keyword of the AB magnitude of one image unit.",
        'zero_point = "MAGZERO"',
        'bands = ["VIS"]',
    ]
    return "\n".join(lines) + "\n"
