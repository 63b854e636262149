"""A directory of shards: the cutouts of a catalogue on disk, read at random without a copy."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from astropy import table
from pydantic import Field

from astrocnn import atomic
from astrocnn.catalog import Catalog, Roles
from astrocnn.catalog.roles import split_difference
from astrocnn.column import Column
from astrocnn.datasets import shard_file
from astrocnn.datasets.columns import decode
from astrocnn.datasets.symmetry import UPSIDE_DOWN, d4_tables
from astrocnn.display import Displayed
from astrocnn.errors import AstrocnnError, CatalogError, ImageError
from astrocnn.imaging import Inputs
from astrocnn.imaging.cutouts import Cutouts
from astrocnn.stored_files import Stored, read_json

__all__ = ["MANIFEST", "Manifest", "Shards"]

MANIFEST = "manifest.json"
_AGAIN = "remove it and run the cutouts again: the shards are kept"
Count = Annotated[int, Field(ge=0, lt=1 << 53, strict=True)]


class ShardEntry(Stored):
    """One shard in the manifest: its rows, the place of its pixels, its length and checksums."""

    # A name and no path: a manifest of a stranger opens files of its own folder only.
    file: Annotated[str, Field(pattern=r"^shard-[0-9]{6,}\.fits$")]
    rows: Count
    offset: Count
    bytes: Count
    sha256: str
    table_sha256: str


class Manifest(Stored):
    """What a directory of shards holds; ``manifest.json``."""

    format: Literal[2]
    creator: str
    inputs: Inputs
    rows: Count
    missing: list[float] | None
    columns: list[Column]
    roles: dict[str, str]
    fingerprint: dict[str, str]
    shards: list[ShardEntry]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read and validate a manifest.

        Raises
        ------
        ImageError
            If it is damaged, or of another format.
        """
        manifest: Manifest = read_json(path, cls, ImageError, _AGAIN)
        return manifest


def _damaged(path: Path, received: str) -> ImageError:
    return ImageError(f"'{path}' is damaged.", received=received, hint=_AGAIN)


class Shards(Displayed):
    """Cutouts and catalogue columns of a directory of shards.

    Rows are numbered as in the catalogue the shards were made from, whatever their place on disk.
    The object is a `Source`, so that a prediction starts from shards as it does from tiles.

    Open one with `Shards.open`.

    Attributes
    ----------
    directory : Path
    inputs : Inputs
        What the images are; without normalization.
    """

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.inputs = manifest.inputs
        self._manifest, self._stored = manifest, manifest.columns
        self._shards = manifest.shards
        self._counts = np.array([shard.rows for shard in self._shards], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])
        # Mapped on first use: a prediction of a few rows opens only the shards that hold them.
        self._maps: list[np.ndarray | None] = [None] * len(self._counts)

    @classmethod
    def open(cls, directory: str | Path) -> Shards:
        """Open a directory of shards.

        Raises
        ------
        ImageError
            If there is no manifest, or a shard is missing or truncated.
        """
        directory = Path(directory)
        path = directory / MANIFEST
        if not path.is_file():
            # The manifest is written last, so shards without one are an interrupted run.
            begun = any(directory.glob("shard-*.fits"))
            raise ImageError(
                f"There are no finished shards in '{directory}'.",
                received=f"{'shards but ' if begun else ''}no {MANIFEST}",
                hint="run the cutouts again: they continue where they stopped" if begun else None,
            )
        manifest = Manifest.read(path)
        opened = cls(directory, manifest)
        for shard in manifest.shards:
            opened._validate_length(shard)
        if len(opened) != manifest.rows:
            raise _damaged(path, f"{manifest.rows} rows, and {len(opened)} in the shards")
        return opened

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _facts(self) -> dict[str, object]:
        return {
            "folder": self.directory,
            "objects": len(self),
            "pixels": f"{self.size} x {self.size}" if self.bands else "none",
            "bands": self.bands,
            "unit": self.inputs.unit,
        }

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands."""
        return self.inputs.bands

    @property
    def size(self) -> int:
        """Height and width of the images [pixel]."""
        return self.inputs.size

    @property
    def pixel_scale(self) -> float | None:
        """[arcsec/pixel], or None when not known."""
        return self.inputs.pixel_scale

    @property
    def unit(self) -> str | None:
        """Unit of the pixels, or None when not known."""
        return self.inputs.unit

    @property
    def fingerprint(self) -> str:
        """A digest of all the pixels and columns."""
        # Checksums were computed when the shards were written, so no pixel is read for it.
        return " ".join(shard.sha256 for shard in self._shards)

    def _validate_length(self, shard: ShardEntry) -> None:
        """Refuse a shard of another length; a map of one that was cut short kills the process."""
        path = self.directory / shard.file
        try:
            size = os.stat(path).st_size
        except OSError:
            size = None
        if size != shard.bytes or shard.offset + self._pixel_bytes(shard) > shard.bytes:
            raise ImageError(
                f"The shard '{path}' is {'missing' if size is None else 'damaged'}.",
                received=size,
                allowed=f"{shard.bytes} bytes",
                hint="run the cutouts again: the other shards are kept",
            )

    def _pixel_bytes(self, shard: ShardEntry) -> int:
        return 4 * shard.rows * self.size**2 * len(self.bands)

    @cached_property
    def _raw(self) -> np.ndarray:
        tables = []
        for shard in self._shards:
            path = self.directory / shard.file
            self._validate_length(shard)
            # Identifiers and labels are verified whenever they are read, which costs nothing beside
            # the pixels; those are verified by `write_shards`, with which a training begins, and
            # by `verify`, at about a second per gigabyte.
            digest = shard_file.compute_table_digest(path, shard.offset, self._pixel_bytes(shard))
            rows = shard_file.read_table(path) if digest == shard.table_sha256 else None
            if rows is None or len(rows) != shard.rows:
                raise ImageError(
                    f"The table of the shard '{path}' changed since it was written.",
                    hint="remove the file and run the cutouts again: the others are kept",
                )
            tables.append(rows)
        try:
            raw = np.concatenate(tables) if tables else np.zeros(0, np.dtype([]))
            names = {"row", "flags", "content", *(column.name for column in self._stored)}
            rows = raw["row"].astype(np.int64)
            if not names <= set(raw.dtype.names or ()) or not np.array_equal(
                np.sort(rows), np.arange(len(self))
            ):
                raise ValueError("columns or rows are missing")
        except (ValueError, TypeError) as error:
            raise _damaged(self.directory / MANIFEST, str(error)) from error
        return raw

    @cached_property
    def _positions(self) -> np.ndarray:
        """Place on disk of each catalogue row."""
        positions = np.empty(len(self), np.int64)
        # On disk the rows are in the order in which the tiles were read, not in that of the
        # catalogue.
        positions[self._raw["row"].astype(np.int64)] = np.arange(len(self))
        return positions

    def order(self) -> np.ndarray:
        """Rows in the order in which they lie on disk, int64 of shape (n,)."""
        return self._raw["row"].astype(np.int64)

    @cached_property
    def objects(self) -> table.Table:
        """Table of n rows: id, ra, dec, flags, no_data, row, content and the catalogue's columns.

        A catalogue column that bears one of these names is ``catalog_<name>``.
        """
        raw = self._raw[self._positions]
        stored = self._stored
        own = [column for column in stored if column.name in ("id", "ra", "dec")]
        try:
            columns = [decode(column, raw[column.name]) for column in own]
            columns += [
                table.Column(raw["flags"].astype(np.int32), name="flags"),
                table.Column(self._no_data(raw), name="no_data"),
                table.Column(raw["row"].astype(np.int64), name="row"),
                table.Column(np.char.decode(raw["content"], "ascii"), name="content"),
            ]
            columns += [decode(column, raw[column.name]) for column in stored[len(own) :]]
            objects = table.Table(columns, copy=False)
            needed = ("id", "ra", "dec") if self._has_positions else ("id",)
            if not set(needed) <= set(objects.colnames):
                raise ValueError(f"the columns {', '.join(objects.colnames)}")
            return objects
        except (ValueError, TypeError, KeyError) as error:
            if isinstance(error, AstrocnnError):
                raise
            # The tables are verified: the manifest declares other columns than they hold.
            raise _damaged(self.directory / MANIFEST, str(error)) from error

    @property
    def ids(self) -> np.ndarray:
        """Identifiers, int64 or str, exact."""
        return np.asarray(self.objects["id"])

    @property
    def flags(self) -> np.ndarray:
        """Bits of `astrocnn.flags.Flag`, int32."""
        return np.asarray(self.objects["flags"])

    @property
    def content(self) -> np.ndarray:
        """Hash of the pixels of each row; an empty text for one without any data."""
        return np.asarray(self.objects["content"])

    @property
    def _has_positions(self) -> bool:
        return "ra" in self._manifest.roles.values()

    @cached_property
    def catalog(self) -> Catalog:
        """The objects as a catalogue."""
        objects = self.objects
        placed = self._has_positions
        declared = self._manifest.missing
        return Catalog(
            table=objects,
            roles=Roles("id", "ra", "dec") if placed else Roles("id"),
            ids=self.ids,
            ra=np.asarray(objects["ra"]) if placed else None,
            dec=np.asarray(objects["dec"]) if placed else None,
            flags=self.flags,
            missing=None if declared is None else tuple(declared),
        )

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Values of a catalogue column by its original name, and where they are missing."""
        # A catalogue may have a column 'flags' or 'id' of its own beside ours.
        if f"catalog_{name}" in self.objects.colnames:
            name = f"catalog_{name}"
        return self.catalog.column(self._manifest.roles.get(name, name))

    def scalars(self, names: tuple[str, ...]) -> np.ndarray:
        """Columns of numbers side by side, float32 of shape (n, len(names)), NaN where missing.

        A name may also be a difference of two columns, such as the color ``"g - r"``.

        Raises
        ------
        CatalogError
            If one is not there, or does not hold numbers.
        """
        return np.stack([self._number(name) for name in names], axis=1).astype(np.float32)

    def _number(self, name: str) -> np.ndarray:
        first, *second = split_difference(name, self.objects.colnames)
        if second:
            return self._number(first) - self._number(*second)
        values, missing = self.column(name)
        if values.ndim != 1 or values.dtype.kind not in "iufb":
            raise CatalogError(
                f"The scalar '{name}' is not a column of numbers.",
                received=f"{values.dtype} of shape {values.shape}",
            )
        # Differences of magnitudes are taken in double precision, and rounded once at the end.
        return np.where(missing, np.nan, values.astype(np.float64))

    def images(
        self,
        rows: np.ndarray | list[int] | slice,
        out: np.ndarray | None = None,
        elements: np.ndarray | None = None,
    ) -> np.ndarray:
        """Cutouts of some rows.

        Parameters
        ----------
        rows : int array of shape (n,), or slice
            Catalogue rows, in any order.
        out : ndarray of shape (n, height, width, n_bands), optional
            float32 array to fill.
        elements : int array of shape (n,), optional
            Symmetry of the square (see `astrocnn.datasets.symmetry`) to apply to each image
            while it is copied.

        Returns
        -------
        ndarray of shape (n, height, width, n_bands)
            float32, native byte order, linear [unit of the images]; NaN where there are no data.
        """
        # Each image is copied once, from the memory map into its place in the batch.
        positions = self._positions[rows]
        if out is None:
            shape = (len(positions), self.size, self.size, len(self.bands))
            out = np.empty(shape, np.float32)
        if not self.bands:
            return out
        shards = np.searchsorted(self._starts, positions, side="right") - 1
        within = positions - self._starts[shards]
        places = zip(shards.tolist(), within.tolist(), strict=True)
        # A microsecond each: another program may have cut a file short since it was mapped.
        for shard in np.unique(shards).tolist():
            self._validate_length(self._shards[shard])
        if elements is None:
            elements = np.zeros(len(positions), np.int32)
        # All bands of a pixel are moved as one opaque item; the byte order is converted afterwards.
        pixel_type = np.dtype((np.void, 4 * len(self.bands)))
        moved = np.empty(self.size**2, pixel_type)
        as_image = moved.view(">f4").reshape(out.shape[1:])
        for i, ((shard, row), element) in enumerate(zip(places, elements.tolist(), strict=True)):
            image = self._map(shard)[row]
            if element == UPSIDE_DOWN:
                image = image[::-1]  # whole rows: needs no table
            elif element:
                pixels = image.reshape(-1).view(pixel_type)
                # The indices are known to be inside; mode "clip" spares numpy the buffer of its
                # check.
                np.take(pixels, self._tables[element], out=moved, mode="clip")
                image = as_image
            out[i] = image  # assigning converts the byte order while it copies
        return out

    @cached_property
    def _tables(self) -> np.ndarray:
        return d4_tables(self.size).astype(np.intp)

    def read(self, rows: np.ndarray) -> Cutouts:
        """Cutouts of some rows with their flags, as any source gives them."""
        raw = self._raw[self._positions[rows]]
        return Cutouts(
            images=self.images(rows),
            flags=raw["flags"].astype(np.int32),
            no_data=self._no_data(raw),
        )

    def _no_data(self, raw: np.ndarray) -> np.ndarray:
        if not self.bands:
            return np.zeros((len(raw), 0), np.float32)
        return raw["no_data"].astype(np.float32).reshape(len(raw), -1)

    def verify(self) -> None:
        """Compare every shard with its checksum.

        Raises
        ------
        ImageError
            Naming the shards that changed since they were written.
        """
        changed = [
            shard.file
            for shard in self._shards
            if atomic.sha256(self.directory / shard.file) != shard.sha256
        ]
        if changed:
            raise ImageError(
                f"Shards in '{self.directory}' changed since they were written.",
                received=changed,
                hint="remove them and run the cutouts again: the others are kept",
            )

    def _map(self, shard: int) -> np.ndarray:
        # FITS is big-endian; the map is read as it is, so that random access costs no copy of a
        # shard.
        mapped = self._maps[shard]
        if mapped is None:
            entry = self._shards[shard]
            self._validate_length(entry)
            shape = (entry.rows, self.size, self.size, len(self.bands))
            path = self.directory / entry.file
            # As a plain array: indexing the subclass costs as much as copying a small image.
            mapped = np.asarray(np.memmap(path, ">f4", "r", offset=entry.offset, shape=shape))
            self._maps[shard] = mapped
        return mapped
