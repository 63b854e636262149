"""Write the cutouts of a catalogue as shards; an interrupted run continues where it stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn import __version__, atomic
from astrocnn.catalog import Catalog
from astrocnn.column import Column
from astrocnn.datasets import shard_file
from astrocnn.datasets.columns import encode, stored_names
from astrocnn.datasets.cutter import OWN, SESSION, STATE, CutShard, Cutter, store
from astrocnn.datasets.shards import MANIFEST, Manifest, Shards
from astrocnn.errors import CatalogError, ConfigError, ImageError, InputsError
from astrocnn.flags import Flag
from astrocnn.imaging import Inputs, Source, get_state
from astrocnn.plugins import nearest
from astrocnn.progress import track
from astrocnn.scheduling import Scheduler, run_tasks
from astrocnn.stored_files import has_valid_sum

__all__ = ["CARDS", "compute_fingerprint", "write_shards"]

CARDS = {
    "FP_INPUT": "bands, size, pixel scale or unit",
    "FP_ROWS": "identifiers or positions",
    "FP_TABLE": "columns of the catalogue or their values",
    "FP_IMAGE": "image files",
    "FP_PLAN": "rows per shard or their order",
}
"""Header cards, and what differs when one of them does."""


def compute_fingerprint(
    catalog: Catalog,
    source: Source,
    inputs: Inputs,
    columns: Sequence[tuple[Column, np.ndarray]],
    order: np.ndarray,
    rows_per_shard: int,
) -> dict[str, str]:
    """Digests by header card.

    Parameters
    ----------
    columns : sequence of (Column, ndarray)
        The identifier and the coordinates first, then the columns kept beside the images.
    """
    # Separate digests, so that a refusal names what changed since the shards were written.
    object_columns = [pair for pair in columns if pair[0].name in ("id", "ra", "dec")]
    catalog_columns = [pair for pair in columns if pair[0].name not in ("id", "ra", "dec")]
    return {
        "FP_INPUT": _digest(inputs.bands, inputs.size, inputs.pixel_scale, inputs.unit),
        "FP_ROWS": _digest(*(part for pair in object_columns for part in pair), catalog.flags),
        "FP_TABLE": _digest(*(part for pair in catalog_columns for part in pair), inputs.scalars),
        "FP_IMAGE": _digest(source.fingerprint),
        "FP_PLAN": _digest(order, rows_per_shard),
    }


def _digest(*parts: Any) -> str:
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            # Type and shape too: the same bytes as int32 and float32 are different values.
            total.update(f"{part.dtype.str}{part.shape}".encode())
            total.update(np.ascontiguousarray(part).tobytes())
        else:
            total.update(repr(part).encode())
    return total.hexdigest()


MOST_ROWS = 4096
MOST_BYTES = 128 << 20
# Shards hold linear fluxes; a normalization is fitted to a training split later.
_UNFITTED = {"normalization": None, "scalar_location": (), "scalar_scale": ()}


def write_shards(
    directory: str | Path,
    catalog: Catalog,
    source: Source,
    inputs: Inputs | None = None,
    *,
    columns: Sequence[str] | None = None,
    rows_per_shard: int | None = None,
    resume: bool = True,
    scheduler: Scheduler | None = None,
) -> Shards:
    """Cut all objects of a catalogue and keep them as FITS shards.

    The objects are visited in ``source.order()``, so that every tile is read once; `Shards` gives
    them back in the order of the catalogue.  Run again after an interruption, of whatever
    kind, it continues with the first shard that is missing; the manifest is written last.
    Without images (`astrocnn.imaging.NoImages`, inputs without bands) shards hold the table alone.

    Parameters
    ----------
    directory : path-like
        Made when absent.
    catalog : Catalog
        The objects, all of them: one row in is one row out.
    source : Source
        Their images, row for row.
    inputs : Inputs, optional
        The kind of images expected, and the scalars beside them; its normalization plays no part.
        By default whatever the source gives, without scalars.
    columns : sequence of str, optional
        Catalogue columns to keep beside the images; all by default.
    rows_per_shard : int, optional
        By default what fits in 128 MiB, and at most 4096.
    resume : bool
        False removes the shards that are there and begins anew.
    scheduler : Executor or dask.distributed.Client, optional
        Who cuts in place of this process; the shards have the same bytes. Its workers must see
        the folder and the images by the same paths.

    Returns
    -------
    Shards

    Raises
    ------
    InputsError
        If the source is of another kind, or the folder holds shards of other data.
    CatalogError
        If a column is not there or FITS cannot hold it, the source has other rows, or a scalar
        holds numbers that usually mean "not measured" (`Catalog.refuse_sentinels`).
    ImageError
        If images were written anew in the meantime.
    AstrocnnError
        If the disk is full; the finished shards are kept.
    ClusterError
        If the scheduler or its workers do not come, are lost, or have another version.
    """
    directory = Path(directory)
    if inputs is None:
        inputs = Inputs.from_source(source)
    inputs.check(source)
    order = np.asarray(source.order(), np.int64)
    if not np.array_equal(np.sort(order), np.arange(len(catalog))):
        raise CatalogError(
            "The images and the catalogue do not have the same rows.",
            received=f"{len(order)} images",
            allowed=f"{len(catalog)} rows, each once",
        )
    # Large enough for long sequential writes, small enough that a crash loses little work.
    if rows_per_shard is None:
        per_row = 4 * inputs.size**2 * inputs.n_bands
        rows_per_shard = min(MOST_ROWS, max(1, MOST_BYTES // max(1, per_row)))
    if rows_per_shard < 1:
        raise ConfigError(f"`rows_per_shard` must be at least 1; got {rows_per_shard}.")
    # Before any pixel is cut: a magnitude of 99 found after hours would waste them.
    catalog.refuse_sentinels(inputs.scalars)
    own = own_columns(catalog)
    stored, values = _encode_all(catalog, columns)
    flags = catalog.flags | _missing_scalars(catalog, inputs)
    pairs = [*own, *zip(stored, values, strict=True)]
    fingerprint = compute_fingerprint(catalog, source, inputs, pairs, order, rows_per_shard)
    directory.mkdir(parents=True, exist_ok=True)
    # A process that was killed leaves temporary files, which nothing else removes.
    atomic.remove_leftovers(directory, "shard-*.fits")
    atomic.remove_leftovers(directory, MANIFEST)
    if not resume:
        for path in [directory / MANIFEST, *directory.glob("shard-*.fits")]:
            path.unlink(missing_ok=True)
    done = _finished(directory, fingerprint)
    hashed = _hashed(directory, fingerprint)
    # While shards are being replaced there must be no manifest that declares them complete.
    (directory / MANIFEST).unlink(missing_ok=True)
    cutter = Cutter(
        directory,
        source,
        inputs,
        order,
        rows_per_shard,
        flags,
        own,
        list(zip(stored, values, strict=True)),
        fingerprint,
    )
    missing, states = _find_missing(cutter, done, hashed)
    for shard in _cut(cutter, missing, catalog, scheduler):
        states[shard.number] = shard.state
        hashed[cutter.path(shard.number).name] = dict(shard.sums)
    entries: list[dict[str, Any]] = []
    for number in range(len(cutter)):
        path = cutter.path(number)
        header = shard_file.read_header(path, [*CARDS, STATE])
        assert header is not None
        entry = {"rows": header.rows, "offset": header.offset, "bytes": header.bytes}
        sums = hashed.get(path.name) or cutter.compute_sums(number)
        entries.append({"file": path.name, **entry, **sums})
    for number, state in states.items():
        if get_state(source, cutter.rows(number)) != state:
            raise ImageError(
                "Images were written anew while they were being cut.",
                received=shard_file.format_name(number),
                hint="give the same command again when they are complete",
            )
    # Shards of an earlier run with more rows would be taken for part of this one.
    listed = {entry["file"] for entry in entries}
    for path in directory.glob("shard-*.fits"):
        if path.name not in listed:
            path.unlink()
    manifest = {
        "format": 2,
        "creator": f"astrocnn {__version__}",
        "inputs": {**inputs.to_dict(), **_UNFITTED},
        "rows": len(order),
        "missing": catalog.missing,
        "columns": [asdict(s) for s in (*(s for s, _ in own), *stored)],
        "roles": {
            name: role
            for role in ("id", "ra", "dec")
            if (name := getattr(catalog.roles, role)) is not None
        },
        "fingerprint": fingerprint,
        "shards": entries,
    }
    atomic.write_text(directory / MANIFEST, json.dumps(manifest, indent=1))
    shutil.rmtree(directory / SESSION, ignore_errors=True)
    return Shards.open(directory)


def own_columns(catalog: Catalog) -> list[tuple[Column, np.ndarray]]:
    """The identifier and the coordinates of the catalogue, encoded."""
    result = [encode("id", "id", catalog.ids)]
    if catalog.ra is not None and catalog.dec is not None:
        for name, column in (("ra", catalog.ra), ("dec", catalog.dec)):
            declaration, values = encode(name, name, column)
            result.append((replace(declaration, unit="deg"), values))
    return result


def _find_missing(
    cutter: Cutter, done: Mapping[str, shard_file.ShardHeader], hashed: Mapping[str, Any]
) -> tuple[list[int], dict[int, str]]:
    """Shards to cut, and the states of the images of others."""
    # A complete set is of one state of the images, whatever became of them since; others are cut
    # again where the files were written anew.
    whole = len(hashed) >= len(cutter)
    states: dict[int, str] = {}
    missing: list[int] = []
    for number in range(len(cutter)):
        path, rows = cutter.path(number), cutter.rows(number)
        header = done.get(path.name)
        if not whole:
            states[number] = get_state(cutter.source, rows)
            # Bits may have flipped since the shard was written: no manifest has its digest yet.
            if header is not None and not (
                header.fingerprint[STATE] == states[number] and has_valid_sum(path)
            ):
                header = None
        if header is None or header.rows != len(rows):
            missing.append(number)
    return missing, states


def _cut(
    cutter: Cutter, missing: list[int], catalog: Catalog, scheduler: Scheduler | None
) -> Iterator[CutShard]:
    """Cut the missing shards, here or by the workers of a scheduler."""
    if scheduler is None:
        for number in track(missing, "cutting"):
            yield cutter.cut(number)
    elif missing:
        task = store(cutter, catalog)
        for shards in run_tasks(scheduler, task, missing, "cutting", count=_count_rows):
            yield from shards


def _count_rows(shards: list[CutShard]) -> int:
    return sum(shard.rows for shard in shards)


def _encode_all(
    catalog: Catalog, columns: Sequence[str] | None
) -> tuple[list[Column], list[np.ndarray]]:
    names = catalog.table.colnames
    for name in columns or ():
        if name not in names:
            raise CatalogError(
                f"The catalogue has no column '{name}' to keep.",
                allowed=names,
                hint=nearest(name, names),
            )
    # Kept already, under our own names.
    roles = {catalog.roles.id, catalog.roles.ra, catalog.roles.dec}
    chosen = [n for n in (names if columns is None else dict.fromkeys(columns)) if n not in roles]
    # A column that bears the name of one of ours keeps its values under another.
    shown = {n: f"catalog_{n}" if n.lower() in OWN else n for n in chosen}
    stored = stored_names(shown.values(), OWN)
    pairs = [encode(shown[n], stored[shown[n]], catalog.table[n]) for n in chosen]
    return [s for s, _ in pairs], [v for _, v in pairs]


def _missing_scalars(catalog: Catalog, inputs: Inputs) -> np.ndarray:
    flags = np.zeros(len(catalog), np.int32)
    for name in inputs.scalars:
        flags[np.isnan(catalog.numbers(name))] |= Flag.SCALAR_MISSING
    return flags


def _hashed(directory: Path, fingerprint: dict[str, str]) -> dict[str, dict[str, str]]:
    """Checksums of the shards that are still what a finished manifest with this fingerprint says.

    This reads every byte, at about a gigabyte per second; training reads them more than once.
    """
    try:
        manifest = Manifest.read(directory / MANIFEST)
    except ImageError:
        return {}
    # Checksums of other data with the same file names would be wrong.
    if manifest.fingerprint != fingerprint:
        return {}
    return {
        s.file: {"sha256": s.sha256, "table_sha256": s.table_sha256}
        for s in manifest.shards
        if (directory / s.file).is_file() and atomic.sha256(directory / s.file) == s.sha256
    }


def _finished(directory: Path, fingerprint: dict[str, str]) -> dict[str, shard_file.ShardHeader]:
    """Complete shards with this fingerprint by file name; shards of other data are refused."""
    finished = {}
    for path in sorted(directory.glob("shard-*.fits")):
        header = shard_file.read_header(path, [*CARDS, STATE])
        if header is None:
            continue
        other = [CARDS[key] for key in CARDS if header.fingerprint[key] != fingerprint[key]]
        if other:
            raise InputsError(
                f"The folder '{directory}' holds shards of other data.",
                received="other " + "; other ".join(other),
                hint="choose another folder, or remove this one (in Python: resume=False)",
            )
        finished[path.name] = header
    return finished
