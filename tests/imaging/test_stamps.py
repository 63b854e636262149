"""A file per object: FITS, JPEG, PNG; cropping, resizing, flags; archives; arrays."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zlib

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from astrocnn.errors import CatalogError, ConfigError, ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import ArraySource, Source, StampSource, Survey, open_source, unpack

MISSING = Flag.BAND_MISSING


def stamps(folder, size=8, columns=None, workers=1, **keys) -> StampSource:
    survey = Survey.from_dict(
        {"kind": "stamps", "image": "{id}.fits", "bands": ["g"], **keys}, folder
    )
    return StampSource(survey, columns or {"id": np.arange(3)}, size, workers=workers)


def write(path, data, **cards) -> np.ndarray:
    hdu = fits.PrimaryHDU(data)
    hdu.header.update(cards)
    hdu.writeto(path)
    return data


def noise(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (side, side)).astype(np.float32)


def test_every_row_gives_one_row_with_its_flag(tmp_path):
    good = write(tmp_path / "0.fits", noise(8))
    write(tmp_path / "1.fits", noise(11))
    write(tmp_path / "2.fits", noise(5))
    holed = noise(8)
    holed[3, 3] = np.nan
    write(tmp_path / "3.fits", holed)
    (tmp_path / "5.fits").write_bytes((tmp_path / "1.fits").read_bytes()[:3000])
    (tmp_path / "6.fits").write_text("no image")
    (tmp_path / "7.fits").mkdir()
    (tmp_path / "8.fits").touch()
    source = stamps(tmp_path, columns={"id": np.arange(9)})
    assert isinstance(source, Source) and len(source) == 9
    cut = source.read(np.arange(9))
    assert [Flag(int(f)) for f in cut.flags] == [
        Flag(0),
        Flag.SIZE_MISMATCH,
        Flag.SIZE_MISMATCH | Flag.PARTLY_OUTSIDE | Flag.BAND_PARTIAL,
        Flag.NO_DATA_PIXELS,
        Flag.FILE_MISSING | MISSING,
        Flag.FILE_UNREADABLE | MISSING,
        Flag.FILE_UNREADABLE | MISSING,
        Flag.FILE_MISSING | MISSING,
        Flag.FILE_UNREADABLE | MISSING,
    ]
    np.testing.assert_array_equal(cut.images[0, :, :, 0], good)
    np.testing.assert_array_equal(cut.images[1, :, :, 0], noise(11)[1:9, 1:9])
    assert np.isfinite(cut.images[2]).sum() == 25 and np.isnan(cut.images[4:]).all()
    text = "\n".join(source.problems)
    assert "4.fits does not exist" in text and "truncated" in text and "8.fits is empty" in text


def test_extensions_planes_and_masks(tmp_path):
    flux, rms = noise(6), np.ones((6, 6))
    rms[0, 1] = 1e16
    for i in range(2):
        fits.HDUList(
            [
                fits.PrimaryHDU(),
                fits.ImageHDU(flux + i, name="G_FLUX"),
                fits.ImageHDU(rms, name="G_RMS"),
                fits.CompImageHDU(flux.astype("f8") * 2, name="R_FLUX", compression_type="GZIP_1"),
                fits.ImageHDU(np.stack([flux * 3, flux * 4]), name="CUBE"),
            ]
        ).writeto(tmp_path / f"{i}.fits")
    source = stamps(
        tmp_path,
        6,
        {"id": np.array([1, 0])},
        bands=[
            {"name": "G", "hdu": "{band}_FLUX", "rms_hdu": "{band}_RMS"},
            {"name": "R", "hdu": "{band}_FLUX"},
            {"name": "i", "hdu": "CUBE", "plane": 1},
        ],
    )
    images = source.read([0, 1]).images
    expected = flux + 1
    expected[0, 1] = np.nan
    np.testing.assert_array_equal(images[0, :, :, 0], expected)
    np.testing.assert_allclose(images[0, :, :, 1], 2 * flux, atol=0.05)
    np.testing.assert_array_equal(images[1, :, :, 2], 4 * flux)


def test_a_file_per_band_and_a_band_that_is_absent(tmp_path):
    for name in ("g_0", "r_0", "g_1"):
        write(tmp_path / f"{name}.fits", noise(8))
    source = stamps(
        tmp_path, columns={"id": np.array([0, 1, 2])}, image="{band}_{id}.fits", bands=["g", "r"]
    )
    cut = source.read([0, 1, 2])
    assert cut.flags.tolist() == [0, MISSING, Flag.FILE_MISSING | MISSING]
    assert cut.no_data.tolist() == [[0, 0], [0, 1], [1, 1]]


def test_crop_resize_and_flux(tmp_path):
    data = write(tmp_path / "0.fits", np.abs(noise(30)))
    source = stamps(tmp_path, 5, {"id": [0]}, crop=20, pixel_scale=0.5)
    cut = source.read([0])
    blocks = data[5:25, 5:25].reshape(5, 4, 5, 4).sum(axis=(1, 3))
    np.testing.assert_allclose(cut.images[0, :, :, 0], blocks, rtol=1e-6)
    assert source.pixel_scale == 2.0 and not cut.flags[0]
    padded = stamps(tmp_path, 10, {"id": [0]}, crop=40).read([0])
    assert padded.flags[0] & Flag.SIZE_MISMATCH and padded.flags[0] & Flag.PARTLY_OUTSIDE
    assert not padded.flags[0] & Flag.NO_DATA_PIXELS
    np.testing.assert_allclose(np.nansum(padded.images), data.sum(), rtol=0.15)


def test_pictures(tmp_path):
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(color).save(tmp_path / "0.png")
    Image.fromarray(color[..., 0]).save(tmp_path / "1.png")
    smooth = np.full((423, 423, 3), (200, 120, 40), np.uint8)
    Image.fromarray(smooth).save(tmp_path / "0.jpeg", quality=95)
    (tmp_path / "2.png").write_bytes((tmp_path / "0.png").read_bytes()[:100])
    rgb = stamps(tmp_path, 9, image="{id}.png", bands=["red", "green", "blue"])
    cut = rgb.read([0, 1, 2])
    np.testing.assert_array_equal(cut.images[0], color)
    np.testing.assert_array_equal(cut.images[1], np.repeat(color[..., :1], 3, axis=2))
    assert cut.flags.tolist() == [0, 0, Flag.FILE_UNREADABLE | MISSING]
    blue = stamps(tmp_path, 9, image="{id}.png", bands=[{"name": "b", "plane": 2}])
    np.testing.assert_array_equal(blue.read([0]).images[0, :, :, 0], color[..., 2])
    gray = stamps(tmp_path, 9, image="{id}.png", bands=["l"])
    np.testing.assert_array_equal(gray.read([1]).images[0, :, :, 0], color[..., 0])
    assert gray.read([0]).flags[0] & Flag.FILE_UNREADABLE
    assert "3 color channels" in gray.problems[0]
    third = stamps(tmp_path, 64, image="{id}.jpeg", bands=["r", "g", "b"], crop=141).read([0])
    np.testing.assert_allclose(third.images[0].mean(axis=(0, 1)), (200, 120, 40), atol=1.5)
    assert not third.flags[0]


def png(path, pixels: np.ndarray, color_type: int) -> None:
    """Write a PNG of 16 bits with the standard library alone."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1).astype(">u2")

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_pictures_of_16_bits_are_exact_or_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (9, 9, 3))
    png(tmp_path / "0.png", pixels[..., 0], 0)
    png(tmp_path / "1.png", pixels, 2)
    source = stamps(tmp_path, 9, image="{id}.png", bands=[{"name": "g", "plane": 0}])
    cut = source.read([0, 1])
    np.testing.assert_array_equal(cut.images[0, ..., 0], pixels[..., 0])
    assert cut.flags[1] & Flag.FILE_UNREADABLE
    assert "16 bits a color, of which 8 would be lost" in source.problems[0]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_have_no_data(tmp_path, mode):
    pixels = np.random.default_rng(1).integers(1, 255, (9, 9, 3), dtype=np.uint8)
    alpha = np.full((9, 9), 255, np.uint8)
    alpha[2, 3:6] = 0
    alpha[4, 4] = 128  # half transparent: the color counts
    picture = Image.fromarray(np.dstack([pixels, alpha]))
    if mode == "P":
        index = np.where(alpha == 0, 0, 1).astype(np.uint8)
        picture = Image.fromarray(index, "P")
        picture.putpalette([0, 0, 0, 10, 20, 30])
        picture.save(tmp_path / "0.png", transparency=0)
    else:
        picture.convert(mode).save(tmp_path / "0.png")
    bands = ["l"] if mode == "LA" else ["r", "g", "b"]
    cut = stamps(tmp_path, 9, image="{id}.png", bands=bands).read([0])
    np.testing.assert_array_equal(np.isnan(cut.images[0]).all(axis=-1), alpha == 0)
    assert cut.flags.tolist() == [Flag.NO_DATA_PIXELS]
    np.testing.assert_allclose(cut.no_data, 3 / 81, rtol=1e-6)
    if mode == "RGBA":
        np.testing.assert_array_equal(cut.images[0, 4, 4], pixels[4, 4])


def test_files_of_another_pixel_scale_are_refused(tmp_path, make_wcs):
    for k, scale in enumerate((0.5, 0.503, 1.0)):
        header = make_wcs(scale=scale, shape=(8, 8)).to_header()
        write(tmp_path / f"{k}.fits", noise(8), **dict(header))
    source = stamps(tmp_path, pixel_scale=0.5)
    assert source.read([0, 1, 2]).flags.tolist() == [0, 0, Flag.FILE_UNREADABLE | MISSING]
    assert "0.5 arcsec, the pixel_scale of 'survey'" in source.problems[0]
    assert not stamps(tmp_path).read([0, 1, 2]).flags.any()


def test_absolute_paths_braces_and_formats_in_file_names(tmp_path):
    folder = tmp_path / "run {v2} [1]"
    folder.mkdir()
    write(folder / "a{1}-007.fits", noise(8, 1))
    write(tmp_path / "elsewhere.fits", noise(8, 2))
    source = stamps(folder, columns={"id": [7]}, image="a{{1}}-{id:03d}.fits")
    assert not source.read([0]).flags[0]
    names = np.array([str(tmp_path / "elsewhere.fits"), str(folder / "a{1}-007.fits")])
    source = stamps(folder, columns={"file.loc": names}, image="{file.loc}")
    cut = source.read([0, 1])
    np.testing.assert_array_equal(cut.images[0, ..., 0], noise(8, 2))
    np.testing.assert_array_equal(cut.images[1, ..., 0], noise(8, 1))
    with pytest.raises(ConfigError, match=r"column 'id.__class__'"):
        stamps(folder, columns={"id": [7]}, image="{id.__class__}.fits")
    with pytest.raises(ConfigError, match="brace is not closed"):
        stamps(folder, columns={"id": [7]}, image="{id.fits")
    with pytest.raises(ConfigError, match="does not have the format"):
        stamps(folder, columns={"id": ["x"]}, image="{id:03d}.fits").read([0])
    with pytest.raises(ConfigError, match="needs one HDU"):
        stamps(folder, columns={"id": [7]}, hdu=[1, 2])


def test_zero_points_in_headers(tmp_path):
    write(tmp_path / "0.fits", np.ones((4, 4)), MAGZP=28.9)
    write(tmp_path / "1.fits", np.ones((4, 4)))
    source = stamps(
        tmp_path, 4, {"id": [0, 1]}, bands=[{"name": "g", "zero_point": "MAGZP"}], unit="nJy"
    )
    cut = source.read([0, 1])
    np.testing.assert_allclose(cut.images[0], 10, rtol=1e-5)
    assert cut.flags[1] & Flag.FILE_UNREADABLE and "MAGZP" in source.problems[0]


def test_file_names_from_columns_of_any_kind(tmp_path):
    write(tmp_path / "-7-a.fits", noise(8))
    columns = {"id": np.array([-7]), "tag": np.array([b"a"]), "other": np.array([1.5])}
    source = stamps(tmp_path, columns=columns, image="{id}-{tag}.fits")
    assert not source.read([0]).flags[0]
    with pytest.raises(ConfigError, match="named after a column 'tile'") as caught:
        stamps(tmp_path, columns=columns, image="{tile}.fits")
    assert "id, tag, other" in str(caught.value)
    with pytest.raises(CatalogError, match="different lengths"):
        stamps(tmp_path, columns={"id": np.arange(3), "x": np.arange(4)})
    with pytest.raises(ConfigError, match="need columns"):
        open_source(Survey.from_dict({"kind": "stamps", "image": "a.fits", "bands": ["g"]}))


def test_shared_files_are_visited_together(tmp_path):
    source = stamps(tmp_path, columns={"id": np.array([3, 1, 3, 1, 2])})
    assert source.order().tolist() == [1, 3, 4, 0, 2]
    assert stamps(tmp_path, columns={"id": np.array([3, 1, 2])}).order().tolist() == [0, 1, 2]


def test_more_files_than_handles_and_threads_agree(tmp_path, few_handles):
    for i in range(300):
        write(tmp_path / f"{i}.fits", np.full((2, 2), i, "f4"))
    few_handles(100)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    source = stamps(tmp_path, 2, {"id": np.arange(300)}, workers=3)
    images = source.read(np.arange(300)[::-1]).images
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    np.testing.assert_array_equal(images[:, 0, 0, 0], np.arange(300)[::-1])
    assert after <= before


def test_unpack_is_repeatable_and_refuses_to_leave_the_folder(tmp_path):
    archive = tmp_path / "a.tar.gz"

    def pack(name: str, content: bytes) -> None:
        with tarfile.open(archive, "w:gz") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

    pack("cutouts/1.fits", b"one")
    folder = unpack(archive, tmp_path / "out")
    assert (folder / "cutouts" / "1.fits").read_bytes() == b"one"
    (folder / "cutouts" / "1.fits").write_bytes(b"mine")
    unpack(archive, folder)
    assert (folder / "cutouts" / "1.fits").read_bytes() == b"mine"
    pack("../evil", b"two two")
    with pytest.raises(ImageError, match="not safe"):
        unpack(archive, folder)
    assert not (tmp_path / "evil").exists()
    archive.write_bytes(b"nothing")
    with pytest.raises(ImageError, match="cannot be unpacked"):
        unpack(archive, folder)


def test_arrays():
    images = np.ones((4, 6, 6, 2), ">f8")
    images[1, 0, 0, 0] = np.inf
    images[2, :, :, 1] = np.nan
    source = ArraySource(images, ["g", "r"], pixel_scale=0.2, unit="nJy")
    assert isinstance(source, Source) and source.size == 6
    cut = source.read([2, 1, 0])
    assert cut.images.dtype == np.float32 and cut.images.dtype.isnative
    assert cut.flags.tolist() == [MISSING | Flag.NO_DATA_PIXELS, Flag.NO_DATA_PIXELS, 0]
    np.testing.assert_allclose(cut.no_data, [[0, 1], [1 / 36, 0], [0, 0]], rtol=1e-6)
    assert np.isinf(images[1, 0, 0, 0]), "the caller's array was changed"
    assert ArraySource(images[..., 0], "g").read([0]).images.shape == (1, 6, 6, 1)
    for bad, bands, sentence in (
        (images[:, :5], ["g", "r"], "axes"),
        (images, ["g"], "2 bands in the images and 1 names"),
        (images.astype(str), ["g", "r"], "must be numbers"),
    ):
        with pytest.raises(ImageError, match=sentence):
            ArraySource(bad, bands)


def test_files_that_are_nearly_alike(tmp_path):
    """Each file is read as if it were the only one, whatever the headers before it were."""
    rng = np.random.default_rng(8)
    pixels = rng.normal(100, 10, (12, 2, 9, 9)).astype("f4")
    changes: list[dict] = [
        {}, {}, {"CRVAL1": 151.0}, {"MAGZP": 26.0}, {"BUNIT": "uJy"}, {"BSCALE": 2.0},
        {"BZERO": 5.0}, {"OBJECT": "a 'quoted' name / slash"}, {"EXTRA": 1.0},
        {"EXTNAME": "OTHER"}, {"CDELT1": -9e-5}, {},
    ]  # fmt: skip
    for k, change in enumerate(changes):
        hdus = [fits.PrimaryHDU()]
        for name, image in zip(("SCI", "ERR"), pixels[k], strict=True):
            hdu = fits.ImageHDU(image.astype("f8") if k == 11 else image, name=name)
            hdu.header["CRVAL1"], hdu.header["MAGZP"], hdu.header["OBJECT"] = 150.0, 25.0, "x"
            hdu.header["CTYPE1"], hdu.header["CTYPE2"] = "RA---TAN", "DEC--TAN"
            hdu.header["CDELT1"], hdu.header["CDELT2"], hdu.header["BUNIT"] = -1e-4, 1e-4, "nJy"
            hdu.header.update(change if name == "SCI" else {})
            hdus.append(hdu)
        if k == 1:
            hdus.insert(1, fits.ImageHDU(image[:4], name="NEW"))
        fits.HDUList(hdus).writeto(tmp_path / f"{k}.fits")
    (tmp_path / "12.fits").write_bytes((tmp_path / "0.fits").read_bytes()[:7000])
    bands = [{"name": "a", "hdu": "SCI"}, {"name": "b", "hdu": "ERR"}]
    for options in (
        {"unit": "nJy"},
        {"unit": "nJy", "zero_point": "MAGZP"},
        {"pixel_scale": 0.36, "flux_scale": 2.0},
    ):
        mapping = {"kind": "stamps", "image": "{id}.fits", "bands": bands, **options}
        survey = Survey.from_dict(mapping, tmp_path)
        rows = rng.permutation(np.repeat(np.arange(13), 3))
        many = open_source(survey, columns={"id": rows}, size=9, workers=3).read(range(len(rows)))
        for k in range(13):
            one = open_source(survey, columns={"id": [k]}, size=9).read([0])
            for i in np.flatnonzero(rows == k):
                np.testing.assert_array_equal(many.images[i], one.images[0])
                assert many.flags[i] == one.flags[0]
