"""HATS catalogues by their metadata: the files of their pixels in order, and a catalogue like one.

References
----------
HATS (Hierarchical Adaptive Tiling Scheme): https://www.ivoa.net/documents/Notes/HATS
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

from astrocnn.atomic import cache_folder, write_bytes
from astrocnn.catalog.parquet_table import find_parts
from astrocnn.errors import CatalogError, MissingDependency, MissingFileError
from astrocnn.remote import Url, find_urls, read_url

__all__ = ["list_pixel_files", "list_pixel_urls", "read_positions", "write_metadata"]

_PROPERTIES = ("hats.properties", "properties", "collection.properties")
_MAX_METADATA = 256 << 20
_MAPS = ("point_map.fits", "skymap.fits")


def list_pixel_files(folder: Path) -> tuple[Path, list[Path]] | None:
    """Root of a HATS catalogue and the files of its pixels, in the order of the pixels.

    Margin caches and indices are not part of it.

    Returns
    -------
    (Path, list of Path) or None
        None if the folder is not HATS.

    Raises
    ------
    CatalogError
        If it is HATS without its metadata, is no catalogue of objects, or a file is missing.
    """
    if not any((folder / name).is_file() for name in _PROPERTIES):
        if any(any(root.glob("Norder=*")) for root in (folder, folder / "dataset")):
            raise CatalogError(
                f"'{folder}' is a HATS catalogue without its metadata.",
                received="folders Norder=..., but no hats.properties",
                hint="copy hats.properties and partition_info.csv from where it comes from, or "
                "give the files as a pattern, such as 'dataset/Norder=*/**/*.parquet'",
            )
        return None
    find_parts(folder)  # refuses what is no catalogue of objects
    catalog = _read(folder)
    root = Path(str(catalog.catalog_base_dir))
    files: list[Path] = []
    for pixel in catalog.get_healpix_pixels():
        path = _locate(root, pixel, catalog.catalog_info.npix_suffix)
        found = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not found or not found[0].is_file():
            raise CatalogError(
                f"The HATS catalogue '{folder}' lacks a file that its metadata name.",
                received=str(path),
                hint="fetch it again",
            )
        files += found
    return root, files


def list_pixel_urls(url: Url) -> tuple[Url, list[Url], Path] | None:
    """As `list_pixel_files`, for a catalogue on a server, of which nothing is listed.

    Returns
    -------
    (Url, list of Url, Path) or None
        Root, files, and a folder in the cache with copies of the metadata; None if it is not HATS.
    """
    url = Url(url.rstrip("/"))
    folder = cache_folder() / "hats" / hashlib.sha256(url.encode()).hexdigest()[:32]
    found = {}
    for name in (*_PROPERTIES, "partition_info.csv"):
        with contextlib.suppress(MissingFileError):
            found[name] = read_url(Url(f"{url}/{name}"), _MAX_METADATA)
    if "collection.properties" in found:
        text = found["collection.properties"].decode("utf-8", "replace")
        match = re.search(r"(?m)^hats_primary_table_url *= *([\w.-]+)\s*$", text)
        if match is None or match[1] in (".", ".."):
            raise CatalogError(f"The HATS collection '{url}' names no catalogue inside of it.")
        return list_pixel_urls(Url(f"{url}/{match[1]}"))
    if found.keys() <= {"partition_info.csv"}:
        return None
    for name, content in found.items():
        write_bytes(folder / name, content)
    catalog = _read(folder)
    if catalog.catalog_info.catalog_type not in ("object", "source", "nested"):
        raise CatalogError(
            f"'{url}' is a HATS data product of type '{catalog.catalog_info.catalog_type}', not a"
            " catalogue of objects.",
            hint="name the folder of the catalogue that it belongs to",
        )
    root, suffix = Path(str(catalog.catalog_base_dir)), catalog.catalog_info.npix_suffix
    files: list[Url] = []
    for pixel in catalog.get_healpix_pixels():
        place = Url(f"{url}/{_locate(root, pixel, suffix).relative_to(root)}")
        is_folder = place.rpartition(".")[2] not in ("parquet", "parq", "pq")
        files += find_urls(Url(f"{place.rstrip('/')}/**/*.parquet")) if is_folder else [place]
    return url, files, folder


def read_positions(folder: Path) -> tuple[str, str]:
    """Columns of right ascension and declination by the metadata."""
    info = _read(folder).catalog_info
    return str(info.ra_column), str(info.dec_column)


def _read(folder: Path) -> Any:
    """The catalogue, as `hats` reads it."""
    try:
        import hats
    except ImportError as error:
        raise MissingDependency("hats", "survey", "read a HATS catalogue in partitions") from error
    try:
        with warnings.catch_warnings():
            # It misses optional files.
            warnings.simplefilter("ignore")
            catalog = hats.read_hats(folder, read_moc=False)
        return getattr(catalog, "main_catalog", catalog)
    except Exception as error:  # it raises types of many packages
        raise CatalogError(
            f"The metadata of the HATS catalogue '{folder}' cannot be read.",
            received=f"{type(error).__name__}: {error}"[:300],
            hint="fetch hats.properties and partition_info.csv again",
        ) from error


def _locate(root: Path, pixel: Any, suffix: str) -> Path:
    from hats.io import paths

    return Path(str(paths.pixel_catalog_file(root, pixel, npix_suffix=suffix)))


def write_metadata(folder: Path, like: Path, n_rows: int, ra: str, dec: str) -> None:
    """Make a folder with files at the places of those of a HATS catalogue one of HATS.

    Parameters
    ----------
    folder : Path
        With a file for each pixel of `like`.
    like : Path
        A HATS catalogue with the same rows.
    n_rows : int
        Number of rows.
    ra, dec : str
        Their columns.
    """
    from hats.catalog import PartitionInfo
    from hats.io.parquet_metadata import write_parquet_metadata

    model = _read(like)
    root = Path(str(model.catalog_base_dir))
    suffix = model.catalog_info.npix_suffix
    pixels = model.get_healpix_pixels()
    kept = [pixel for pixel in pixels if _locate(folder, pixel, suffix).exists()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        info = model.catalog_info.copy_and_update(
            catalog_name=folder.name,
            total_rows=n_rows,
            ra_column=ra,
            dec_column=dec,
            default_columns=None,
            # The files have no column with a pixel of high order.
            healpix_column=None,
            healpix_order=None,
        )
        info.to_properties_file(folder)
        PartitionInfo(kept).write_to_file(catalog_path=folder)
        write_parquet_metadata(folder)
    for name in _MAPS:
        if (root / name).is_file():
            shutil.copyfile(root / name, folder / name)
