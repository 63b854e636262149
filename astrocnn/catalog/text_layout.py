"""The head of a text table: which format it is, its columns, and where its rows begin."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from astropy.io import ascii

from astrocnn.catalog.columns import MAX_COLUMNS
from astrocnn.errors import CatalogError

__all__ = [
    "AS_UTF8",
    "Layout",
    "detect_described_format",
    "find_layout",
    "open_text",
    "parse_sextractor_head",
    "read_head",
    "refuse_other_encoding",
]

HEAD_LINES = 400
"""Lines in which the description of an MRT table has to begin."""
HEAD_LENGTH = 1 << 22
"""Characters in which the first rows have to begin."""
HEADER_LENGTH = 1 << 20
DESCRIPTION_LENGTH = 1 << 18
AS_UTF8 = "save the file as UTF-8"


@dataclass(frozen=True)
class Layout:
    """Where the rows of a table begin and what its columns are; separator None means blanks."""

    separator: str | None
    names: list[str]
    first_row: int
    units: dict[str, str] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)


def read_head(opener: Callable[[], BinaryIO], path: Path) -> list[str]:
    """Lines up to the third after the comments, and at least as many as may describe a table."""
    lines: list[str] = []
    rows = length = 0
    with open_text(opener) as text:
        while length < HEAD_LENGTH and (line := text.readline(HEAD_LENGTH)):
            lines.append(line.rstrip("\n"))
            length += len(line)
            is_row = bool(line.strip()) and not line.startswith("#")
            if is_row and not line.isascii():
                refuse_other_encoding(line, path)
            rows += is_row
            if rows > 3 and len(lines) >= HEAD_LINES:
                break
    if length >= HEAD_LENGTH and rows < 2:
        raise CatalogError(f"'{path}' has no rows in its first {HEAD_LENGTH} characters.")
    return lines


def open_text(opener: Callable[[], BinaryIO]) -> io.TextIOWrapper:
    # Comments may be in any encoding; in rows surrogates are refused.
    return io.TextIOWrapper(opener(), "utf-8-sig", errors="surrogateescape", newline=None)


def refuse_other_encoding(text: str, path: Path) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) - 0xDC00
        raise CatalogError(
            f"'{path}' is not text in UTF-8.",
            received=f"byte 0x{byte:02x} after '{text[: error.start][-40:]}'",
            hint=AS_UTF8,
        ) from None


def detect_described_format(head: list[str]) -> str | None:
    """The astropy name of a format that describes its own columns.

    Raises
    ------
    CatalogError
        If the description is so long that parsing it would take minutes.
    """
    if head[0].startswith("# %ECSV"):
        length = sum(len(line) for line in head if line.startswith("#"))
        if length > DESCRIPTION_LENGTH:
            raise CatalogError(
                "The ECSV table has too long a description of its columns.",
                received=f"{length} characters",
                allowed=f"{DESCRIPTION_LENGTH} characters",
            )
        return "ecsv"
    lines = [line for line in head if line.strip()]
    if any(line.startswith("Byte-by-byte Description") for line in lines):
        return "mrt"
    bars = [line for line in lines if not line.startswith("\\")]
    # A table drawn with bars has them before its rows, too; IPAC has blanks there.
    after = next((line for line in bars if not line.startswith("|")), "")
    if bars and re.fullmatch(r"\|.*\|\s*", bars[0]) and after.startswith(" "):
        if bars[0].count("|") > MAX_COLUMNS:
            raise CatalogError(f"The IPAC table has more than {MAX_COLUMNS} columns.")
        return "ipac"
    return None


def parse_sextractor_head(head: list[str]) -> Layout | None:
    """Names, units and descriptions in a numbered head: ``#  1 NUMBER  Running number [unit]``."""
    first_row = next((i for i, line in enumerate(head) if not line.startswith("#")), len(head))
    if first_row == len(head) or not re.match(r"#\s+1\s+[A-Za-z]\w*(\s|$)", head[0]):
        return None
    width = len(head[first_row].split())
    # astropy makes as many names as the largest number.
    if any(
        int(n) > MAX_COLUMNS for line in head[:first_row] for n in re.findall(r"^#\s+(\d+)", line)
    ):
        raise CatalogError(f"The SExtractor head has more than {MAX_COLUMNS} columns.")
    # With a row of zeros astropy also names the elements of vectors (FLUX_APER, FLUX_APER_1 ...).
    known = ascii.read([*head[:first_row], "0 " * width], format="sextractor", guess=False)
    return Layout(
        None,
        known.colnames,
        first_row,
        {name: str(known[name].unit or "") for name in known.colnames},
        {name: str(known[name].description or "") for name in known.colnames},
    )


def find_layout(head: list[str], path: Path) -> Layout:
    lines = [(at, line) for at, line in enumerate(head) if line.strip()]
    at = next((i for i, (_, line) in enumerate(lines) if not line.startswith("#")), None)
    if at is None:
        raise CatalogError(f"'{path}' holds comments only.")
    comment = lines[at - 1][1].lstrip("# \t") if at else ""
    header = lines[at][1]
    if len(header) > HEADER_LENGTH:
        raise CatalogError(
            f"'{path}' has a first line of {len(header)} characters.",
            allowed=f"{HEADER_LENGTH} characters for the names of columns",
        )
    below = [(i, line) for i, line in lines[at + 1 :] if not line.startswith("#")][:2]
    below = [(i, line) for i, line in below if len(line) <= HEADER_LENGTH]
    separator = _find_separator(header, below[0][1] if below else "", path)
    names, first_row = _split(header, separator), lines[at][0] + 1
    if any(_is_number(name) for name in names):
        names, first_row = _commented_names(comment, header, separator, path), lines[at][0]
    elif below and separator is not None:
        names = _match_width(names, _split(below[0][1], separator))
    units: dict[str, str] = {}
    for k, (i, line) in enumerate(below):
        # A line of dashes below the names, as VizieR writes it, or below their units.
        if all(re.fullmatch("-+|=+", value) for value in _split(line, separator)):
            first_row = i + 1
            if k == 1:
                units = dict(zip(names, _split(below[0][1], separator), strict=False))
            break
    names = [name or f"unnamed_{i}" for i, name in enumerate(names, start=1)]
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise CatalogError(f"'{path}' has column names that occur twice.", received=repeated)
    return Layout(separator, names, first_row, units)


def _match_width(names: list[str], row: list[str]) -> list[str]:
    """The names, with as many empty ones at their end as the rows have empty values there."""
    more = len(row) - len(names)
    if more > 0 and not any(row[len(names) :]):
        return [*names, *[""] * more]
    if more < 0 and not any(names[len(row) :]):
        return names[: len(row)]
    return names


def _commented_names(comment: str, header: str, separator: str | None, path: Path) -> list[str]:
    """Names in the last comment line before the numbers begin."""
    names = _split(comment, separator if separator and separator in comment else None)
    width = len(_split(header, separator))
    if comment and len(names) != width:
        raise CatalogError(
            f"'{path}' names {len(names)} columns in its last comment line but has "
            f"{width} values in its first row.",
            received=f"comment: {comment[:80]}",
            hint="correct that line so that it names every column, or save the table as CSV",
        )
    if not comment or any(_is_number(name) for name in names):
        raise CatalogError(
            f"'{path}' has no line of column names.",
            received=f"first line: {header[:80]}",
            hint="put a line of names at the top, with or without '#'",
        )
    return names


def _find_separator(header: str, row: str, path: Path) -> str | None:
    """The separator that divides the names and the first row into as many values."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    preferred = [c for suffix, c in ((".csv", ","), (".tsv", "\t")) if suffix in suffixes]
    candidates = [*preferred, "\t", ",", ";", "|"]
    for separator in [*candidates, None]:
        names = _split(header, separator)
        width = len(names)
        values = _split(row, separator)
        has_width = len(_match_width(names, values)) == len(values)
        if width > 1 and (not row or len(values) == width or (separator and has_width)):
            return separator
    for separator in candidates:
        if separator in header:
            return separator
    return preferred[0] if preferred else None


def _split(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return [value.strip('"') for value in re.findall(r'"[^"]*"|\S+', line)]
    try:
        return [value.strip() for value in next(csv.reader([line], delimiter=separator), [""])]
    except csv.Error:  # a value of more than 128 kB
        return line.split(separator)


def _is_number(value: str) -> bool:
    # Not float(): a column may well be called "nan" or "inf".
    return re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value) is not None
