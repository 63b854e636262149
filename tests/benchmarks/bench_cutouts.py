"""Cutouts: from plain tiles, from compressed tiles, from a file per object.

``python -m tests.benchmarks.bench_cutouts``
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from astrocnn.imaging import Survey, open_source
from tests.benchmarks._table import Row, seconds, show

SIDE, SIZE, N_OBJECTS, N_STAMPS = 4096, 64, 2500, 500
BANDS = ("g", "r", "i", "z")


def rows() -> list[Row]:
    """All rows of this module."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wcs = _tiles(folder)
        return [*_plain(folder, wcs), *_compressed(folder, wcs), *_stamps(folder)]


def _tiles(folder: Path) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [SIDE / 2, SIDE / 2]
    wcs.wcs.cdelt = [-0.2 / 3600, 0.2 / 3600]
    rng = np.random.default_rng(1)
    for band in BANDS:
        data = rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32)
        header = wcs.to_header()
        fits.PrimaryHDU(data, header).writeto(folder / f"tile_{band}.fits")
        packed = fits.CompImageHDU(data, header, compression_type="RICE_1", quantize_level=16)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(folder / f"tile_{band}.fits.fz")
    return wcs


def _objects(wcs: WCS) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, SIDE, (2, N_OBJECTS))
    ra, dec = wcs.all_pix2world(x, y, 0)
    return x, y, ra, dec


def _plain(folder: Path, wcs: WCS) -> list[Row]:
    x, y, ra, dec = _objects(wcs)
    survey = Survey.from_dict({"image": "tile_{band}.fits", "bands": BANDS}, folder)
    everything = np.arange(N_OBJECTS)

    def ours() -> np.ndarray:
        return open_source(survey, ra, dec, size=SIZE).read(everything).images

    stack = ours()
    copy = np.empty_like(stack)
    kept = open_source(survey, ra, dec, size=SIZE)
    kept.order()
    with fits_open(folder / f"tile_{BANDS[0]}.fits") as hdus:
        data = hdus[0].data
        some = 500
        out = np.empty((some, SIZE, SIZE, 4), np.float32)
        coordinates = list(SkyCoord(ra[:some], dec[:some], unit="deg"))

        def reference() -> None:
            for i, position in enumerate(coordinates):
                out[i, :, :, 0] = Cutout2D(
                    data, position, SIZE, wcs=wcs, mode="partial", fill_value=np.nan
                ).data

        def bare() -> None:
            for i, position in enumerate(zip(x[:some], y[:some], strict=True)):
                out[i, :, :, 0] = Cutout2D(
                    data, position, SIZE, mode="partial", fill_value=np.nan
                ).data

        scale = N_OBJECTS * len(BANDS) / some
        t_reference, t_bare = seconds(reference) * scale, seconds(bare) * scale
    t_ours, t_kept = seconds(ours), seconds(lambda: kept.read(everything, out=stack))
    t_copy = seconds(lambda: np.copyto(copy, stack))
    what = f"cutouts, {N_OBJECTS} x {len(BANDS)} x {SIZE}x{SIZE}, plain FITS"
    note = f"{1e3 * t_kept:.0f} ms; opening included {1e3 * t_ours:.0f} ms"
    return [
        Row(what, "Cutout2D by sky position, file open", t_reference / t_kept, ">= 40", note),
        Row(what, "Cutout2D by known pixel, no WCS", t_bare / t_kept, "", "for comparison"),
        Row(what, "memcpy of the same bytes", t_kept / t_copy, "<= 6", f"{1e3 * t_copy:.0f} ms"),
    ]


def _compressed(folder: Path, wcs: WCS) -> list[Row]:
    x, y, ra, dec = _objects(wcs)
    survey = Survey.from_dict({"image": "tile_{band}.fits.fz", "bands": BANDS}, folder)

    def ours() -> None:
        open_source(survey, ra, dec, size=SIZE).read(np.arange(N_OBJECTS))

    with fits_open(folder / f"tile_{BANDS[0]}.fits.fz") as hdus:
        section = hdus[1].section
        some = 50

        def reference() -> None:
            for position in zip(x[:some], y[:some], strict=True):
                Cutout2D(section, position, SIZE, mode="partial", fill_value=np.nan)

        t_reference = seconds(reference) * N_OBJECTS * len(BANDS) / some
    t_ours = seconds(ours, warm_up=0)
    return [
        Row(
            f"cutouts, {N_OBJECTS} x {len(BANDS)} x {SIZE}x{SIZE}, RICE tiles",
            "Cutout2D(hdu.section), file open",
            t_reference / t_ours,
            ">= 30",
            f"{t_ours:.2f} s with opening and decoding",
        )
    ]


def _stamps(folder: Path) -> list[Row]:
    rng = np.random.default_rng(3)
    bands = [f"B{i}" for i in range(5)]
    for i in range(N_STAMPS):
        hdus = [fits.PrimaryHDU()]
        for name in bands:
            hdus.append(fits.ImageHDU(rng.normal(size=(SIZE, SIZE)).astype("f4"), name=name))
        fits.HDUList(hdus).writeto(folder / f"stamp_{i}.fits")
    survey = Survey.from_dict(
        {"kind": "stamps", "image": "stamp_{id}.fits", "hdu": "{band}", "bands": bands}, folder
    )
    source = open_source(survey, columns={"id": np.arange(N_STAMPS)}, size=SIZE)
    out = np.empty((N_STAMPS, SIZE, SIZE, len(bands)), np.float32)

    def reference() -> None:
        for i in range(N_STAMPS):
            with fits.open(folder / f"stamp_{i}.fits", memmap=False) as hdus:
                for b, name in enumerate(bands):
                    out[i, :, :, b] = hdus[name].data

    def plain() -> None:
        for i in range(N_STAMPS):
            (folder / f"stamp_{i}.fits").read_bytes()

    t_ours, t_reference = seconds(lambda: source.read(np.arange(N_STAMPS))), seconds(reference)
    return [
        Row(
            f"stamps, {N_STAMPS} files of 5 x {SIZE}x{SIZE}",
            "astropy open once per file",
            t_reference / t_ours,
            ">= 15",
            f"plain reading: {t_reference / seconds(plain):.0f}",
        )
    ]


def fits_open(path: Path) -> fits.HDUList:
    """A FITS file kept open by astropy, memory-mapped."""
    return fits.open(path, memmap=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    show(rows())
