"""A catalogue in partitions, each of which is read by itself: it is never in memory as a whole.

A partition is a file, or a range of its rows: row groups of a large Parquet file, rows of a large
FITS table, each file of a folder or a pattern, each pixel of a HATS catalogue.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from astrocnn.block_cache import fetch
from astrocnn.catalog import fits_table, parquet_table
from astrocnn.catalog.catalog import Catalog
from astrocnn.catalog.hats import list_pixel_files, list_pixel_urls, read_positions
from astrocnn.catalog.readers import detect_format, read_catalog, read_column_names
from astrocnn.catalog.roles import (
    ROW_NUMBER,
    Roles,
    choose_roles,
    resolve_column,
    split_difference,
)
from astrocnn.errors import CatalogError
from astrocnn.plugins import nearest_file
from astrocnn.remote import CONNECTIONS, Url, find_urls, get_statuses, locate
from astrocnn.stored_files import Stored

__all__ = ["PARTITION_ROWS", "Partition", "PartitionedCatalog", "is_large"]

PARTITION_ROWS = 1 << 18
"""Rows of a partition where a file is divided: some MB for each column, some seconds of work."""

WHOLE_ROWS = 1 << 21
"""Catalogues with more rows are read in partitions wherever possible."""

MAX_PARTITIONS = 1_000_000
_Named = tuple[Path | Url, str, dict[str, str]]
"""A file, its name in an output folder, and the columns that its folders' names give."""
COMPRESSIONS = (".gz", ".bz2", ".xz", ".fz")


class Partition(Stored):
    """Some rows of a file.

    Attributes
    ----------
    path : Path or Url
        The file.
    name : str
        Path of a file for its rows in a folder of the same partitions, without suffix.
    start, stop : int, int or None
        Its rows; None where the file is read as a whole.
    keys : dict of str to str
        Columns that folders named ``key=value`` give.
    """

    path: Path | Url
    name: str
    start: int = 0
    stop: int | None = None
    keys: dict[str, str] = Field(default_factory=dict)

    @field_validator("path", mode="before")
    @classmethod
    def _locate(cls, path: object) -> object:
        # Of JSON, in which an address is a text like any path.
        return locate(path) if type(path) is str else path

    def __str__(self) -> str:
        rows = "" if self.stop is None else f", rows {self.start} to {self.stop - 1}"
        return f"{self.path}{rows}"

    @property
    def n_rows(self) -> int:
        """Number of rows; of a file in a text format at most as many."""
        if self.stop is not None:
            return self.stop - self.start
        if isinstance(self.path, Url):
            status = get_statuses([self.path])[self.path]
            size = (status and status.size) or 0
        else:
            size = self.path.stat().st_size
        # An identifier and the end of its line.
        return size // 2


class PartitionedCatalog(Stored):
    """A catalogue that is read partition by partition, with the columns that are needed.

    Attributes
    ----------
    path : str
        The folder, file or pattern.
    partitions : tuple of Partition
        In order; HATS in that of its pixels.
    roles : Roles
        Identifier and position, by the columns of the first partition; all must have them.
    columns : tuple of str or None
        What is read beside them; None for all columns.
    hats : Path or None
        Folder with the metadata of a HATS catalogue; None for all others.
    options : dict of str to object
        Options of `read_catalog`.
    """

    path: str
    partitions: tuple[Partition, ...]
    roles: Roles
    columns: tuple[str, ...] | None
    hats: Path | None
    options: dict[str, Any]

    @classmethod
    def find(
        cls,
        path: str | os.PathLike[str],
        columns: Iterable[str] | None = None,
        *,
        rows: int = PARTITION_ROWS,
        hdu: int | str | None = None,
        id: str | None = None,
        ra: str | None = None,
        dec: str | None = None,
        missing: Sequence[float] | None = None,
    ) -> PartitionedCatalog:
        """Find the partitions of a catalogue; no value is read but of text files.

        Parameters
        ----------
        path : path-like
            A folder of Parquet files, a HATS catalogue or collection, a pattern of files such as
            ``catalog/*.fits``, or one file: of FITS and Parquet ranges of rows are partitions.  Of
            a folder or a pattern at an address, files are copied to the cache when they are read.
        columns : iterable of str, optional
            What is read beside identifier and position: columns, or differences such as
            ``"g - r"``; all by default.
        rows : int
            Into how many rows files are divided, about.
        hdu, id, ra, dec, missing
            As for `read_catalog`.

        Raises
        ------
        CatalogError
            If there is no such file, one has no known format, columns are missing in the first
            partition, or a HATS catalogue lacks its metadata.
        """
        place = locate(path)
        away = _find_urls(place) if isinstance(place, Url) else None
        hats = None
        if away is not None:
            named, hats = away
        else:
            place = fetch(place) if isinstance(place, Url) else place.expanduser()
            pixels = list_pixel_files(place) if place.is_dir() else None
            if pixels is None:
                named = _find_files(place)
            else:
                root, files = pixels
                hats = place
                named = [(file, _strip(file.relative_to(root)), {}) for file in files]

        def divide(file: _Named) -> list[Partition]:
            if hats is not None:
                return [Partition(path=file[0], name=file[1], stop=_count(file[0]))]
            return _divide(*file, rows, hdu)

        # Of thousands of files on servers each costs the time of some answers.
        with ThreadPoolExecutor(CONNECTIONS if away else 1) as pool:
            partitions = [part for parts in pool.map(divide, named) for part in parts]
        partitions = [part for part in partitions if part.stop is None or part.n_rows]
        if not partitions:
            raise CatalogError(f"'{path}' has no rows.", allowed="at least one object")
        if len(partitions) > MAX_PARTITIONS:
            raise CatalogError(f"'{path}' has more than {MAX_PARTITIONS} partitions.")
        names = read_column_names(partitions[0].path, hdu, partitions[0].keys)
        if hats is not None and ra is None and dec is None:
            ra, dec = read_positions(hats)
        roles = choose_roles(names, id=id, ra=ra, dec=dec)
        several = partitions[0].path != partitions[-1].path
        if several and roles.id == ROW_NUMBER and ROW_NUMBER not in names:
            raise CatalogError(
                f'id = "{ROW_NUMBER}" does not number the rows of several files.',
                hint="add a column of identifiers to the files",
            )
        wanted = None
        if columns is not None:
            terms = [term for name in columns for term in split_difference(name, names)]
            found = dict.fromkeys(resolve_column(term, names) for term in terms)
            wanted = tuple(n for n in found if n not in (roles.id, roles.ra, roles.dec))
        return cls(
            path=str(path),
            partitions=tuple(partitions),
            roles=roles,
            columns=wanted,
            hats=hats,
            options={"hdu": hdu, "missing": missing},
        )

    def __len__(self) -> int:
        return len(self.partitions)

    @property
    def n_rows(self) -> int:
        """Number of rows; with files in a text format, more than there are."""
        return sum(part.n_rows for part in self.partitions)

    def read(self, number: int) -> Catalog:
        """Read one partition.

        Raises
        ------
        CatalogError
            If it is damaged, missing, or has other columns than the first one.
        """
        part, roles = self.partitions[number], self.roles
        rows = None if part.stop is None else slice(part.start, part.stop)
        try:
            catalog = read_catalog(
                part.path,
                id=roles.id,
                ra=roles.ra,
                dec=roles.dec,
                columns=self.columns,
                rows=rows,
                keys=part.keys,
                **self.options,
            )
            self._validate(catalog, part)
        except CatalogError as error:
            if str(part.path) in error.what:
                raise
            raise CatalogError(
                f"The partition '{part}' cannot be used: {error.what}",
                received=error.received,
                allowed=error.allowed,
                hint=error.hint,
            ) from error
        return catalog

    def _validate(self, catalog: Catalog, part: Partition) -> None:
        """Refuse a partition in which another column was taken for one of the first partition."""
        missing = {*(self.columns or ()), self.roles.id} - set(catalog.table.colnames)
        if missing or catalog.roles != self.roles:
            raise CatalogError(
                f"The partition '{part}' has other columns than '{self.partitions[0]}'.",
                received=f"without {', '.join(sorted(missing)) or 'the same roles'}",
            )
        if part.stop is not None and len(catalog) != part.n_rows:
            raise CatalogError(f"'{part.path}' changed while it was read.")


def is_large(path: str | os.PathLike[str], hdu: int | str | None = None) -> bool:
    """Whether a catalogue is better read in partitions: it is a pattern, or has many rows.

    Raises
    ------
    CatalogError
        If a file cannot be read.
    """
    place = locate(path)
    if isinstance(place, Url):
        return _find_urls(place) is not None
    place = place.expanduser()
    if not place.exists():
        return glob.has_magic(str(place))
    if place.is_dir():
        return sum(map(_count, parquet_table.find_parts(place))) > WHOLE_ROWS
    kind, _ = detect_format(place)
    if kind == "FITS":
        return (fits_table.count_rows(place, hdu) or 0) > WHOLE_ROWS
    return kind == "Parquet" and _count(place) > WHOLE_ROWS


def _find_urls(place: Url) -> tuple[list[_Named], Path | None] | None:
    """Files of a pattern or a folder on a server, and of HATS its metadata; None for one file."""
    hats = None
    if "*" in place:
        urls = find_urls(place)
        root = place[: place.index("*")].rpartition("/")[0]
    elif "." in place.name:
        return None
    elif (pixels := list_pixel_urls(place)) is not None:
        root, urls, hats = pixels
    else:
        root = place.rstrip("/")
        listed = (
            found for s in parquet_table.SUFFIXES for found in find_urls(Url(f"{root}/**/*{s}"))
        )
        parts = {url: url.removeprefix(root).split("/") for url in listed}
        # Names that begin so are metadata, by the convention of all writers.
        urls = sorted(u for u, names in parts.items() if not any(n[:1] in "._" for n in names if n))
        if not urls:
            return None
    if not urls:
        raise CatalogError(f"No file matches '{place}'.")
    named: list[_Named] = []
    for url in urls:
        inner = Path(url.removeprefix(root).lstrip("/"))
        is_folder = "*" not in place and hats is None
        keys = dict(p.split("=", 1) for p in inner.parts[:-1] if is_folder and "=" in p)
        named.append((url, _strip(inner), keys))
    return named, hats


def _find_files(place: Path) -> list[_Named]:
    """Files of a folder, of a pattern, or one file: their names in an output folder, and keys."""
    keys: dict[Path, dict[str, str]] = {}
    if place.is_dir():
        keys = parquet_table.find_parts(place)
        files, root = list(keys), place
    elif place.is_file():
        files, root = [place], place.parent
    else:
        files = [Path(name) for name in sorted(glob.glob(str(place), recursive=True))]
        files = [file for file in files if file.is_file()]
        if not files:
            is_pattern = glob.has_magic(str(place))
            raise CatalogError(
                f"No file matches '{place}'." if is_pattern else f"'{place}' is missing.",
                allowed="a file, a folder of Parquet files, HATS, or a pattern such as dir/*.fits",
                hint=None if is_pattern else nearest_file(place),
            )
        root = Path(os.path.commonpath([file.parent for file in files]))
    relative = [file.relative_to(root) for file in files]
    names = [_strip(path) for path in relative]
    if max(Counter(names).values()) > 1:  # a.fits beside a.csv
        names = [str(path) for path in relative]
    return [(file, name, keys.get(file, {})) for file, name in zip(files, names, strict=True)]


def _strip(path: Path) -> str:
    """A path without the suffixes of formats and compression."""
    if path.suffix in COMPRESSIONS:
        path = path.with_suffix("")
    return str(path if path.suffix[1:].isdecimal() else path.with_suffix(""))


def _count(file: Path | Url) -> int:
    return sum(parquet_table.list_row_groups(file))


def _divide(
    file: Path | Url, name: str, keys: dict[str, str], rows: int, hdu: int | str | None
) -> list[Partition]:
    """Partitions of one file."""
    if isinstance(file, Url):
        # Only of Parquet the number of rows is known without copying the file.
        kind = "Parquet" if file.name.lower().endswith(parquet_table.SUFFIXES) else "another"
    else:
        kind, _ = detect_format(file)
    ends: list[int] = []
    if kind == "Parquet":
        # Whole row groups, since each is decoded as a whole.
        start = previous = 0
        for end in accumulate(parquet_table.list_row_groups(file)):
            if end - start > rows and previous > start:
                ends.append(previous)
                start = previous
            previous = end
        ends.append(previous)
    elif kind == "FITS" and not isinstance(file, Url):
        count = fits_table.count_rows(file, hdu)
        if count is not None:
            ends = [*range(rows, count, rows), count]
    if not ends:
        return [Partition(path=file, name=name, keys=keys)]
    starts = [0, *ends[:-1]]
    names = [name] if len(ends) == 1 else [f"{name}-{i:06d}" for i in range(len(ends))]
    return [
        Partition(path=file, name=one, start=start, stop=stop, keys=keys)
        for one, start, stop in zip(names, starts, ends, strict=True)
    ]
