"""The header units of a FITS file, found without reading the data.

A FITS file is a sequence of header-data units, each filled up to blocks of 2880 bytes; a header is
a sequence of cards of 80 bytes up to the card END.  `scan_headers` reads one header after another:
it parses only the cards that define where and what the data are, which makes opening a small stamp
an order of magnitude cheaper than a general reader.  Everything unusual (compressed images,
tables, headers for the WCS) is left to astropy, by `astrocnn.fits_file`.

References
----------
Pence et al. 2010, A&A 524, A42 (FITS 3.0): blocks of 2880 bytes (section 3.1), the size of the
data (eq. 2), BSCALE, BZERO and BLANK (section 4.4.2).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from astrocnn.errors import ImageError
from astrocnn.plugins import nearest
from astrocnn.remote import Url

__all__ = [
    "Cards",
    "HeaderUnit",
    "next_block",
    "scan_bytes",
    "scan_file",
    "scan_headers",
    "select_unit",
]

BLOCK = 2880
CARD = 80
MAX_HEADER = 16 << 20
MAX_UNITS = 10_000
_KINDS = {"IMAGE": "image", "BINTABLE": "table", "TABLE": "table"}
Read = Callable[[int, int], bytes]


# The same few keywords are looked up in every header.
@lru_cache(maxsize=256)
def _padded_key(key: str) -> bytes:
    return key.encode().ljust(8)


class Cards:
    """The cards of a header; a card is parsed when its value is needed.

    Parameters
    ----------
    text : bytes
        Whole blocks as they are in the file.
    """

    __slots__ = ("_offsets", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        # Backwards, because of repeated cards the first one counts.
        self._offsets = {text[at : at + 8]: at for at in range(len(text) - CARD, -1, -CARD)}

    def replace(self, text: bytes) -> Cards:
        """The cards of another header, which has the same keywords in the same places."""
        cards = Cards.__new__(Cards)
        cards.text, cards._offsets = text, self._offsets
        return cards

    def value(self, key: str) -> Any:
        """The value of a card as int, float, bool or str; None when absent."""
        if len(key) > 8:
            return self._hierarch(key)
        at = self._offsets.get(_padded_key(key))
        # Without "= " in columns 9 and 10 a card is a comment, whatever its keyword.
        if at is None or self.text[at + 8 : at + 10] != b"= ":
            return None
        return _parse_value(self.text[at + 10 : at + CARD])

    def _hierarch(self, key: str) -> Any:
        """The value of a card of the ESO convention: ``HIERARCH ESO DET ZP = 25.1``."""
        words = key.upper().removeprefix("HIERARCH ").split()
        for at in range(0, len(self.text) - CARD + 1, CARD):
            if self.text[at : at + 9] == b"HIERARCH ":
                name, _, value = self.text[at + 9 : at + CARD].partition(b"=")
                if name.decode("ascii", "replace").upper().split() == words:
                    return _parse_value(value)
        return None


@dataclass(frozen=True, slots=True)
class HeaderUnit:
    """One header and where its data lie.

    Parameters
    ----------
    index : int
        Position in the file, 0 for the primary.
    kind : {"image", "compressed", "table", "other"}
        What the data are.
    bitpix : int
        FITS code of the pixel type.
    shape : tuple of int
        In numpy's order, slowest axis first; empty without data.
    start, stop : int
        Bytes of the data, without padding.
    cards : Cards
        The whole header.
    name : str
        EXTNAME in capitals, or an empty string.
    """

    index: int
    kind: str
    bitpix: int
    shape: tuple[int, ...]
    start: int
    stop: int
    cards: Cards
    name: str

    def value(self, key: str) -> Any:
        """The value of a card as int, float, bool or str; None when absent."""
        return self.cards.value(key)

    @property
    def is_image(self) -> bool:
        """Whether the data are an image, of two or more axes."""
        return self.kind in ("image", "compressed") and len(self.shape) >= 2 and 0 not in self.shape

    @property
    def title(self) -> str:
        """Number and name, for messages."""
        return f"HDU {self.index}" + (f" ('{self.name}')" if self.name else "")


def scan_headers(read: Read, size: int, path: Path | Url) -> Iterator[HeaderUnit]:
    """Yield the header units one after another, reading headers only.

    Parameters
    ----------
    read : callable
        ``read(offset, length)`` gives bytes.
    size : int
        Length of the file [byte].
    path : Path
        For messages.

    Raises
    ------
    ImageError
        If the file is empty, is not FITS, or ends within a header.
    """
    if size == 0:
        raise ImageError(f"The file {path} is empty.")
    if read(0, 9) != b"SIMPLE  =":
        raise ImageError(f"The file {path} is not a FITS file.")
    offset, index = 0, 0
    while offset < size:
        if index == MAX_UNITS:
            raise ImageError(f"The file {path} has more than {MAX_UNITS} HDUs.")
        cards, offset = _read_header(read, offset, size, index, path)
        if cards is None:
            return
        unit, stop = _build_unit(cards, offset, index, path)
        yield unit
        offset, index = stop, index + 1


def scan_bytes(data: bytes | bytearray, path: Path | Url) -> Iterator[HeaderUnit]:
    """Yield the header units of a file whose bytes, decompressed, are in memory."""
    return scan_headers(lambda at, n: bytes(data[at : at + n]), len(data), path)


def scan_file(stream: BinaryIO, path: Path | Url) -> tuple[Iterator[HeaderUnit], int]:
    """The header units of an open file that is not compressed, and its size [byte]."""

    def read(offset: int, length: int) -> bytes:
        stream.seek(offset)
        return stream.read(length)

    size = stream.seek(0, os.SEEK_END)
    return scan_headers(read, size, path), size


def select_unit(
    units: Iterator[HeaderUnit], hdu: int | str | Mapping[str, Any] | None, path: Path | Url
) -> HeaderUnit:
    """Select the unit of a number, a name or header cards; by default the first image.

    Raises
    ------
    ImageError
        If none matches, or if header cards match several.
    """
    if hdu is None:
        return _first_image(units, path)
    scanned = []
    matching = []
    matches = _build_test(hdu)
    for unit in units:
        scanned.append(unit)
        if matches(unit):
            matching.append(unit)
            if not isinstance(hdu, Mapping):
                break  # of units with one name the first is meant
    if len(matching) == 1:
        return matching[0]
    received = dict(hdu) if isinstance(hdu, Mapping) else hdu
    if matching:
        raise ImageError(
            f"Several HDUs of {path} have these header cards: "
            f"{', '.join(unit.title for unit in matching)}.",
            received=received,
        )
    raise ImageError(
        f"The file {path} has no such HDU.",
        received=received,
        allowed=[
            f"{unit.title}, {_describe(unit)}{_describe_cards(unit, hdu)}" for unit in scanned
        ],
        hint=nearest(hdu, [unit.name for unit in scanned if unit.name])
        if isinstance(hdu, str)
        else None,
    )


def _describe_cards(unit: HeaderUnit, hdu: int | str | Mapping[str, Any]) -> str:
    """Values of the header cards that were asked for."""
    if not isinstance(hdu, Mapping):
        return ""
    cards = ", ".join(f"{key} = {unit.value(key)!r}" for key in hdu if unit.value(key) is not None)
    return f" ({cards})" if cards else ""


def _read_header(
    read: Read, offset: int, size: int, index: int, path: Path | Url
) -> tuple[bytes | None, int]:
    """The blocks of a header, and the offset after them; None after the last unit."""
    blocks: list[bytes] = []
    while offset < size and len(blocks) * BLOCK < MAX_HEADER:
        block = read(offset, BLOCK)
        if index and not blocks and not block.startswith(b"XTENSION"):
            return None, size  # special records or padding after the last unit
        if len(block) < BLOCK:
            break
        blocks.append(block)
        offset += BLOCK
        at = block.find(b"END     ")
        # "END" may also occur in a comment; it counts only at the start of an otherwise empty card.
        while at >= 0:
            if at % CARD == 0 and not block[at + 3 : at + CARD].strip():
                return b"".join(blocks) if len(blocks) > 1 else block, offset
            at = block.find(b"END     ", at + 1)
    if len(blocks) * BLOCK >= MAX_HEADER:
        raise ImageError(f"The header of HDU {index} of {path} has no end.")
    raise ImageError(f"The file {path} is truncated: it ends within the header of HDU {index}.")


def _build_unit(text: bytes, start: int, index: int, path: Path | Url) -> tuple[HeaderUnit, int]:
    """The unit of a header, and the offset of the next one."""
    try:
        kind, bitpix, shape, length, cards, name = _parse_layout(text, index == 0)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError(
            f"The header of HDU {index} of {path} is not valid FITS.", received=str(error)
        ) from error
    stop = start + length
    return HeaderUnit(index, kind, bitpix, shape, start, stop, cards, name), next_block(stop)


# Stamps of one survey share headers: those without the object's own coordinates.
@lru_cache(maxsize=64)
def _parse_layout(text: bytes, primary: bool) -> tuple[str, int, tuple[int, ...], int, Cards, str]:
    cards = Cards(text)
    value = cards.value
    # Of a card that stands twice, as where the END between two headers is lost, others read the
    # second, which nobody validated.
    cards_at = range(0, len(text), CARD)
    for key in (b"NAXIS   =", b"TFIELDS ="):
        if text.count(key) > 1 and sum(text.startswith(key, i) for i in cards_at) > 1:
            raise ValueError(f"{key[:-1].decode().strip()} stands twice")
    bitpix = int(value("BITPIX"))
    axes = _parse_axes(value, "NAXIS")
    kind = "image" if primary else _KINDS.get(str(value("XTENSION")), "other")
    # Random groups, an old form of radio data, have a first axis of length 0.
    groups = primary and axes[:1] == [0] and value("GROUPS") is True
    fields = value("TFIELDS")
    # astropy counts up to it, in whatever header it stands.
    if (fields is not None or kind == "table") and not 0 <= int(fields) <= 999:
        raise ValueError(f"TFIELDS = {fields}")
    pcount, gcount = 0, 1
    # An image extension has neither heap nor groups, whatever its header says.
    if groups or (not primary and kind != "image"):
        pcount, gcount = int(value("PCOUNT") or 0), int(value("GCOUNT") or 1)
        if pcount < 0 or gcount < 0:
            raise ValueError(f"PCOUNT = {pcount} and GCOUNT = {gcount}")
    if groups:
        kind, axes = "other", axes[1:]
    # Size of the data by equation 2 of the FITS standard.
    length = abs(bitpix) // 8 * gcount * (pcount + math.prod(axes)) if axes else 0
    # A tile-compressed image is a table whose Z cards describe the image.
    if kind == "table" and value("ZIMAGE") is True:
        kind, bitpix = "compressed", int(value("ZBITPIX"))
        axes = _parse_axes(value, "ZNAXIS")
    # FITS counts the fastest axis first, numpy last.
    shape = tuple(reversed(axes)) if kind in ("image", "compressed") else ()
    # In capitals, since names of extensions are compared without regard to case.
    name = value("EXTNAME")
    name = "" if name is None else str(name).strip().upper()
    return kind, bitpix, shape, length, cards, name


def _parse_axes(value: Callable[[str], Any], key: str) -> list[int]:
    n_axes = int(value(key))
    if not 0 <= n_axes <= 999:
        raise ValueError(f"{key} = {n_axes}")
    axes = [int(value(f"{key}{i + 1}")) for i in range(n_axes)]
    # A negative length would lead the search for the next header backwards, for ever.
    if min(axes, default=0) < 0:
        raise ValueError(f"{key}n = {axes}")
    return axes


def next_block(stop: int) -> int:
    """Where the block after the one that holds byte `stop` - 1 begins."""
    # Rounded up: the floor of a negative quotient.
    return -(-stop // BLOCK) * BLOCK


def _first_image(units: Iterator[HeaderUnit], path: Path | Url) -> HeaderUnit:
    scanned = []
    for unit in units:
        if unit.is_image:
            return unit
        scanned.append(unit)
    kinds = [f"{unit.title}, {_describe(unit)}" for unit in scanned]
    if any(unit.kind == "table" for unit in scanned):
        raise ImageError(f"The file {path} holds a table and no image.", received=kinds)
    raise ImageError(f"The file {path} holds no image.", received=kinds)


def _build_test(hdu: int | str | Mapping[str, Any]) -> Callable[[HeaderUnit], bool]:
    if isinstance(hdu, Mapping):
        expected = {str(key).upper(): value for key, value in hdu.items()}
        return lambda unit: all(_equal(unit.value(key), v) for key, v in expected.items())
    if isinstance(hdu, int):
        return lambda unit: unit.index == hdu
    name, _, version = hdu.upper().partition(",")
    number = int(version) if version.strip().isdigit() else None

    def has_name(unit: HeaderUnit) -> bool:
        if unit.name != name.strip() and not (name == "PRIMARY" and unit.index == 0):
            return False
        return number is None or int(unit.value("EXTVER") or 1) == number

    return has_name


def _equal(value: Any, expected: Any) -> bool:
    if isinstance(expected, str):
        return value is not None and str(value).strip().lower() == expected.strip().lower()
    return bool(value == expected)


def _describe(unit: HeaderUnit) -> str:
    if unit.kind in ("image", "compressed"):
        size = " x ".join(str(n) for n in reversed(unit.shape))
        return f"image of {size} pixels" if size else "no data"
    return unit.kind


def _parse_value(field: bytes) -> Any:
    """The value in columns 11 to 80 of a card."""
    text = field.lstrip()
    if text.startswith(b"'"):
        # FITS escapes a quote in a string by doubling it.
        string = text[1:].replace(b"''", b"\0").partition(b"'")[0].replace(b"\0", b"'")
        return string.rstrip().decode("ascii", "replace")
    text = text.partition(b"/")[0].rstrip()
    if text in (b"T", b"F"):
        return text == b"T"
    # Integers first: a float would lose digits of large ones.
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            pass
    try:
        # FITS allows the double precision exponent of Fortran.
        return float(text.upper().replace(b"D", b"E"))
    except ValueError:
        return text.decode("ascii", "replace") or None
