"""One column of a FITS table: its declaration, and its values as FITS stores them and back.

FITS has no masked booleans, no text beyond ASCII, no trailing blanks, no 8-bit signed integers and
no unsigned ones without an offset; this module alone defines how they are represented.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from astrocnn.errors import PredictionError

__all__ = ["Column", "ascii_text", "fits_name"]

LETTERS = {"uint8": "B", "int16": "I", "int32": "J", "int64": "K", "float32": "E", "float64": "D"}
WIDER = {
    "bool": "uint8",
    "int8": "int16",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "int64",
    "float16": "float32",
    "longdouble": "float64",
}
"""Types that FITS does not have, and those that hold all their values."""
SIGN_BIT = 2**63


@dataclass(frozen=True)
class Column:
    """A column of a FITS table.

    Parameters
    ----------
    name : str
        TTYPE; every character that is not a letter, a digit or ``_`` becomes ``_``.
    dtype : str
        A numpy type of integers, floats, truth values or text: ``int32``, ``f4``, ``bool`` (stored
        as 0 and 1, because the logical type of FITS loses its missing values in many readers),
        ``U16`` (text of at most 16 characters).
    unit : str
        FITS unit, empty when there is none.
    ucd : str
        IVOA Unified Content Descriptor; checked when the header is built.
    description : str
        One sentence for the reader of the table.
    shape : tuple of int
        Shape of the value in one row; ``()`` for a scalar.
    nullable : bool
        Whether values may be missing.  Missing floats are NaN, missing text is empty.
    null : int, optional
        The integer that represents a missing value (TNULL), masked or not;
        by default the smallest of its type (255 for uint8 and bool), which is then refused as a
        value.  One outside of the type widens what is stored.
    escaped : bool
        Whether text is stored with the escapes of a Python string, backslashes and blanks at its
        end included, so that different texts stay different.
    title : str
        Name in the catalogue, where that is another.

    Raises
    ------
    PredictionError
        If the type cannot be stored.
    """

    name: str
    dtype: str
    unit: str = ""
    ucd: str = ""
    description: str = ""
    shape: tuple[int, ...] = ()
    nullable: bool = False
    null: int | None = None
    escaped: bool = False
    title: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", fits_name(self.name))
        try:
            kind = np.dtype(self.dtype)
        except TypeError:
            kind = np.dtype(object)
        if kind.kind in "US":
            length = kind.itemsize // (4 if kind.kind == "U" else 1)
            kind = np.dtype(f"S{max(1, length)}")
        else:
            kind = np.dtype(WIDER.get(kind.name, kind.name if kind.kind in "iuf" else object))
            if kind == np.longdouble and kind.name not in LETTERS:
                kind = np.dtype(np.float64)
            if kind.name not in LETTERS:
                raise PredictionError(
                    f"The column '{self.name}' has a type a FITS table does not hold.",
                    received=self.dtype,
                    allowed="integers, floats, bool, U<length>",
                )
        object.__setattr__(self, "_null_given", self.null is not None)
        if self.nullable and kind.kind in "iu":
            if self.null is None:
                smallest = 255 if kind.kind == "u" else int(np.iinfo(kind).min)
                object.__setattr__(self, "null", smallest)
            while not np.iinfo(kind).min <= (self.null or 0) <= np.iinfo(kind).max:
                kind = np.dtype(f"i{2 * kind.itemsize}")
        object.__setattr__(self, "_kind", kind)

    @classmethod
    def like(
        cls, name: str, column: Any, ucd: str = "", *, title: str = "", exact: bool = False
    ) -> Column:
        """Declare a column that stores the values of a catalogue column unchanged.

        Parameters
        ----------
        name : str
            TTYPE.
        column : ndarray, MaskedArray or astropy Column of shape (n, ...)
            All its values.
        ucd, title : str
            See `Column`.
        exact : bool
            Whether blanks at the end of texts are kept as well.
        """
        values, mask = np.ma.getdata(column), np.ma.getmaskarray(column)
        kind = values.dtype
        text, escaped, null = kind.newbyteorder("=").str.lstrip("<>=|"), False, None
        masked = isinstance(column, np.ma.MaskedArray)
        if kind.kind in "USO":
            texts = values.astype(str)
            escaped = _needs_escapes(texts, exact)
            stored = _escape(texts) if escaped else ascii_text(texts)
            text = f"U{max(1, stored.dtype.itemsize)}"
        elif kind == np.uint64 and (masked or not exact):
            text = "i8"
        if kind.kind in "iu" and masked:
            null = _find_unused(values[~mask], np.dtype(WIDER.get(kind.name, kind.name)))
        unit = getattr(column, "unit", None)
        return cls(
            name,
            text,
            unit="" if unit is None else str(unit),
            ucd=ucd,
            description=getattr(column, "description", None) or "",
            shape=tuple(values.shape[1:]),
            nullable=masked,
            null=null,
            escaped=escaped,
            title=title,
        )

    @property
    def stored(self) -> np.dtype:
        """The type of one row in the file: big-endian, with the shape of the value."""
        kind: np.dtype = self._kind.newbyteorder(">")  # type: ignore[attr-defined]
        return np.dtype((kind, self.shape)) if self.shape else kind

    @property
    def _is_unsigned(self) -> bool:
        """Whether integers of 64 bits are stored less 2^63, as FITS does."""
        return self._kind == np.int64 and np.dtype(self.dtype) == np.uint64  # type: ignore[attr-defined]

    def fits_column(self, values: NDArray[Any] | None = None) -> fits.Column:
        """The astropy definition, from which the header is made; of encoded values, with them."""
        kind = self.stored.base
        count = int(np.prod(self.shape, dtype=int))
        dim = None
        if kind.kind == "S":
            form = f"{count * kind.itemsize}A"
            if self.shape:
                dim = (kind.itemsize, *self.shape[::-1])
        else:
            letter = LETTERS[kind.newbyteorder("=").name]
            form = letter if not self.shape else f"{count}{letter}"
            if len(self.shape) > 1:
                dim = self.shape[::-1]
        return fits.Column(
            name=self.name,
            format=form,
            unit=self.unit or None,
            null=self.null,
            bzero=SIGN_BIT if self._is_unsigned else None,
            dim=None if dim is None else f"({','.join(map(str, dim))})",
            array=values if values is None or not self._is_unsigned else self.decode(values),
        )

    def encode(self, values: np.ndarray, count: int) -> np.ndarray:
        """Values as they are stored.

        Missing numbers become NaN or TNULL, missing text becomes empty.  Characters other than
        printable ASCII, which FITS cannot hold, are written as backslash escapes; blanks at the
        end of a text are not significant in FITS.

        Raises
        ------
        PredictionError
            If a value cannot be stored exactly as declared: wrong number of rows, an integer
            out of range, text too long, a missing integer in a column that is not nullable.
        """
        data = np.ma.getdata(values)
        # Either an array or the constant `nomask`, for which numpy has no type.
        mask: Any = np.ma.getmask(values)
        if data.shape != (count, *self.shape):
            raise PredictionError(
                f"The values of the column '{self.name}' have the wrong shape.",
                received=str(data.shape),
                allowed=str((count, *self.shape)),
            )
        kind = self.stored.base
        if kind.kind == "S":
            return self._encode_text(data, mask)
        if data.dtype.kind not in ("fiub" if kind.kind == "f" else "iub"):
            raise self._refused(f"values of type {data.dtype}")
        if self._is_unsigned:
            if np.any(mask):
                raise self._refused("missing values; declare it as int64 with nullable=True")
            if data.dtype.kind == "i" and data.size and data.min() < 0:
                raise self._refused(f"the integer {data.min()}")
            # FITS stores unsigned integers less 2^63, which inverts their sign bit.
            return (data.astype(np.uint64) ^ np.uint64(SIGN_BIT)).view(np.int64)
        if kind.kind in "iu":
            return self._encode_integers(data, mask)
        if data.dtype.kind in "iu":
            with np.errstate(invalid="ignore"):
                rounded = data.astype(kind).astype(data.dtype)
            if not np.array_equal(rounded, data):
                raise self._refused("integers that this type rounds")
        return data if mask is np.ma.nomask else np.where(mask, kind.type(np.nan), data)

    def _encode_integers(self, data: np.ndarray, mask: Any) -> np.ndarray:
        kind, null = self.stored.base, self.null
        declared = np.dtype(self.dtype)
        # Those of the declared type: values are cast to it when they are read.
        limits = (0, 1) if declared.kind == "b" else _get_limits(declared)
        present = data if mask is np.ma.nomask else data[~mask]
        if self._null_given:  # type: ignore[attr-defined]
            present = present[present != null]
        if present.size and data.dtype.kind != "b":
            low, high = int(present.min()), int(present.max())
            if low < limits[0] or high > limits[1]:
                raise self._refused(f"integers from {low} to {high}")
            if null is not None and null in (low, high) and not self._null_given:  # type: ignore[attr-defined]
                raise self._refused(f"the value {null}, which stands for a missing one")
        if mask is np.ma.nomask or not np.any(mask):
            return data
        if null is None:
            raise self._refused("missing values; declare it with nullable=True")
        return np.where(mask, np.array(null, dtype=kind), data.astype(kind))

    def _encode_text(self, data: np.ndarray, mask: Any) -> np.ndarray:
        if self.escaped:
            encoded = _escape(data.astype(str, copy=False))
        else:
            encoded = data if data.dtype.kind == "S" else ascii_text(data.astype(str, copy=False))
        width = self.stored.base.itemsize
        if encoded.dtype.itemsize > width and np.any(np.strings.str_len(encoded) > width):
            longest = encoded.flat[int(np.argmax(np.strings.str_len(encoded)))]
            raise self._refused(f"text longer than {width} characters: '{longest.decode()}'")
        return encoded if mask is np.ma.nomask else np.where(mask, b"", encoded)

    def decode(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Values of the declared type from what is stored; masked where they are missing.

        Parameters
        ----------
        raw : ndarray of shape (n, ...)
            Field of the table as it lies in the file, big-endian.
        """
        raw = raw.reshape(len(raw), *self.shape)
        if self._kind.kind == "S":  # type: ignore[attr-defined]
            return self._decode_text(raw)
        kind = np.dtype(self.dtype)
        if self._is_unsigned:
            return raw.astype(np.int64).view(np.uint64) ^ np.uint64(SIGN_BIT)
        if not self.nullable:
            return raw.astype(kind)
        missing = np.isnan(raw) if self.null is None else raw == self.null
        values = raw if self.null is None else np.where(missing, 0, raw)
        return np.ma.MaskedArray(values.astype(kind), mask=missing)

    def _decode_text(self, raw: NDArray[Any]) -> NDArray[Any]:
        texts = np.char.decode(raw, "ascii") if raw.dtype.itemsize else raw.astype(np.str_)
        missing = texts == ""
        if self.escaped:
            plain = [text.encode("ascii").decode("unicode_escape") for text in texts.flat]
            texts = np.array(plain, dtype=np.str_).reshape(texts.shape)
        return np.ma.MaskedArray(texts, mask=missing) if self.nullable else texts

    def _refused(self, received: str) -> PredictionError:
        return PredictionError(
            f"The column '{self.name}' cannot hold what was given.",
            received=received,
            allowed=f"{self.dtype}{' or missing' if self.nullable else ''}",
        )


def _get_limits(kind: np.dtype) -> tuple[int, int]:
    limits = np.iinfo(kind)
    return int(limits.min), int(limits.max)


def fits_name(name: str) -> str:
    """A column name that no FITS reader complains about.

    >>> fits_name("t01_smooth-or-features")
    't01_smooth_or_features'
    """
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def ascii_text(values: np.ndarray) -> np.ndarray:
    """Text as bytes of printable ASCII; anything else as backslash escapes.

    >>> ascii_text(np.array(["Sersic", "Sérsic"])).tolist()
    [b'Sersic', b'S\\\\xe9rsic']
    """
    if not values.size or values.dtype.itemsize == 0:
        return values.astype("S1")
    codes = np.ascontiguousarray(values).reshape(-1).view(np.uint32).reshape(values.size, -1)
    blank = codes == 0
    inner = np.any(blank[:, :-1] & ~blank[:, 1:])
    if not inner and not np.any(((codes < 32) & ~blank) | (codes > 126)):
        return np.strings.encode(values, "ascii")
    escaped = [
        "".join(c if 32 <= ord(c) < 127 else c.encode("unicode_escape").decode() for c in text)
        # An embedded zero would end the text for a FITS reader.
        for text in values.reshape(-1).tolist()
    ]
    return np.array(escaped, dtype="S").reshape(values.shape)


def _needs_escapes(texts: NDArray[np.str_], keep_blanks: bool) -> bool:
    """Whether some text is not printable ASCII, or ends in a blank that is to be kept."""
    encoded = ascii_text(texts)
    if np.any(np.strings.str_len(encoded) != np.strings.str_len(texts)):
        return True
    return keep_blanks and bool(np.any(np.strings.endswith(encoded, b" ")))


def _escape(texts: NDArray[np.str_]) -> NDArray[np.bytes_]:
    """Any text as printable ASCII, as in a Python string: no two texts become one."""
    escaped = []
    for text in texts.reshape(-1).tolist():
        inner = text.rstrip(" ")
        code = inner.encode("unicode_escape") + rb"\x20" * (len(text) - len(inner))
        escaped.append(code)
    return np.array(escaped, dtype="S").reshape(texts.shape) if escaped else texts.astype("S1")


def _find_unused(values: NDArray[np.integer], kind: np.dtype) -> int:
    """An integer that is not among the values: the smallest of the type, else one beside it."""
    null = 255 if kind.kind == "u" else int(np.iinfo(kind).min)
    if not np.any(values == null):
        return null
    if kind.itemsize < 8:
        return int(np.iinfo(kind).min) - 1
    while np.any(values == null):
        null += 1
    return null
