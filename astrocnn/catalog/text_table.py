"""Tables in text: commas, tabs, semicolons, bars or blanks between the values.

Every value is read as text first and a column gets its type afterwards, so that no identifier is
ever rounded.  A column is int64 if all its values are plain integers that fit; text if they are
integers with leading zeros or too large; float64 if all are numbers; bool if all are true or
false; otherwise text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import MaskedColumn, Table
from pyarrow import csv as arrow_csv

from astrocnn.errors import CatalogError

__all__ = ["read", "to_text"]

NO_VALUE = ["", "nan", "NaN", "NAN", "null", "NULL", "NA", "N/A", "n/a", "--", "\\N", "<NA>"]
"""Words for a missing number.  In a column of text only the empty one is missing."""

INTEGER = r"^-?(0|[1-9][0-9]*)$"
DIGITS = r"^[+-]?[0-9]+$"
BLOCK_BYTES = 1 << 23


def read(
    path: Path, opener: Callable[[], BinaryIO], choose: Callable[[Sequence[str]], list[str]]
) -> Table:
    """Read the chosen columns of a text table.

    The names stand in the first line, or in the last ``#`` line before numbers begin.

    Raises
    ------
    CatalogError
        If there is no line of names, names repeat, or a line has too many or too few values.
    """
    with opener() as stream:
        delimiter, names, skip = _layout(stream, path)
    wanted = choose(names)
    with opener() as stream:
        source = _Lines(stream, skip, blanks=delimiter is None)
        try:
            data = arrow_csv.read_csv(
                pa.PythonFile(source, mode="r"),
                read_options=arrow_csv.ReadOptions(column_names=names, block_size=BLOCK_BYTES),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=delimiter or "\t", newlines_in_values=True
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=wanted,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                raise CatalogError(f"'{path}' has column names but no rows.") from None
            hint = "a line may be cut short, or hold a separator without quotes"
            if "UTF8" in str(error):
                hint = "save the file as UTF-8"
            raise CatalogError(
                f"'{path}' cannot be read as a table of {len(names)} columns: {error}", hint=hint
            ) from error
    return Table({name: _typed(data.column(name)) for name in wanted})


def _layout(stream: BinaryIO, path: Path) -> tuple[str | None, list[str], int]:
    """Separator (None for blanks), column names, and bytes before the first row."""
    comment, skip = "", 0
    header = None
    following = ""
    for raw in iter(stream.readline, b""):
        try:
            line = raw.decode("utf-8-sig" if skip == 0 else "utf-8")
        except UnicodeDecodeError as error:
            raise CatalogError(f"'{path}' is not text: {error}", hint="save it as UTF-8") from None
        if header is not None and line.strip() and not line.startswith("#"):
            following = line
            break
        if header is None:
            if line.startswith("#"):
                comment = line.lstrip("# \t").rstrip("\r\n") or comment
            elif line.strip():
                header = line.rstrip("\r\n")
                after = skip + len(raw)
                before = skip
        skip += len(raw)
    if header is None:
        raise CatalogError(f"'{path}' holds comments only.")
    delimiter = _delimiter(header, following, path)
    names, first = _fields(header, delimiter), after
    if any(_is_number(field) for field in names):
        commented = _fields(comment, delimiter if delimiter and delimiter in comment else None)
        if comment and len(commented) != len(names):
            raise CatalogError(
                f"'{path}' names {len(commented)} columns in its last comment line but has "
                f"{len(names)} values in its first row.",
                received=f"comment: {comment[:80]}",
            )
        if not comment or any(_is_number(field) for field in commented):
            raise CatalogError(
                f"'{path}' has no line of column names.",
                received=f"first line: {header[:80]}",
                hint="put a line of names at the top, with or without '#'",
            )
        names, first = commented, before
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated or "" in names:
        raise CatalogError(
            f"'{path}' has column names that are empty or occur twice.", received=repeated or names
        )
    return delimiter, names, first


def _delimiter(header: str, following: str, path: Path) -> str | None:
    suffixes = [s.lower() for s in path.suffixes]
    preferred = [d for s, d in ((".csv", ","), (".tsv", "\t")) if s in suffixes]
    candidates: list[str | None] = [*preferred, "\t", ",", ";", "|"]
    for candidate in [*candidates, None]:
        width = len(_fields(header, candidate))
        if width > 1 and (not following or len(_fields(following, candidate)) == width):
            return candidate
    for candidate in candidates:
        if len(_fields(header, candidate)) > 1:
            return candidate
    return preferred[0] if preferred else None


def _fields(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return [field.strip('"') for field in re.findall(r'"[^"]*"|\S+', line)]
    return [field.strip() for field in next(csv.reader([line], delimiter=delimiter), [""])]


def _is_number(field: str) -> bool:
    # Not float(): a column may well be called "nan" or "inf".
    return re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", field) is not None


class _Lines:
    """The rows of a text file for arrow: comments dropped, runs of blanks turned into tabs."""

    closed = False

    def __init__(self, stream: BinaryIO, skip: int, *, blanks: bool) -> None:
        self._stream = stream
        self._blanks = blanks
        self._stream.read(skip)
        self._ready = b""

    def read(self, size: int = -1) -> bytes:
        while not self._ready:
            block = self._stream.read(BLOCK_BYTES)
            if not block:
                return b""
            self._ready = self._clean(block + self._stream.readline())
        if size is None or size < 0:
            size = len(self._ready)
        out, self._ready = self._ready[:size], self._ready[size:]
        return out

    def _clean(self, block: bytes) -> bytes:
        if block.startswith(b"#") or b"\n#" in block:
            block = re.sub(rb"(?m)^#.*\n?", b"", block)
        if not self._blanks:
            return block
        block = re.sub(rb"(?m)^[ \t]+|[ \t\r]+$", b"", block)
        if b'"' in block:
            return re.sub(rb'("[^"\n]*")|[ \t]+', lambda m: m.group(1) or b"\t", block)
        return re.sub(rb"[ \t]+", b"\t", block)


def _typed(column: Any) -> np.ndarray | MaskedColumn:
    """The column with the type its values allow."""
    text = pc.utf8_trim_whitespace(column)
    gone = pc.is_in(text, value_set=pa.array(NO_VALUE))
    missing = gone.to_numpy()
    known = text.filter(pc.invert(gone))
    if not len(known):
        return MaskedColumn(np.full(len(text), np.nan), mask=missing)
    if _all(known, DIGITS):
        numbers = _integers(text, gone) if _all(known, INTEGER) else None
        return to_text(text, None) if numbers is None else _masked(numbers, missing)
    numbers = _floats(text, gone)
    if numbers is not None:
        return _masked(numbers, missing)
    lower = pc.utf8_lower(known)
    if pc.all(pc.is_in(lower, value_set=pa.array(["true", "false"]))).as_py():
        return _masked(pc.equal(pc.utf8_lower(text), "true").to_numpy(), missing)
    return to_text(text, None)


def _all(values: Any, pattern: str) -> bool:
    # Chunk by chunk: a column of another type is most often seen as such in the first.
    return all(pc.all(pc.match_substring_regex(c, pattern)).as_py() for c in values.chunks)


def _floats(text: Any, gone: Any) -> np.ndarray | None:
    plain = text
    if pc.any(pc.starts_with(text, "+")).as_py():
        plain = pc.replace_substring_regex(text, r"^\+", "")
    try:
        return pc.if_else(gone, pa.scalar("nan"), plain).cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None


def _integers(text: Any, gone: Any) -> np.ndarray | None:
    try:
        return pc.if_else(gone, pa.scalar("0"), text).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return None


def _masked(values: np.ndarray, missing: np.ndarray) -> np.ndarray | MaskedColumn:
    return MaskedColumn(values, mask=missing) if missing.any() else values


def to_text(column: Any, missing: np.ndarray | None) -> np.ndarray | MaskedColumn:
    """Arrow text -> numpy text, block by block; empty means missing.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of string, n values
    missing : ndarray of bool, shape (n,), or None
        Further values to mask.
    """
    width = max(1, pc.max(pc.utf8_length(column)).as_py() or 1)
    out = np.empty(len(column), dtype=f"U{width}")
    start = 0
    for chunk in column.chunks:
        filled = pc.fill_null(chunk, "")
        out[start : start + len(chunk)] = filled.to_numpy(zero_copy_only=False)
        start += len(chunk)
    gone = (out == "") if missing is None else (out == "") | missing
    return MaskedColumn(out, mask=gone) if gone.any() else out
