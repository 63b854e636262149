"""Tables of embeddings, read in blocks: memory does not grow with their length."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from astropy.table import Table
from numpy.typing import NDArray

from astrocnn.catalog import Catalog
from astrocnn.errors import AstrocnnError, PredictionError
from astrocnn.fits_file import open_fits
from astrocnn.prediction.embedding import EMBEDDING, EMBEDDINGS
from astrocnn.prediction.table_formats import read_text_blocks
from astrocnn.stored_files import has_valid_sum

__all__ = [
    "EmbeddingBlock",
    "Standardization",
    "find_ids",
    "find_rows",
    "read_embeddings",
    "sample_vectors",
    "take_rows",
]

ROWS = 65536
_SUFFIXES = (".parquet", ".parq", ".pq")
_ROLES = {
    "meta.id;meta.main": "id",
    "pos.eq.ra;meta.main": "ra",
    "pos.eq.dec;meta.main": "dec",
}
"""Roles of columns by the UCD that `embed` gives them, whatever they are called."""


@dataclass(frozen=True, eq=False)
class EmbeddingBlock:
    """Consecutive rows of a table of embeddings.

    Attributes
    ----------
    start : int
        Row of the first object in the file, from 0.
    catalog : Catalog
        Identifiers and positions.
    vectors : ndarray of float32, shape (n, d)
        NaN where there is no embedding.
    """

    start: int
    catalog: Catalog
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Whether each object has an embedding, of shape (n,)."""
        return np.asarray(np.isfinite(self.vectors).all(axis=1))


def read_embeddings(
    path: str | os.PathLike[str], *, id: str | None = None, rows: int = ROWS
) -> Iterator[EmbeddingBlock]:
    """Read a table of embeddings block by block.

    Parameters
    ----------
    path : path-like
        What `astrocnn.prediction.embed` wrote, as FITS or Parquet; or any such table with
        identifiers and one column of vectors, such as those of another program.
    id : str, optional
        Column of the identifiers; by default that with the UCD ``meta.id;meta.main``, or guessed.
    rows : int
        Objects in each block but the last.

    Raises
    ------
    PredictionError
        If the file cannot be read, or does not hold just one column of vectors.
    """
    path = Path(path)
    start, width = 0, None
    for table, roles in _read_tables(path, rows):
        # Found before positions are parsed, so that this is the message for any other table.
        name = _find_vectors(table, path)
        catalog = Catalog.from_table(table, **(roles if id is None else {**roles, "id": id}))
        values, missing = catalog.column(name)
        vectors = np.array(values, np.float32)
        vectors[missing] = np.nan
        if width not in (None, vectors.shape[1]):
            raise PredictionError(f"'{path}' holds vectors of different lengths.")
        width = vectors.shape[1]
        yield EmbeddingBlock(start, catalog, vectors)
        start += len(vectors)
    if not start:
        raise PredictionError(f"'{path}' holds no object.")


def _read_tables(path: Path, rows: int) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Blocks of a table, and the names of its columns by the role that their UCD states."""
    if not path.is_file():
        raise PredictionError(
            "There is no such table of embeddings.",
            received=str(path),
            hint="astrocnn embed DIR --out embeddings.fits",
        )
    if path.suffix.lower() not in _SUFFIXES:
        with open_fits(path, error=PredictionError) as hdus:
            hdu = EMBEDDINGS if EMBEDDINGS in hdus else 1
            header = hdus[hdu].header
            summed = all("CHECKSUM" in part.header for part in hdus)
            ucds = {str(header.get(f"TTYPE{k[4:]}")): str(header[k]) for k in header["TUCD*"]}
        state = path.stat()
        if summed and not _is_intact(path, state.st_size, state.st_mtime_ns):
            raise PredictionError(
                f"'{path}' has changed since it was written: its checksum differs.",
                hint="write it again with 'astrocnn embed'",
            )
        roles = _find_roles(ucds)
        for block in read_text_blocks(path, hdu, rows):
            yield block, roles
        return
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            fields = {field.name: field.metadata or {} for field in file.schema_arrow}
            roles = _find_roles(
                {name: about.get(b"ucd", b"").decode() for name, about in fields.items()}
            )
            for batch in file.iter_batches(rows):
                yield batch, roles
    except AstrocnnError:
        raise
    except Exception as error:  # pyarrow raises errors of many kinds for damaged bytes
        raise PredictionError(f"'{path}' cannot be read.", received=str(error)[:200]) from error


@functools.lru_cache(maxsize=8)
def _is_intact(path: Path, size: int, time: int) -> bool:
    """Whether a file in this state has its checksums: a command reads it several times."""
    return has_valid_sum(path)


def _find_roles(ucds: dict[str, str]) -> dict[str, Any]:
    """Columns by role, from the UCDs by column."""
    return {_ROLES[ucd]: name for name, ucd in ucds.items() if ucd in _ROLES}


def _find_vectors(table: Any, path: Path) -> str:
    """Name of the column of vectors."""
    if isinstance(table, Table):
        found = [n for n in table.colnames if table[n].ndim == 2 and table[n].dtype.kind == "f"]
    else:
        found = [field.name for field in table.schema if "list<" in str(field.type)]
    if EMBEDDING in found:
        return EMBEDDING
    if len(found) != 1:
        raise PredictionError(
            f"'{path}' is not a table of embeddings.",
            received=f"columns of vectors: {', '.join(found)}" if found else "no column of vectors",
            allowed=f"one column of vectors, or a column '{EMBEDDING}'",
            hint="astrocnn embed DIR --out embeddings.fits",
        )
    return str(found[0])


@dataclass(frozen=True, eq=False)
class Standardization:
    """Location and scale of each feature, by which distances become independent of their units.

    Attributes
    ----------
    location, scale : ndarray of float64, shape (d,)
        Mean and standard deviation over the objects with an embedding; the scale of a constant
        feature is 1.
    count : int
        Number of these objects.
    length : int
        Number of rows of the table.
    """

    location: NDArray[np.float64]
    scale: NDArray[np.float64]
    count: int
    length: int

    @classmethod
    def fit(cls, blocks: Iterator[EmbeddingBlock]) -> Standardization:
        """Measure location and scale in one pass.

        Raises
        ------
        PredictionError
            If no object has an embedding.
        """
        count = length = 0
        shift = total = squares = np.zeros(0)
        for block in blocks:
            length += len(block)
            x = block.vectors[block.usable].astype(np.float64)
            if not len(x):
                continue
            if not count:
                # Sums of squares about a typical value lose no digits.
                shift = x[0]
                total = squares = np.zeros(x.shape[1])
            count += len(x)
            total = total + (x - shift).sum(axis=0)
            squares = squares + ((x - shift) ** 2).sum(axis=0)
        if not count:
            raise PredictionError(
                "No object has an embedding.",
                received=f"{length} rows without a value",
                hint="the flags of the table say why",
            )
        offset = total / count
        variance = np.maximum(squares / count - offset**2, 0.0)
        # What is constant up to rounding carries no information.
        floor = 1e-12 * (np.abs(shift) + np.abs(offset) + 1e-30) ** 2
        return cls(
            shift + offset, np.sqrt(np.where(variance > floor, variance, 1.0)), count, length
        )

    def apply(self, vectors: NDArray[Any]) -> NDArray[np.float64]:
        """Standardized vectors, of shape (n, d)."""
        return (np.asarray(vectors, np.float64) - self.location) / self.scale


def sample_vectors(
    path: str | os.PathLike[str],
    scaling: Standardization,
    n: int,
    *,
    id: str | None = None,
    seed: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows and standardized vectors of objects chosen at random, in the order of the table.

    Parameters
    ----------
    path, id
        As for `read_embeddings`.
    scaling : Standardization
        Of this table.
    n : int
        Number of objects; all that have an embedding, where they are fewer.
    seed : int
        Of the choice.

    Returns
    -------
    rows : ndarray of shape (n,)
    vectors : ndarray of shape (n, d)
    """
    size = min(n, scaling.count)
    chosen = np.sort(np.random.default_rng(seed).choice(scaling.count, size, replace=False))
    rows, vectors, seen = [], [], 0
    for block in read_embeddings(path, id=id):
        usable = np.flatnonzero(block.usable)
        inside = chosen[(chosen >= seen) & (chosen < seen + len(usable))] - seen
        rows.append(block.start + usable[inside])
        vectors.append(scaling.apply(block.vectors[usable[inside]]))
        seen += len(usable)
    return np.concatenate(rows), np.concatenate(vectors)


def find_rows(
    path: str | os.PathLike[str], ids: Sequence[str], *, id: str | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and vectors of some objects, of shape (k,) and (k, d), in the order of `ids`.

    Parameters
    ----------
    path, id
        As for `read_embeddings`.
    ids : sequence of str
        Identifiers as text; those of a table with integers are compared as integers.

    Raises
    ------
    PredictionError
        If an identifier is not in the table, or occurs twice, or its object has no embedding.
    """
    found: dict[str, tuple[int, NDArray[np.float32]]] = {}
    examples: list[str] = []
    wanted = list(dict.fromkeys(text.strip() for text in ids))
    for block in read_embeddings(path, id=id):
        known = block.catalog.ids
        examples = examples or [str(name) for name in known[:3].tolist()]
        for text in wanted:
            for row in np.flatnonzero(known == _parse_id(text, known)):
                if text in found:
                    raise PredictionError(f"The object '{text}' occurs twice in '{path}'.")
                found[text] = (block.start + int(row), block.vectors[row])
    absent = [text for text in wanted if text not in found]
    if absent or not wanted:
        raise PredictionError(
            "There is no such object in the embeddings.",
            received=absent or "no identifier",
            allowed=f"identifiers of '{path}', such as {', '.join(examples)}",
        )
    empty = [text for text, (_, vector) in found.items() if not np.isfinite(vector).all()]
    if empty:
        raise PredictionError(
            "An object has no embedding, because it has no usable image.",
            received=empty,
            hint="its flags say why; choose another object",
        )
    pairs = [found[text] for text in wanted]
    return np.array([row for row, _ in pairs], np.int64), np.stack([v for _, v in pairs])


def find_ids(known: NDArray[Any], ids: Sequence[str]) -> NDArray[np.int64]:
    """Rows of some identifiers among known ones, each once, in the order of `ids`.

    Raises
    ------
    PredictionError
        If one is absent or occurs twice.
    """
    rows, absent = [], []
    for text in dict.fromkeys(text.strip() for text in ids):
        found = np.flatnonzero(known == _parse_id(text, known))
        if len(found) > 1:
            raise PredictionError(f"The object '{text}' occurs twice in the embeddings.")
        absent += [] if len(found) else [text]
        rows += found.tolist()
    if absent or not rows:
        raise PredictionError(
            "There is no such object in the embeddings.",
            received=absent or "no identifier",
            allowed=f"identifiers such as {', '.join(str(name) for name in known[:3].tolist())}",
        )
    return np.array(rows, np.int64)


def _parse_id(text: str, ids: NDArray[Any]) -> Any:
    """The identifier of the type of the table; one that no object has, where it cannot be read."""
    if ids.dtype.kind == "U":
        return text
    try:
        number = int(text)
    except ValueError:
        return None
    limits = np.iinfo(ids.dtype)
    return number if limits.min <= number <= limits.max else None


def take_rows(
    path: str | os.PathLike[str], rows: NDArray[np.integer], *, id: str | None = None
) -> Catalog:
    """Identifiers and positions of some rows, in the given order.

    Parameters
    ----------
    path, id
        As for `read_embeddings`.
    rows : ndarray of int, shape (k,)
        Each once.
    """
    order = np.argsort(rows, kind="stable")
    ascending = np.asarray(rows)[order]
    parts: list[Table] = []
    roles: Any = None
    for block in read_embeddings(path, id=id):
        inside = ascending[(ascending >= block.start) & (ascending < block.start + len(block))]
        if len(inside):
            own = block.catalog[inside - block.start].role_columns()
            roles = block.catalog.roles
            parts.append(Table({name: column for name, column, _ in own}))
    # Texts of several blocks differ in length.
    columns = {
        name: np.concatenate([np.asarray(part[name]) for part in parts])
        for name in parts[0].colnames
    }
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    table = Table({name: values[back] for name, values in columns.items()})
    for name in table.colnames:
        table[name].unit = parts[0][name].unit
        table[name].description = parts[0][name].description
    return Catalog.from_table(table, id=roles.id, ra=roles.ra, dec=roles.dec)
