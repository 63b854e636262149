"""Tiles of a simulated survey: their geometry, positions of objects on them, and their files."""

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
from astropy.wcs import WCS

from astrocnn.atomic import replacing, write_text
from astrocnn.errors import AstrocnnError, ConfigError
from astrocnn.progress import track
from astrocnn.simulation.objects import make_rng
from astrocnn.simulation.spectra import SimulatedBand

__all__ = [
    "GAP",
    "Simulation",
    "Tile",
    "image_path",
    "layout_tiles",
    "make_table",
    "run_jobs",
    "sample_position",
    "sample_uncovered_position",
    "validate_output_folder",
    "write_catalog",
    "write_fits",
    "write_image",
    "write_survey_file",
]

Job = TypeVar("Job")
GAP = 60  # between tiles [pixel]
SIMULATED = "Simulated by astrocnn"
NO_DATA_RMS = 1.0e16
FIRST_LINE = "# A simulated survey; the truth is in catalog.fits."


@dataclasses.dataclass(frozen=True)
class Tile:
    """A square tile with its own tangent point.

    Parameters
    ----------
    index : int
        Number of the tile.
    ra, dec : float
        Center [deg].
    side : float
        Side [arcsec].
    """

    index: int
    ra: float
    dec: float
    side: float

    def size(self, pixel_scale: float) -> int:
        """Side in pixels of the given size [arcsec]."""
        return round(self.side / pixel_scale)

    def wcs(self, pixel_scale: float) -> WCS:
        """Tangent projection, north up and east to the left, with pixels of that size [arcsec]."""
        return _tangent_wcs(self.ra, self.dec, pixel_scale, self.size(pixel_scale))

    def pixels(self, ra: np.ndarray, dec: np.ndarray, pixel_scale: float) -> np.ndarray:
        """Zero-based pixel coordinates (x, y), NaN on the other half of the sky; shape (n, 2)."""
        ra, dec = np.atleast_1d(ra), np.atleast_1d(dec)
        delta = np.radians(ra - self.ra)
        cosine = np.sin(np.radians(dec)) * np.sin(np.radians(self.dec))
        cosine += np.cos(np.radians(dec)) * np.cos(np.radians(self.dec)) * np.cos(delta)
        # The tangent projection would map the far hemisphere on the same plane.
        near = cosine > 0.5
        pixel = np.full((ra.size, 2), np.nan)
        if near.any():
            positions = np.column_stack([ra[near], dec[near]])
            pixel[near] = self.wcs(pixel_scale).all_world2pix(positions, 0)
        return pixel


def _tangent_wcs(ra: float, dec: float, pixel_scale: float, size: int) -> WCS:
    """Tangent projection about the middle of an image of `size` pixels."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [ra % 360.0, dec]
    wcs.wcs.crpix = [(size + 1) / 2, (size + 1) / 2]
    wcs.wcs.cdelt = [-pixel_scale / 3600, pixel_scale / 3600]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def layout_tiles(
    n_tiles: int, size: int, overlap: int, pixel_scale: float, center: tuple[float, float]
) -> tuple[Tile, ...]:
    """Tiles in rows around a center (RA, Dec) [deg]; the others than the first two leave gaps.

    `size` and `overlap`, that of the first two tiles, are in pixels of `pixel_scale` arcsec.
    """
    columns = int(np.ceil(np.sqrt(n_tiles)))
    rows = -(-n_tiles // columns)
    sky = _tangent_wcs(*center, pixel_scale, 1)
    tiles = []
    for index in range(n_tiles):
        row, column = divmod(index, columns)
        x = (column - (columns - 1) / 2) * (size + GAP)
        if index == 1:
            x -= GAP + overlap
        y = (row - (rows - 1) / 2) * (size + GAP)
        # Columns run eastwards, that is to the left.
        ra, dec = sky.all_pix2world([[-x, y]], 0)[0]
        tiles.append(Tile(index, float(ra), float(dec), size * pixel_scale))
    return tuple(tiles)


def sample_position(
    seed: int, index: int, tiles: tuple[Tile, ...], pixel_scale: float, margin: int
) -> tuple[float, float]:
    """RA, Dec [deg] of an object: uniform over the area of all tiles, few near an edge.

    One object in fifty falls on the border of `margin` pixels of `pixel_scale` arcsec.
    """
    rng = make_rng(seed, "place", index)
    at_edge = rng.random() < 0.02
    while True:
        tile = tiles[rng.integers(len(tiles))]
        size = tile.size(pixel_scale)
        x, y = rng.uniform(-0.5, size - 0.5, 2)
        inside = min(x, y, size - 1 - x, size - 1 - y) > margin
        if inside == at_edge:
            continue
        ra, dec = tile.wcs(pixel_scale).all_pix2world([[x, y]], 0)[0]
        # Where tiles overlap, accept each as often as one tile would.
        covering = sum(
            bool(np.all((pixel > -0.5) & (pixel < other.size(pixel_scale) - 0.5)))
            for other in tiles
            for pixel in other.pixels(ra, dec, pixel_scale)
        )
        if rng.random() * covering < 1:
            return float(ra), float(dec)


def sample_uncovered_position(
    rng: np.random.Generator, tiles: tuple[Tile, ...]
) -> tuple[float, float]:
    """RA, Dec [deg] of a position that no tile covers, within a few tile sides of the field."""
    reach = max(tile.side for tile in tiles) / 3600
    dec = max((tile.dec for tile in tiles), key=abs)
    sign = -1.0 if dec > 0 else 1.0  # away from the pole
    distance = reach * (1 + np.ceil(np.sqrt(len(tiles))) + rng.uniform(0, 2))
    middle = float(np.mean([tile.dec for tile in tiles]))
    return tiles[0].ra, float(middle + sign * distance)


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
    """Raise `ConfigError` for a file, or a folder whose files were not simulated."""
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


def write_fits(path: Path, hdus: Sequence[fits.hdu.base.ExtensionHDU], **options: bool) -> Path:
    """Write extensions to a file, whole or not at all."""
    with replacing(path) as temporary:
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(temporary, overwrite=True, **options)
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
    """Write the image of a tile in one band, in the units of that band, and return its path.

    Parameters
    ----------
    folder, tile, band, seed
        Folder of the survey, place on the sky, band, and seed of the simulation.
    image, rms : ndarray of shape (height, width)
        Flux and the standard deviation of its noise [nJy]: HDUs IMAGE and RMS.
    gain : bool
        Whether the noise has a part of the objects' photons, and the header the gain.
    mask : ndarray of uint8 of shape (height, width), optional
        Nonzero on bad pixels: HDU MASK.
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


def make_table(ids: np.ndarray, ra: np.ndarray | None, dec: np.ndarray | None) -> Table:
    """Table of identifiers and, where given, positions [deg]."""
    table = Table({"id": np.asarray(ids, np.int64)})
    if ra is not None and dec is not None:
        table["ra"], table["dec"] = np.asarray(ra, float), np.asarray(dec, float)
        table["ra"].unit = table["dec"].unit = "deg"
    return table


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
    return write_fits(folder / "catalog.fits", [hdu], checksum=True)


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
