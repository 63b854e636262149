"""Parquet: one file, a folder of files with the same columns, or a HATS catalogue.

References
----------
HATS (Hierarchical Adaptive Tiling Scheme): https://hats.readthedocs.io, the directory scheme.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.table import Table

from astrocnn.catalog.columns import MAX_MEMORY, UNREAD, convert_table, is_readable, validate_memory
from astrocnn.errors import CatalogError, MissingFileError, RemoteError
from astrocnn.fits_file import open_regular
from astrocnn.remote import Url

__all__ = [
    "find_parts",
    "list_row_groups",
    "open_parquet",
    "read_parquet_columns",
    "read_parquet_table",
]

SUFFIXES = (".parquet", ".parq", ".pq")
MAX_FILES = 100_000
PROPERTIES = ("hats.properties", "properties")


def read_parquet_table(
    path: Path,
    choose: Callable[[Sequence[str]], list[str]],
    rows: slice | None = None,
    keys: Mapping[str, str] | None = None,
) -> Table:
    """Read the chosen columns of a file, or of all files of a folder in the order of their names.

    Of some rows of one file only the row groups that hold them are read.

    Folders named ``key=value`` give a column ``key``, unless the folder is a HATS catalogue; of one
    file `keys` are such values.

    Raises
    ------
    CatalogError
        If the files have no common columns, or would take far more memory than their size.
    """
    files = find_parts(path) if path.is_dir() else {path: dict(keys or {})}
    schemas = [_read_schema(file) for file in files]
    counts = Counter(name for schema in schemas for name in schema.names)
    named = next(iter(files.values()))
    chosen = choose(list(dict.fromkeys([*schemas[0].names, *named])))
    unread = {n: "not all files have it" for n in counts if counts[n] < len(files)}
    for schema in schemas:
        for field in schema:
            if not is_readable(field.type):
                unread.setdefault(field.name, f"it holds values of type {field.type}"[:200])
    wanted = [name for name in chosen if name not in unread]
    # Of a folder all files are read, of whose rows some are wanted.
    within = rows if len(files) == 1 else None
    _validate_sizes(list(files), wanted, path, within)
    parts = []
    for file, values in files.items():
        part = read_parquet_columns(file, [name for name in wanted if name not in values], within)
        for key, value in values.items():
            if key in wanted and key not in part.column_names:
                part = part.append_column(key, pa.array([value] * len(part)).dictionary_encode())
        parts.append(part.select(wanted))
    try:
        # Integers that a float would round are an error of the cast.
        whole = pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise CatalogError(
            f"The files in '{path}' differ in the types of their columns.", received=str(error)
        ) from error
    if rows is not None and within is None:
        first, last, _ = rows.indices(len(whole))
        whole = whole.slice(first, last - first)
    table = convert_table(whole)
    table.meta[UNREAD] |= unread
    return table


def list_row_groups(path: Path | Url) -> list[int]:
    """Number of rows in each row group of a file."""
    with open_parquet(path) as file:
        return [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]


def find_parts(folder: Path) -> dict[Path, dict[str, str]]:
    """Find the Parquet files of a folder, with the values that their folders' names give.

    Raises
    ------
    CatalogError
        If there are none, or it is a part of HATS that is no catalogue of objects.
    """
    root, is_hats = _find_dataset(folder)
    parts: dict[Path, dict[str, str]] = {}
    for directory, subfolders, files in os.walk(root):
        # Names that begin so are metadata, by the convention of all writers.
        subfolders[:] = sorted(name for name in subfolders if name[0] not in "._")
        for name in sorted(files):
            if name[0] in "._" or not name.lower().endswith(SUFFIXES):
                continue
            path = Path(directory, name)
            inner = path.relative_to(root).parts[:-1]
            if is_hats and not (inner and inner[0].startswith("Norder=")):
                continue
            pairs = {} if is_hats else dict(p.split("=", 1) for p in inner if "=" in p)
            if parts and pairs.keys() != next(iter(parts.values())).keys():
                raise CatalogError(
                    f"The files in '{folder}' are divided in different ways.",
                    received=f"{next(iter(parts))} and {path}",
                )
            parts[path] = pairs
        if len(parts) > MAX_FILES:
            raise CatalogError(f"'{folder}' holds more than {MAX_FILES} Parquet files.")
    if not parts:
        raise CatalogError(
            f"'{folder}' is a folder without Parquet files.",
            allowed=f"one file, or a folder with files *{', *'.join(SUFFIXES)}",
        )
    return parts


def _find_dataset(folder: Path) -> tuple[Path, bool]:
    """The folder with the rows themselves, and whether it is one of HATS."""
    collection = _read_properties(folder / "collection.properties")
    if collection:
        name = collection.get("hats_primary_table_url", "")
        if name not in os.listdir(folder):
            raise CatalogError(
                f"The HATS collection '{folder}' names no catalogue inside of it.",
                received=f"hats_primary_table_url = {name}",
            )
        folder = folder / name
    for name in PROPERTIES:
        kind = _read_properties(folder / name).get("dataproduct_type", "object")
        if kind not in ("object", "source", "nested"):
            raise CatalogError(
                f"'{folder}' is a HATS data product of type '{kind}', not a catalogue of objects.",
                hint="name the folder of the catalogue that it belongs to",
            )
    # Beside it lie margin caches, which hold rows of neighbours once more, and indices.
    dataset = folder / "dataset"
    for root in (dataset, folder):
        if any(root.glob("Norder=*")):
            return root, True
    return folder, False


def _read_properties(path: Path) -> dict[str, str]:
    if not path.is_file() or path.stat().st_size > 1 << 20:
        return {}
    lines = path.read_text("utf-8", errors="replace").splitlines()
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


@contextmanager
def open_parquet(path: Path | Url, **options: Any) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; damage becomes a `CatalogError` in the ``with`` block, too."""
    try:
        with ExitStack() as stack:
            # Of a file on a server only the metadata are read here.
            source = stack.enter_context(open_regular(path)) if isinstance(path, Url) else path
            yield stack.enter_context(pq.ParquetFile(source, **options))
    except RemoteError:
        raise
    except (pa.ArrowException, OSError, MissingFileError) as error:
        raise CatalogError(
            f"'{path}' cannot be read as Parquet: {error}"[:500],
            hint="the file may be damaged or cut short",
        ) from error


def _read_schema(path: Path) -> pa.Schema:
    with open_parquet(path) as file:
        schema = file.schema_arrow
    repeated = [name for name, count in Counter(schema.names).items() if count > 1]
    if repeated:
        raise CatalogError(f"'{path}' has column names that occur twice.", received=repeated)
    return schema


def _validate_sizes(files: list[Path], names: list[str], path: Path, rows: slice | None) -> None:
    """Refuse files that claim far more rows than they have bytes for."""
    needed = source = 0
    for part in files:
        source += part.stat().st_size
        with open_parquet(part) as file:
            # Repeated values need no bytes; in memory one takes 8, and as many for an index.
            first, last, _ = (rows or slice(None)).indices(file.metadata.num_rows)
            needed += 8 * (last - first) * len(names)
    validate_memory(needed, source, f"'{path}'")


def read_parquet_columns(path: Path, names: list[str], rows: slice | None) -> pa.Table:
    """Read columns of a file; of some rows only the row groups that hold them."""
    with open_parquet(path) as file:
        text = [f.name for f in file.schema_arrow if _is_text(f.type) and f.name in set(names)]
        # Not the metadata of columns: damaged ones end the process in pyarrow.
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        n_rows = file.metadata.num_rows
    first, last, _ = (rows or slice(None)).indices(n_rows)
    ends = list(accumulate(sizes, initial=0))
    # With one row group at least, for the types of the columns.
    groups = [i for i in range(len(sizes)) if ends[i] < last and ends[i + 1] > first] or [
        *range(len(sizes))
    ][:1]
    with open_parquet(path, read_dictionary=text) as file:
        # Repeated text can take any memory, but as a dictionary, which is slow where all differ.
        repeated = [
            name
            for name in text
            if sum(sizes[i] * _longest(file, i, name) for i in groups) > MAX_MEMORY
        ]
    with open_parquet(path, read_dictionary=repeated) as file:
        if rows is None:
            return file.read(columns=names)
        content = file.read_row_groups(groups, columns=names)
    return content.slice(first - ends[groups[0]] if groups else 0, max(0, last - first))


def _longest(file: pq.ParquetFile, group: int, name: str) -> int:
    """Bytes of the longest text in the dictionary of a row group."""
    batches = file.iter_batches(1, row_groups=[group], columns=[name])
    words = next((batch.column(0).dictionary for batch in batches), pa.array([], pa.string()))
    return pc.max(pc.binary_length(words)).as_py() or 0


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
