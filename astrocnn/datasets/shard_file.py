"""One shard: a FITS file with the cutouts as an image and the objects as a table."""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrocnn import __version__, atomic
from astrocnn.errors import AstrocnnError, ImageError
from astrocnn.fits_file import open_fits, open_regular
from astrocnn.header_units import scan_file
from astrocnn.imaging import Inputs

__all__ = [
    "ShardHeader",
    "compute_table_digest",
    "format_name",
    "read_header",
    "read_table",
    "write_shard",
]

BLOCK = 2880
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class ShardHeader:
    """Header of a shard: rows, offset of the pixels [byte], file size [byte] and fingerprint."""

    rows: int
    offset: int
    bytes: int
    fingerprint: Mapping[str, str]


def format_name(number: int) -> str:
    """File name of a shard."""
    return f"shard-{number:06d}.fits"


def content_hashes(images: np.ndarray) -> np.ndarray:
    """A hash of the pixels of each image; empty for one without any data.

    Objects without an image are duplicates of none, whatever their number.
    """
    hashes = [
        "" if np.isnan(image).all() else hashlib.blake2b(image, digest_size=12).hexdigest()
        for image in images
    ]
    return np.array(hashes, dtype="S24")


def write_shard(
    path: Path,
    images: np.ndarray,
    columns: Sequence[fits.Column],
    inputs: Inputs,
    fingerprint: Mapping[str, str],
    comments: Mapping[str, str],
) -> None:
    """Write a shard that exists whole or not at all.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands)
        Big-endian float32.  Without pixels the image HDU has no data.
    columns : sequence of fits.Column
        The table.
    fingerprint : mapping of str to str
        Header cards by which a later run recognizes its own shards.
    comments : mapping of str to str
        Descriptions of columns.

    Raises
    ------
    AstrocnnError
        If the disk is full.
    """
    primary = fits.PrimaryHDU()
    # The fingerprint stands in the first header, so a resumed run recognizes its shards without
    # reading pixels.
    primary.header["EXTEND"] = True
    primary.header["CREATOR"] = f"astrocnn {__version__}"
    for key, value in fingerprint.items():
        primary.header[key] = value
    image = fits.ImageHDU(images if images.size else None, name="IMAGE")
    if inputs.bands:
        image.header["BANDS"] = (",".join(inputs.bands)[:68], "along the first FITS axis")
    if inputs.unit is not None:
        image.header["BUNIT"] = inputs.unit
    if inputs.pixel_scale is not None:
        image.header["PIXSCALE"] = (inputs.pixel_scale, "[arcsec/pixel]")
    table = fits.BinTableHDU.from_columns(list(columns), name="OBJECTS")
    for number, column in enumerate(columns, start=1):
        if column.name in comments:
            table.header[f"TCOMM{number}"] = comments[column.name]
    for hdu in (primary, image, table):
        hdu.add_checksum(when="checksum of this HDU")
    try:
        # A shard under its final name is always complete: resuming relies on it.
        with atomic.replacing(path) as temporary, open(temporary, "wb") as stream:
            # Not by astropy, whose errors do not distinguish a full disk from another failure.
            pixels = images.data if images.size else b""
            for block in (_header(primary), _header(image), pixels, _whole(table)):
                stream.write(block)
                # FITS demands blocks of 2880 bytes, padded with zeros after data.
                stream.write(bytes(-stream.tell() % BLOCK))
            stream.flush()
    except OSError as error:
        # A full disk is the one failure here that the user can fix; others are raised unchanged.
        if error.errno not in FULL:
            raise
        raise AstrocnnError(
            f"No space left to write '{path.name}' in '{path.parent}'.",
            received=str(error.strerror),
            hint="the finished shards are kept: make room and run the same command again",
        ) from error


def _header(hdu: fits.PrimaryHDU | fits.ImageHDU) -> bytes:
    text: str = hdu.header.tostring()
    return text.encode("ascii")


def _whole(table: fits.BinTableHDU) -> bytes:
    stream = io.BytesIO()
    first = fits.PrimaryHDU()
    fits.HDUList([first, table]).writeto(stream)
    return stream.getvalue()[len(_header(first)) :]


def read_header(path: Path, keys: Sequence[str]) -> ShardHeader | None:
    """Read the header of a shard; None if it is none, or is truncated.

    Parameters
    ----------
    keys : sequence of str
        Cards that make the fingerprint.
    """
    try:
        with open_regular(path) as stream:
            units, size = scan_file(stream, path)
            first, *others = units
    except ImageError:
        return None
    by_name = {unit.name: unit for unit in others}
    image, table = by_name.get("IMAGE"), by_name.get("OBJECTS")
    # The table is written last, so a file that ends after it is whole.
    if image is None or table is None or size < table.stop:
        return None
    if image.shape and image.bitpix != -32:
        return None
    return ShardHeader(
        rows=table.value("NAXIS2"),
        offset=image.start,
        bytes=size,
        fingerprint={key: str(first.value(key) or "") for key in keys},
    )


def compute_table_digest(path: Path, offset: int, n_bytes: int) -> str:
    """SHA-256 of a shard without its pixels, which are `n_bytes` from `offset` on."""
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        digest.update(stream.read(offset))
        stream.seek(offset + n_bytes)
        digest.update(stream.read())
    return digest.hexdigest()


def read_table(path: Path) -> np.ndarray:
    """The raw table of a shard: a structured array, big-endian, text as bytes."""
    with open_fits(path) as file:
        return np.array(np.asarray(file["OBJECTS"].data))
