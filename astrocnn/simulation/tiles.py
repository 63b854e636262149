"""One tile: its objects drawn, noise and the masked region added, one FITS file for each band."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrocnn.atomic import replacing
from astrocnn.simulation.layout import Tile
from astrocnn.simulation.pixels import add_noise, draw_objects
from astrocnn.simulation.population import CANVAS_SIZES, draw_object, generator
from astrocnn.simulation.presets import Preset, SimulatedBand

__all__ = ["TileJob", "tile_name", "write_tile"]

SATURATED = 1.0e5  # value of masked pixels, in sky sigmas: using one by mistake shows
NO_DATA_RMS = 1.0e16


@dataclasses.dataclass(frozen=True)
class TileJob:
    """All that a process needs to make one tile.

    Parameters
    ----------
    folder : Path
        Where the files go.
    tile : Tile
        Place on the sky.
    preset : Preset
        Survey.
    seed : int
        Seed of the simulation.
    ra, dec : ndarray of shape (n_objects,)
        Position of object 0, 1, ... [deg].
    masked : bool
        Whether there is a masked region.
    rms : bool
        Whether to write the noise plane.
    """

    folder: Path
    tile: Tile
    preset: Preset
    seed: int
    ra: np.ndarray
    dec: np.ndarray
    masked: bool
    rms: bool


def tile_name(number: int, band: str) -> str:
    """File name of a tile in one band."""
    return f"tile{number:02d}_{band}.fits"


def write_tile(job: TileJob) -> list[Path]:
    """Make one tile in all bands and return its files."""
    paths = []
    for scale in sorted({band.pixel_scale for band in job.preset.bands}):
        group = dataclasses.replace(
            job.preset, bands=tuple(b for b in job.preset.bands if b.pixel_scale == scale)
        )
        size = job.tile.size(scale)
        pixels = job.tile.pixel(job.ra, job.dec, scale)
        reach = CANVAS_SIZES[-1] / 2
        near = np.flatnonzero(np.all((pixels > -reach) & (pixels < size + reach), axis=1))
        objects = [draw_object(job.seed, int(index), job.preset) for index in near]
        images = draw_objects(objects, pixels[near], size, group)
        mask = _mask(job, size) if job.masked else np.zeros((size, size), np.uint8)
        for band, image in zip(group.bands, images, strict=True):
            paths.append(_write_band(job, band, image, mask))
    return paths


def _mask(job: TileJob, size: int) -> np.ndarray:
    """A disk and a column, like the halo and the bleeding of a bright star."""
    # Drawn in units of the side, so that it covers the same sky in bands with larger pixels.
    x0, y0 = generator(job.seed, "mask", job.tile.index).uniform(0.2, 0.8, 2) * size
    y, x = np.mgrid[:size, :size]
    disk = np.hypot(x - x0, y - y0) < 0.05 * size
    column = (np.abs(x - x0) < 0.002 * size) & (np.abs(y - y0) < 0.15 * size)
    return (disk | column).astype(np.uint8)


def _write_band(job: TileJob, band: SimulatedBand, image: np.ndarray, mask: np.ndarray) -> Path:
    noisy = add_noise(image, band, job.seed, (job.tile.index, 0))
    noisy[mask != 0] = SATURATED * band.sky_sigma
    header = job.tile.wcs(band.pixel_scale).to_header()
    header["FILTER"] = (band.name, "band")
    header["MAGZERO"] = (band.zero_point, "AB magnitude of one unit of this image")
    header["PSFFWHM"] = (band.fwhm, "[arcsec] of the Moffat profile, pixel excluded")
    header["SKYSIGMA"] = (band.sky_sigma / band.unit, "standard deviation of the sky noise")
    header["GAIN"] = (band.gain * band.unit, "electrons per unit of this image")
    header["SEED"] = (job.seed, "of the simulation")
    header["COMMENT"] = "Simulated by astrocnn: not a real sky. Nonzero mask pixels are bad."
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU((noisy / band.unit).astype(np.float32), header, name="IMAGE"),
        fits.ImageHDU(mask, job.tile.wcs(band.pixel_scale).to_header(), name="MASK"),
    ]
    if job.rms:
        rms = np.sqrt(band.sky_sigma**2 + np.maximum(image, 0) / band.gain) / band.unit
        rms[mask != 0] = NO_DATA_RMS
        hdus.append(fits.ImageHDU(rms.astype(np.float32), header, name="RMS"))
    path = job.folder / tile_name(job.tile.index, band.name)
    with replacing(path) as temporary:
        fits.HDUList(hdus).writeto(temporary, overwrite=True)
    return path
