"""Damaged images of every format: a result, a flag, or one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from PIL import Image

from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards, write_shards
from astrocnn.flags import Flag
from astrocnn.imaging import ArraySource, Band, Survey, open_source
from tests.fuzz.mutations import Reader, try_reader

SHAPE = (24, 30)
POSITIONS = ([150.0, 150.001, 149.999, 151.0], [2.0, 2.001, 1.999, 2.0])


def header() -> fits.Header:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150, 2], [15.5, 12.5], [-3e-4, 3e-4]
    cards = wcs.to_header()
    cards["BUNIT"], cards["MAGZERO"] = "nJy", 31.4
    return cards


def make_fits(folder: Path) -> None:
    data = np.random.default_rng(0).normal(100, 10, SHAPE).astype("f4")
    cards = header()
    fits.PrimaryHDU(data, cards).writeto(folder / "plain.fits")
    fits.PrimaryHDU(data, cards).writeto(folder / "gzip.fits.gz")
    scaled = fits.PrimaryHDU(data.astype("i2"), cards)
    scaled.header["BSCALE"], scaled.header["BZERO"], scaled.header["BLANK"] = 0.5, 10.0, 90
    scaled.writeto(folder / "scaled.fits")
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(data, cards, name="SCI"),
            fits.ImageHDU(np.ones(SHAPE, "f4"), cards, name="WHT"),
            fits.ImageHDU(np.zeros(SHAPE, "i2"), cards, name="DQ"),
        ]
    ).writeto(folder / "multi.fits")
    for kind, values in (
        ("RICE_1", data.astype("i4")),
        ("GZIP_2", data),
        ("HCOMPRESS_1", data.astype("i4")),
        ("PLIO_1", data.astype("i2")),
    ):
        hdu = fits.CompImageHDU(values, cards, compression_type=kind, tile_shape=(8, 30))
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / f"{kind.lower()}.fits.fz")


def make_sip(folder: Path) -> None:
    cards = header()
    cards["CTYPE1"], cards["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    cards["A_ORDER"], cards["B_ORDER"], cards["A_2_0"], cards["B_0_2"] = 2, 2, 1e-5, 1e-5
    fits.PrimaryHDU(np.ones(SHAPE, "f4"), cards).writeto(folder / "sip.fits")
    cards = header()
    galactic = SkyCoord(150 * u.deg, 2 * u.deg).galactic
    cards["CTYPE1"], cards["CTYPE2"] = "GLON-TAN", "GLAT-TAN"
    cards["CRVAL1"], cards["CRVAL2"] = galactic.l.deg, galactic.b.deg
    del cards["RADESYS"]
    fits.PrimaryHDU(np.ones((2, *SHAPE), "f8"), cards).writeto(folder / "cube.fits")


def make_tiles(folder: Path) -> None:
    make_fits(folder)
    make_sip(folder)


def read_tiles(path: Path) -> None:
    options: dict = {}
    if path.name == "multi.fits":
        options = {"hdu": "SCI", "weight_hdu": "WHT", "mask_hdu": "DQ", "bad_bits": 2}
    if path.name == "cube.fits":
        options = {"plane": 1}
    survey = Survey("s", (Band("g", str(path), **options),))
    source = open_source(survey, *POSITIONS, size=8, workers=1)
    assert source.read(range(4)).images.shape == (4, 8, 8, 1)
    source.wcs(0)
    assert source.fingerprint


def make_stamps(folder: Path) -> None:
    make_tiles(folder)
    pixels = np.random.default_rng(1).integers(0, 255, (*SHAPE, 4), np.uint8)
    Image.fromarray(pixels[..., :3]).save(folder / "rgb.png")
    Image.fromarray(pixels).save(folder / "rgba.png")
    Image.fromarray(pixels[..., 0]).save(folder / "gray.png")
    Image.fromarray(pixels[..., 0].astype("u2") * 200).save(folder / "gray16.png")
    Image.fromarray(pixels[..., :3]).convert("P").save(folder / "palette.png")
    Image.fromarray(pixels[..., :3]).save(folder / "rgb.jpg")
    Image.fromarray(pixels[..., 0]).save(folder / "gray.jpg")
    Image.fromarray(pixels[..., :3]).save(folder / "rgb.tiff")
    Image.fromarray(pixels[..., 0]).save(folder / "gray.gif")
    np.savez(folder / "array.npz", pixels)


def read_stamps(path: Path) -> None:
    band = Band("g", f"{path.parent}/{{name}}", plane=0, zero_point="MAGZERO")
    survey = Survey("s", (band,), kind="stamps", pixel_scale=1.08)
    source = open_source(survey, columns={"name": [path.name]}, size=16, workers=1)
    cut = source.read([0])
    # Without pixels there is a flag and a sentence.
    assert np.isfinite(cut.images).any() or cut.flags[0]
    unread = Flag.FILE_MISSING | Flag.FILE_UNREADABLE
    assert not cut.flags[0] & unread.value or source.problems
    source.wcs(0)
    assert source.fingerprint


def make_shards(folder: Path) -> None:
    rng = np.random.default_rng(2)
    images = rng.normal(size=(12, 6, 6, 2)).astype("f4")
    names = [f"object {k}" for k in range(12)]
    table = Table({"id": names, "ra": np.arange(12.0), "dec": np.arange(12.0), "z": rng.random(12)})
    catalog = Catalog.from_table(table)
    write_shards(folder, catalog, ArraySource(images, ("g", "r")), rows_per_shard=5)


def read_shards(path: Path) -> None:
    shards = Shards.open(path.parent)
    assert shards.images(np.arange(len(shards))).shape[0] == len(shards)
    assert len(shards.objects) == len(shards)
    shards.read(shards.order()[:3])
    assert len(shards.catalog) == len(shards)
    shards.verify()


READERS = {
    "tiles": Reader(make_tiles, read_tiles),
    "stamps": Reader(make_stamps, read_stamps),
    "shards": Reader(make_shards, read_shards),
}


@pytest.mark.parametrize("name", READERS)
def test_damaged_images_are_results_flags_or_sentences(name, tmp_path):
    assert try_reader(name, READERS[name], tmp_path, range(350)) == []
