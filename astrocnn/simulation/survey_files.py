"""Files of a simulated survey: images, catalogue and survey file."""

from __future__ import annotations

import concurrent.futures.process
import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from astropy.io import fits
from astropy.table import Table

from astrocnn.atomic import replacing, write_text
from astrocnn.errors import AstrocnnError, ConfigError
from astrocnn.progress import track
from astrocnn.simulation.spectra import SimulatedBand
from astrocnn.simulation.tiles import Tile

__all__ = [
    "Simulation",
    "image_path",
    "run_jobs",
    "validate_output_folder",
    "write_catalog",
    "write_fits",
    "write_image",
    "write_survey_file",
]

Job = TypeVar("Job")
SIMULATED = "Simulated by astrocnn"
NO_DATA_RMS = 1.0e16
FIRST_LINE = "# A simulated survey; the truth is in catalog.fits."


@dataclasses.dataclass(frozen=True)
class Simulation:
    """Files of a simulated survey.

    Parameters
    ----------
    catalog : Path
        Truth catalogue.
    survey : Path
        Survey file, for `astrocnn.imaging.read_survey`.
    tiles : tuple of Path
        Image files of all tiles and bands.
    """

    catalog: Path
    survey: Path
    tiles: tuple[Path, ...]


def validate_output_folder(folder: Path) -> None:
    """Refuse a folder whose files are not those of an earlier simulation.

    Raises
    ------
    ConfigError
        If the folder is a file, or holds a catalogue or survey file that was not simulated.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"'{folder}' is a file, not a folder.", hint="name another folder")
    foreign = []
    for name, marker in (("catalog.fits", SIMULATED), ("survey.toml", FIRST_LINE)):
        path = folder / name
        if path.exists():
            with path.open("rb") as stream:
                if marker.encode() not in stream.read(1 << 16):
                    foreign.append(name)
    if foreign:
        raise ConfigError(
            f"'{folder}' holds files that were not simulated: they are not replaced.",
            received=foreign,
            hint="name another folder",
        )


def run_jobs(
    jobs: Sequence[Job], workers: int | None, write: Callable[[Job], list[Path]]
) -> Iterator[list[Path]]:
    """Paths of the files that `write` makes for each job, in this process or in several.

    Raises
    ------
    AstrocnnError
        If a process dies, or cannot start because the calling script has no main guard.
    """
    count = min(os.cpu_count() or 1 if workers is None else workers, len(jobs))
    if count <= 1:
        yield from track(map(write, jobs), "simulating tiles", len(jobs))
        return
    # A fresh interpreter: forking a process that has started TensorFlow's threads can hang.
    context = multiprocessing.get_context("spawn")
    try:
        with concurrent.futures.ProcessPoolExecutor(count, mp_context=context) as pool:
            yield from track(pool.map(write, jobs), "simulating tiles", len(jobs))
    except concurrent.futures.process.BrokenProcessPool as error:
        raise AstrocnnError(
            "A worker process could not start, or was killed.",
            hint="workers=1; or, in a script, call simulate below if __name__ == '__main__'",
        ) from error


def image_path(folder: Path, tile: int, band: str) -> Path:
    """Path of the image of a tile in one band."""
    return folder / "tiles" / f"tile{tile:02d}_{band}.fits"


def write_fits(path: Path, hdus: Sequence[fits.ImageHDU]) -> Path:
    """Write image extensions to a file, whole or not at all."""
    with replacing(path) as temporary:
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(temporary, overwrite=True)
    return path


def write_image(
    folder: Path,
    tile: Tile,
    band: SimulatedBand,
    image: np.ndarray,
    seed: int,
    *,
    gain: bool = True,
    mask: np.ndarray | None = None,
    rms: np.ndarray | None = None,
) -> Path:
    """Write the image of a tile in one band, in the units of that band.

    Parameters
    ----------
    folder : Path
        Folder of the survey.
    tile : Tile
        Place on the sky.
    band : SimulatedBand
        Band.
    image, rms : ndarray of shape (height, width)
        Flux and the standard deviation of its noise [nJy].
    seed : int
        Seed of the simulation.
    gain : bool
        Whether the noise has a part of the objects' photons, and the header the gain.
    mask : ndarray of uint8 of shape (height, width), optional
        Nonzero on bad pixels.

    Returns
    -------
    Path
        The file, with HDUs IMAGE and, where given, MASK and RMS.
    """
    header = tile.wcs(band.pixel_scale).to_header()
    header["FILTER"] = (band.name, "band")
    header["MAGZERO"] = (band.zero_point, "AB magnitude of one unit of this image")
    header["PSFFWHM"] = (band.fwhm, "[arcsec] of the Moffat profile, pixel excluded")
    header["SKYSIGMA"] = (band.sky_sigma / band.unit, "standard deviation of the sky noise")
    if gain:
        header["GAIN"] = (band.gain * band.unit, "electrons per unit of this image")
    header["SEED"] = (seed, "of the simulation")
    header["COMMENT"] = f"{SIMULATED}: not a real sky. Nonzero mask pixels are bad."
    hdus = [fits.ImageHDU((image / band.unit).astype(np.float32), header, name="IMAGE")]
    if mask is not None:
        hdus.append(fits.ImageHDU(mask, tile.wcs(band.pixel_scale).to_header(), name="MASK"))
    if rms is not None:
        plane = (rms / band.unit).astype(np.float32)
        if mask is not None:
            plane[mask != 0] = NO_DATA_RMS
        hdus.append(fits.ImageHDU(plane, header, name="RMS"))
    return write_fits(image_path(folder, tile.index, band.name), hdus)


def write_catalog(table: Table, folder: Path, seed: int, comment: str = "") -> Path:
    """Write the truth catalogue as FITS, with units and descriptions of its columns."""
    columns = [
        fits.Column(
            name=name,
            array=np.char.encode(column.data, "ascii") if column.dtype.kind == "U" else column.data,
            format=_column_format(column.dtype),
            unit=str(column.unit) if column.unit is not None else None,
        )
        for name, column in table.columns.items()
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="CATALOG")
    # astropy does not write descriptions of columns.
    for number, name in enumerate(table.colnames, 1):
        if table[name].description:
            hdu.header[f"TCOMM{number}"] = table[name].description
    for text in filter(None, (f"{SIMULATED} with seed {seed}: not a real sky.", comment)):
        hdu.header["COMMENT"] = text
    path = folder / "catalog.fits"
    with replacing(path) as temporary:
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(temporary, overwrite=True, checksum=True)
    return path


def _column_format(dtype: np.dtype) -> str:
    if dtype.kind == "U":
        return f"{dtype.itemsize // 4}A"
    return {"i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}[dtype.str[1:]]


def write_survey_file(
    folder: Path,
    name: str,
    bands: Sequence[SimulatedBand],
    n_tiles: int,
    *,
    reference: str | None = None,
    mask: bool = False,
    rms: bool = False,
) -> Path:
    """Write the survey file that describes the tiles, and return its path."""
    paths = [image_path(Path(), number, "{band}").as_posix() for number in range(n_tiles)]
    names = ", ".join(f'"{band.name}"' for band in bands)
    lines = [
        FIRST_LINE,
        f'name = "simulated {name}"',
        'kind = "tiles"',
        'unit = "nJy"',
        *([f'reference = "{reference}"'] if reference else []),
        "# {band} stands for the name of each band.",
        "image = [",
        *(f'  "{path}",' for path in paths),
        "]",
        'hdu = "IMAGE"',
        *(['mask_hdu = "MASK"'] if mask else []),
        *(['rms_hdu = "RMS"'] if rms else []),
        "# Header keyword of the AB magnitude of one image unit.",
        'zero_point = "MAGZERO"',
        f"bands = [{names}]",
    ]
    path = folder / "survey.toml"
    write_text(path, "\n".join(lines) + "\n")
    return path
