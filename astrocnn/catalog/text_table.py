"""Tables in text: separated by commas, tabs, bars or blanks, or with a head of their own.

IPAC, MRT (machine-readable tables of journals and of CDS) and ECSV tables say what their columns
are: `astropy.io.ascii` reads them.  In all others every value is read as text first (by
`pyarrow.csv`) and a column gets its type afterwards, so that no identifier is ever rounded.  A
column is int64 if all its values are plain integers that fit; text if they are integers with
leading zeros or signs, or too large; float64 if all are numbers; bool if all are true or false;
otherwise text.  The identifier is int64 or text and nothing else.
"""

from __future__ import annotations

import codecs
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io import ascii
from astropy.table import Column, MaskedColumn, Table
from pyarrow import csv as arrow_csv

from astrocnn.catalog.columns import UNREAD, convert_text
from astrocnn.catalog.text_layout import (
    AS_UTF8,
    Layout,
    detect_described_format,
    find_layout,
    open_text,
    parse_sextractor_head,
    read_head,
    refuse_other_encoding,
)
from astrocnn.catalog.validation import CatalogWarning
from astrocnn.errors import CatalogError

__all__ = ["TEXT_FORMATS", "Choose", "read_text_table"]

TEXT_FORMATS = (
    "CSV",
    "TSV (also of VizieR)",
    "text in columns",
    "SExtractor",
    "IPAC",
    "MRT",
    "ECSV",
)
Choose = Callable[[Sequence[str]], tuple[list[str], str | None]]
"""Column names of a file -> those to read, and the identifier among them."""

NO_VALUE = ["", "nan", "NaN", "NAN", "null", "NULL", "NA", "N/A", "n/a", "--", "\\N", "<NA>"]
"""Words for a missing number.  In a column of text only the empty one is missing."""

DIGITS = r"^[+-]?[0-9]+$"
BLOCK_BYTES = 1 << 23


def read_text_table(path: Path, opener: Callable[[], BinaryIO], choose: Choose) -> Table:
    """Read the chosen columns of a text table.

    The names stand in the first line, or in the last ``#`` line before numbers begin.

    Parameters
    ----------
    path : Path
        For messages, and for its suffix.
    opener : callable
        Opens the uncompressed bytes of the file.
    choose : callable
        All column names -> those to read, and the identifier.

    Raises
    ------
    CatalogError
        If there is no line of names, names repeat, or a line has too many or too few values.

    Warns
    -----
    CatalogWarning
        If lines of a blank-separated table look like comments and like rows.
    """
    head = read_head(opener, path)
    described = detect_described_format(head)
    if described is not None:
        return _read_described(path, opener, choose, described)
    layout = parse_sextractor_head(head) or find_layout(head, path)
    selected, identifier = choose(layout.names)
    rows = _read_rows(path, opener, layout, selected)
    table, unread = Table(), {}
    for name in selected:
        try:
            values = _typed(rows.column(name), is_identifier=name == identifier)
        except CatalogError as error:
            unread[name] = error.what
            continue
        if name.startswith("unnamed_") and np.ma.getmaskarray(values).all():
            continue  # a separator at the end of each line makes a column without name or value
        column = MaskedColumn if isinstance(values, np.ma.MaskedArray) else Column
        unit = layout.units.get(name) or None
        table[name] = column(values, unit=unit, description=layout.descriptions.get(name))
    table.meta[UNREAD] = unread
    return table


def _read_described(
    path: Path, opener: Callable[[], BinaryIO], choose: Choose, described: str
) -> Table:
    with open_text(opener) as text:
        content = text.read()
    # Not splitlines, for which characters within a value end a line as well.
    lines = content.removesuffix("\n").split("\n")
    if described != "ecsv" and content[-1:] != "\n" and len(lines[-1]) < len(lines[-2]):
        # In columns of fixed width a value that lost its end is a value all the same.
        raise CatalogError(
            f"'{path}' is cut short: its last line does not end.",
            received=lines[-1][:80],
            hint="fetch or write the file again",
        )
    try:
        with warnings.catch_warnings():
            # Units that astropy cannot parse stay as they are.
            warnings.simplefilter("ignore")
            table = ascii.read(lines, format=described, guess=False)
    except Exception as error:  # every reader raises its own types
        reason = str(error).strip().splitlines()
        raise CatalogError(
            f"'{path}' cannot be read as {described.upper()}: {reason[0] if reason else error!r}",
            hint="the file may be damaged or cut short",
        ) from error
    selected, _ = choose(table.colnames)
    for name in selected:
        texts = table[name].tolist() if table[name].dtype.kind == "U" else []
        refuse_other_encoding("".join([name, *(t for t in texts if t)]), path)
    return table[selected]


def _read_rows(
    path: Path, opener: Callable[[], BinaryIO], layout: Layout, selected: list[str]
) -> pa.Table:
    """The chosen columns as text."""
    by_blanks = layout.separator is None or len(layout.names) == 1
    stray: list[str] = []

    def skip_comment(row: arrow_csv.InvalidRow) -> str:
        # A row whose identifier begins with '#' has as many values as any other.
        if not row.text.startswith("#"):
            return "error"
        if "\n" in row.text or "\r" in row.text:
            stray.append(row.text.splitlines()[0])
            return "error"
        return "skip"

    quotes, is_utf8 = _scan(opener)
    if not (is_utf8 or by_blanks):
        opener = _drop_foreign_comments(opener, layout, path)
    opened = _BlankSeparated(opener(), layout) if by_blanks else opener()
    with closing(opened) as stream:
        try:
            table = arrow_csv.read_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=arrow_csv.ReadOptions(
                    column_names=layout.names,
                    block_size=BLOCK_BYTES,
                    skip_rows=0 if by_blanks else layout.first_row,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter="\t" if by_blanks else layout.separator,
                    # Blocks of rows are parsed in parallel where no value can span lines.
                    newlines_in_values=quotes > 0,
                    invalid_row_handler=skip_comment,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(layout.names, pa.string()),
                    include_columns=None if quotes % 2 else selected,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                raise CatalogError(f"'{path}' has column names but no rows.") from None
            hint = "a line may be cut short, or hold a separator without quotes"
            if "UTF8" in str(error):
                hint = AS_UTF8
            if "straddl" in str(error):
                hint = f'close a quote ("), or shorten values of more than {BLOCK_BYTES} bytes'
            if stray:
                hint = f'close the quotes (") in the comment line: {stray[0][:60]}'
            raise CatalogError(
                f"'{path}' cannot be read as a table of {len(layout.names)} columns: {error}",
                hint=hint,
            ) from error

    last = [column[-1].as_py() for column in table.itercolumns()] if quotes % 2 else []
    unclosed = next((value for value in last if "\n" in value or "\r" in value), None)
    if unclosed is not None:
        # To the parser a quote that is never closed ends with the file.
        raise CatalogError(
            f"'{path}' has a quote (\") that is not closed; all lines after it would be lost.",
            received=f'"{unclosed[:60]}',
        )
    return table


def _scan(opener: Callable[[], BinaryIO]) -> tuple[int, bool]:
    """The number of quotes, and whether all is UTF-8."""
    quotes, decoder = 0, codecs.getincrementaldecoder("utf-8")()
    is_utf8 = True
    with opener() as stream:
        while block := stream.read(BLOCK_BYTES):
            quotes += block.count(b'"')
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                is_utf8 = False
    return quotes, is_utf8


def _drop_foreign_comments(
    opener: Callable[[], BinaryIO], layout: Layout, path: Path
) -> Callable[[], BinaryIO]:
    """The content with empty comments where those are in another encoding.

    Raises
    ------
    CatalogError
        If a row is.
    """
    lines = []
    with open_text(opener) as text:
        for line in text:
            # With as many values as a row it may be one.
            is_row = line.count(str(layout.separator)) == len(layout.names) - 1
            if line.startswith("#") and not (line.isascii() or is_row):
                line = "#\n"
            refuse_other_encoding(line, path)
            lines.append(line)
    content = "".join(lines).encode()
    return lambda: io.BytesIO(content)


class _BlankSeparated(io.RawIOBase):
    """The rows of a blank-separated table as tab-separated ones, without comments."""

    def __init__(self, stream: BinaryIO, layout: Layout) -> None:
        self._width = len(layout.names)
        self._text = open_text(lambda: stream)
        self._blocks = self._clean(layout.first_row)
        self._ready = b""

    def close(self) -> None:
        self._text.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._ready = self._ready or next(self._blocks, b"")
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _clean(self, first_row: int) -> Iterator[bytes]:
        for _ in range(first_row):
            self._text.readline()
        while block := self._text.read(BLOCK_BYTES):
            block += self._text.readline()
            if block.startswith("#") or "\n#" in block:
                self._warn_of_rows(re.findall(r"(?m)^#.*", block))
                block = re.sub(r"(?m)^#.*\n?", "", block)
            block = re.sub(r"(?m)^[ \t]+|[ \t\r]+$", "", block)
            if '"' in block:
                block = re.sub(r'("[^"\n]*")|[ \t]+', lambda m: m.group(1) or "\t", block)
            elif self._width > 1:
                block = re.sub(r"[ \t]+", "\t", block)
            if block:
                yield block.encode("utf-8", "surrogateescape")

    def _warn_of_rows(self, comments: list[str]) -> None:
        data_like = [line for line in comments if len(line.split()) == self._width]
        if data_like:
            warnings.warn(
                f"{len(data_like)} lines beginning with '#' have as many values as there are "
                "columns; "
                f"they are taken as comments, not as rows: '{data_like[0][:60]}'. Put the text in "
                "quotes if they are rows.",
                CatalogWarning,
                stacklevel=2,
            )


def _typed(column: pa.ChunkedArray, *, is_identifier: bool) -> np.ndarray:
    """The column with the type its values allow."""
    text = pc.utf8_trim_whitespace(column)
    is_missing = pc.is_in(text, value_set=pa.array(NO_VALUE))
    missing = is_missing.to_numpy()
    if missing.all():
        return np.ma.MaskedArray(np.full(len(text), np.nan), mask=missing)
    numbers = _integers(text, is_missing)
    if numbers is not None:
        return _masked(numbers, missing)
    present = text.filter(pc.invert(is_missing)) if missing.any() else text
    if is_identifier or _all_match(present, DIGITS):
        return convert_text(text)
    numbers = _floats(text, is_missing)
    if numbers is not None:
        return _masked(numbers, missing)
    truth = pa.array(["true", "false"])
    if all(pc.all(pc.is_in(pc.utf8_lower(c), value_set=truth)).as_py() for c in present.chunks):
        return _masked(pc.equal(pc.utf8_lower(text), "true").to_numpy(), missing)
    return convert_text(text)


def _all_match(values: pa.ChunkedArray, pattern: str) -> bool:
    # Chunk by chunk: a column of another type is most often seen as such in the first.
    return all(pc.all(pc.match_substring_regex(c, pattern)).as_py() for c in values.chunks)


def _integers(text: pa.ChunkedArray, gone: pa.ChunkedArray) -> np.ndarray | None:
    """Integers of 64 bits, if writing them again gives the same text; else None."""
    plain = pc.if_else(gone, pa.scalar("0"), text)
    try:
        numbers = plain.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    # Leading zeros, signs and hexadecimals would be lost.
    return numbers.to_numpy() if numbers.cast(pa.string()).equals(plain) else None


def _floats(text: pa.ChunkedArray, gone: pa.ChunkedArray) -> np.ndarray | None:
    plain = text
    if pc.any(pc.starts_with(text, "+")).as_py():
        plain = pc.replace_substring_regex(text, r"^\+", "")
    if pc.any(pc.match_substring_regex(text.slice(0, 100), r"[0-9.][dD][+-][0-9]")).as_py():
        # Double precision as Fortran writes it.
        plain = pc.replace_substring_regex(plain, r"([0-9.])[dD]([+-][0-9]+)$", r"\1E\2")
    try:
        return pc.if_else(gone, pa.scalar("nan"), plain).cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None


def _masked(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    return np.ma.MaskedArray(values, mask=missing) if missing.any() else values
