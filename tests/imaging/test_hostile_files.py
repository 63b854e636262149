"""Files that claim sizes, expand without end, never end, or shrink while they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from astropy.io import fits

from astrocnn import fits_file
from astrocnn.errors import CatalogError, ImageError, MissingFileError
from astrocnn.fits_file import decompress, open_fits, open_regular, read_bytes
from astrocnn.flags import Flag
from astrocnn.header_units import scan_bytes
from astrocnn.imaging import Band, Survey, open_source, stamp_file
from astrocnn.imaging.planes import find_plane
from tests.fuzz.mutations import alarm

COMPRESSORS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def card(key: str, value: object) -> str:
    return f"{key:<8}= {value!s:>20}".ljust(80)


def unit(*cards: tuple[str, object], data: bytes = b"") -> bytes:
    """A header-data unit of any cards."""
    header = "".join(card(*one) for one in cards) + "END".ljust(80)
    return header.ljust(-(-len(header) // 2880) * 2880).encode() + data


PRIMARY = unit(("SIMPLE", "T"), ("BITPIX", 8), ("NAXIS", 0))


def extension(kind: str, *axes: int, **more: object) -> bytes:
    sizes = [(f"NAXIS{k}", n) for k, n in enumerate(axes, start=1)]
    first = [("XTENSION", f"'{kind:<8}'"), ("BITPIX", -32), ("NAXIS", len(axes)), *sizes]
    return unit(*first, ("PCOUNT", 0), ("GCOUNT", 1), *more.items())


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (PRIMARY + extension("BINTABLE", 8, -6) + extension("IMAGE", 4, 4), "not valid FITS"),
        (PRIMARY + extension("IMAGE", 10**9, 10**9), "truncated"),
        (PRIMARY + extension("IMAGE", 10**30, 4), "truncated"),
        (PRIMARY + extension("IMAGE", -4, -4), "not valid FITS"),
        (PRIMARY + extension("IMAGE", 4, 4, NAXIS=10**9), "truncated|holds no image|not valid"),
        (PRIMARY * 2 + b"x" * 100, "holds no image"),
        (PRIMARY[:80] * 400_000, "has no end|within the header"),
        (unit(("SIMPLE", "T"), ("BITPIX", 8), ("NAXIS", 10**9)), "not valid FITS"),
        (unit(("SIMPLE", "T"), ("BITPIX", "'x'"), ("NAXIS", 0)), "not valid FITS"),
        (unit(("SIMPLE", "T"), ("BITPIX", "1E400"), ("NAXIS", 0)), "not valid FITS"),
        (PRIMARY + extension("BINTABLE", 8, 0, TFIELDS=1) * 12_000, "more than 10000 HDUs"),
        (PRIMARY + extension("BINTABLE", 8, 1, TFIELDS=10**9), "not valid FITS"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sizes_that_a_header_only_claims(tmp_path, data, sentence):
    path = tmp_path / "t.fits"
    path.write_bytes(data)
    with alarm(5), pytest.raises(ImageError, match=sentence):
        find_plane(path)


def compressed_image(**cards: object) -> bytes:
    stream = io.BytesIO()
    hdu = fits.CompImageHDU(np.arange(600, dtype="i4").reshape(20, 30), compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(stream)
    data = stream.getvalue()
    for key, value in cards.items():
        at = data.index(f"{key:<8}= ".encode())
        data = data[:at] + card(key, value).encode() + data[at + 80 :]
    return data


@pytest.mark.parametrize(
    ("cards", "sentence"),
    [
        ({"ZNAXIS2": 21}, "20 tiles(?s:.*)21 tiles, for its size"),
        ({"ZNAXIS1": 10**9, "ZTILE1": 10**9}, "expands to 80000000000 bytes"),
        ({"ZTILE1": 0}, "no valid size"),
        ({"ZTILE2": -1}, "no valid size"),
        ({"ZNAXIS1": -30}, "not valid FITS"),
    ],
)
def test_a_compressed_image_must_have_the_size_of_its_tiles(tmp_path, cards, sentence):
    path = tmp_path / "t.fits.fz"
    path.write_bytes(compressed_image(**cards))
    for read in (lambda: find_plane(path), lambda: open_fits(path).__enter__()):
        with alarm(5), pytest.raises(ImageError, match=sentence):
            read()


def test_streams_of_hcompress_must_have_the_size_of_their_tile(tmp_path):
    path = tmp_path / "image.fits"
    pixels = np.arange(20 * 30, dtype="i4").reshape(20, 30)
    hdu = fits.CompImageHDU(pixels, compression_type="HCOMPRESS_1", tile_shape=(8, 30))
    hdu.writeto(path)
    whole = path.read_bytes()
    # The last tile has the 4 rows that are left.
    np.testing.assert_array_equal(find_plane(path).load(), pixels)
    at = whole.index(b"\xdd\x99")
    assert struct.unpack(">2i", whole[at + 2 : at + 10]) == (8, 30)
    for sides in [(0, 30), (0, 0), (8, -30), (-8, -30), (9, 30), (10**5, 10**5)]:
        path.write_bytes(whole[: at + 2] + struct.pack(">2i", *sides) + whole[at + 10 :])
        with pytest.raises(ImageError, match=f"Tile 0 (?s:.*){sides[0]} x {sides[1]} pixels"):
            find_plane(path).load()


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_stream_may_expand_so_far_and_no_further(tmp_path, kind, monkeypatch):
    data = COMPRESSORS[kind](bytes(50_000_000))
    assert len(decompress(data, tmp_path, 50_000_000)) == 50_000_000
    with pytest.raises(ImageError, match=r"expands to more than 49999999 bytes(?s:.*)by hand"):
        decompress(data, tmp_path, 49_999_999)
    for damaged in (data[:-10], data[:20], data[:2]):
        with pytest.raises(ImageError, match="truncated or damaged"):
            decompress(damaged, tmp_path)
    # Members one after another are one stream, as their programs read them.
    assert decompress(COMPRESSORS[kind](b"ab") + COMPRESSORS[kind](b"cd"), tmp_path) == b"abcd"
    monkeypatch.setattr(fits_file, "MAX_MEMORY", 100)
    path = tmp_path / f"t.fits.{kind}"
    path.write_bytes(COMPRESSORS[kind](PRIMARY + bytes(10_000_000)))
    with pytest.raises(ImageError, match="expands to more than"):
        find_plane(path)


def read_stamp(path, **options):
    survey = Survey("s", (Band("g", str(path), plane=0, **options),), kind="stamps")
    source = open_source(survey, columns={"id": [0]}, size=4, workers=1)
    with alarm(5):
        cut = source.read([0])
    return int(cut.flags[0]), source.problems


def png(width: int, height: int, depth: int = 8, color: int = 0) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("bomb.png", png(12_000, 12_000), "too large for a stamp"),
        ("deep.png", png(4, 4, 16, 2), "16 bits a color"),
        ("gray_and_alpha.png", png(4, 4, 16, 4), "16 bits a color"),
        ("short.png", b"\x89PNG\r\n\x1a\n", "truncated or damaged"),
        ("array.npz", b"PK\x03\x04" + bytes(100), "is not a FITS file"),
        ("picture.tiff", b"II*\0" + bytes(100), "is not a FITS file"),
        ("bomb.fits.gz", gzip.compress(PRIMARY + bytes(300 << 20), 1), "expands to more than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_stamp_that_cannot_be_read_flags_its_row(tmp_path, name, data, sentence):
    (tmp_path / name).write_bytes(data)
    flags, problems = read_stamp(tmp_path / name)
    assert flags & Flag.FILE_UNREADABLE.value
    assert sentence in problems[0] and name in problems[0]


def test_pipes_devices_and_large_files_are_no_stamps(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.fits")
    for path in (tmp_path / "pipe.fits", "/dev/zero"):
        flags, problems = read_stamp(path)
        assert flags & Flag.FILE_UNREADABLE.value and "no ordinary file" in problems[0]
        for read in (open_regular, read_bytes, find_plane):
            with alarm(5), pytest.raises(ImageError, match="no ordinary file"):
                read(path)
    flags, problems = read_stamp(tmp_path)
    assert flags & Flag.FILE_MISSING.value and "it is a folder" in problems[0]
    monkeypatch.setattr(stamp_file, "MAX_BYTES", 10)
    (tmp_path / "large.fits").write_bytes(bytes(11))
    assert "is too large" in read_stamp(tmp_path / "large.fits")[1][0]


def test_whatever_astropy_raises_is_one_error_of_the_type_asked_for(tmp_path):
    path = tmp_path / "t.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 3)))]).writeto(path)
    with open_fits(path) as hdus:
        assert hdus[1].data.sum() == 6
    with (
        pytest.raises(CatalogError, match=r"damaged(?s:.*)KeyError"),
        open_fits(path, error=CatalogError) as hdus,
    ):
        hdus["NO SUCH"]
    with (
        pytest.raises(CatalogError, match="does not exist"),
        open_fits(tmp_path / "no", error=CatalogError),
    ):
        pass
    with pytest.raises(MissingFileError), open_fits(tmp_path / "no"):
        pass
    data = path.read_bytes()
    path.write_bytes(data[:-2880])
    with pytest.raises(ImageError, match="truncated"), open_fits(path):
        pass
    with open_fits(path, allow_truncated=True) as hdus:
        assert hdus[1].header["NAXIS1"] == 3
    assert [one.kind for one in scan_bytes(data, path)] == ["image", "image"]


def test_a_tile_that_shrinks_while_it_is_mapped_ends_in_a_sentence(tmp_path):
    """In a process of its own, which the system would end with SIGBUS."""
    code = """
import os, sys
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astrocnn.errors import ImageError
from astrocnn.imaging import Band, Survey, open_source
wcs = WCS(naxis=2)
wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150, 2]
wcs.wcs.crpix, wcs.wcs.cdelt = [500, 500], [-1e-4, 1e-4]
fits.writeto("t.fits", np.ones((1000, 1000), "f4"), wcs.to_header())
source = open_source(Survey("s", (Band("g", "t.fits"),)), [150.0], [2.0], size=8)
assert np.all(source.read([0]).images == 1)
os.truncate("t.fits", 5000)
try:
    source.read([0])
except ImageError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "t.fits is truncated: HDU 0 needs 4002880 bytes and the file has 5000" in done.stdout
