"""Damaged images of every format: a result, a flag, or one sentence."""

from __future__ import annotations

import io
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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


def make_arrays(folder: Path) -> None:
    rng = np.random.default_rng(3)
    images = rng.normal(size=(6, 2, 5, 5)).astype("f4")
    pixels = rng.integers(0, 255, (6, 5, 5, 3), np.uint8)
    pictures = []
    for image in pixels:
        content = io.BytesIO()
        Image.fromarray(image).save(content, "PNG")
        pictures.append({"bytes": content.getvalue(), "path": ""})
    table = {"images": images.tolist(), "pictures": pictures, "ids": list("abcdef")}
    for name, options in {"a": {}, "b": {"compression": "zstd", "use_dictionary": False}}.items():
        pq.write_table(pa.table(table), folder / f"{name}.parquet", row_group_size=4, **options)
    np.savez(folder / "a.npz", images=images)
    if find_spec("zarr") is None:
        return
    import zarr

    for version in (2, 3):
        group = zarr.open_group(folder / f"{version}.zarr", mode="w", zarr_format=version)
        for name in ("Zstd", "GZip", "Blosc"):
            module = zarr.codecs if version == 3 else import_module("numcodecs")
            names = {"GZip": "GzipCodec", "Zstd": "ZstdCodec", "Blosc": "BloscCodec"}
            packed = getattr(module, names[name] if version == 3 else name)()
            group.create_array(name, data=images, chunks=(3, 2, 5, 5), compressors=packed)
    group.create_array("shards", data=images, chunks=(1, 2, 5, 5), shards=(3, 2, 5, 5))


def read_arrays(path: Path) -> None:
    stores = [part for part in path.parents if part.suffix == ".zarr"]
    place = stores[0] if stores else path
    choices = {".parquet": [("images", 2), ("pictures", 3)], ".npz": [("images", 2)]}
    names = ["Zstd", "GZip", "Blosc", "shards"] if place.stem == "3" else ["Zstd", "GZip", "Blosc"]
    inner = [n for n in names if n in path.parts] or names[:1]
    for name, n in choices.get(place.suffix, [(name, 2) for name in inner]):
        bands = tuple(Band(f"b{k}", str(place), hdu=name) for k in range(n))
        kind = "npy" if place.suffix == ".npz" else place.suffix[1:]
        source = open_source(Survey("s", bands, kind=kind), columns={"id": np.arange(6)}, size=5)
        cut = source.read(np.arange(6))
        assert cut.images.shape == (6, 5, 5, n)
        assert len(source.problems) == (cut.flags & Flag.FILE_UNREADABLE.value > 0).sum()
        assert source.fingerprint and source.state([0])


READERS = {
    "arrays": Reader(make_arrays, read_arrays),
    "tiles": Reader(make_tiles, read_tiles),
    "stamps": Reader(make_stamps, read_stamps),
    "shards": Reader(make_shards, read_shards),
}


@pytest.mark.parametrize("name", READERS)
def test_damaged_images_are_results_flags_or_sentences(name, tmp_path):
    assert try_reader(name, READERS[name], tmp_path, range(350)) == []
