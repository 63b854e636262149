"""One column of a table of predictions: its declaration, and its values as FITS stores them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from astrocnn.errors import PredictionError

__all__ = ["Column", "ascii_text", "fits_name"]

LETTERS = {"uint8": "B", "int16": "I", "int32": "J", "int64": "K", "float32": "E", "float64": "D"}


@dataclass(frozen=True)
class Column:
    """A column of a FITS table.

    Parameters
    ----------
    name : str
        TTYPE; every character that is not a letter, a digit or ``_`` becomes ``_``.
    dtype : str
        ``int16``, ``int32``, ``int64``, ``float32``, ``float64``, ``uint8``, ``bool`` (stored
        as 0 and 1, because the logical type of FITS loses its missing values in many readers),
        or ``U16`` for text of at most 16 characters; short forms such as ``f4`` do as well.
    unit : str
        FITS unit, empty when there is none.
    ucd : str
        IVOA Unified Content Descriptor, checked against the controlled vocabulary.
    description : str
        One sentence for the reader of the table.
    shape : tuple of int
        Shape of the value in one row; ``()`` for a scalar.
    nullable : bool
        Whether an integer column may hold missing values: then the smallest integer of its type
        (255 for uint8) stands for them, and cannot be a value.

    Raises
    ------
    PredictionError
        If the type cannot be stored or the UCD is not valid.
    """

    name: str
    dtype: str
    unit: str = ""
    ucd: str = ""
    description: str = ""
    shape: tuple[int, ...] = ()
    nullable: bool = False

    def __post_init__(self) -> None:
        from astropy.io.votable.ucd import check_ucd

        object.__setattr__(self, "name", fits_name(self.name))
        if self.ucd and not check_ucd(self.ucd, check_controlled_vocabulary=True):
            raise PredictionError(
                f"The column '{self.name}' has an invalid UCD.",
                received=self.ucd,
                allowed="words of the IVOA UCD1+ vocabulary, primary word first",
            )
        try:
            kind = np.dtype(self.dtype)
        except TypeError:
            kind = np.dtype(object)
        if kind.kind == "b":
            kind = np.dtype(np.uint8)
        if kind.name not in LETTERS and kind.kind not in "US":
            raise PredictionError(
                f"The column '{self.name}' has a type a FITS table does not hold.",
                received=self.dtype,
                allowed=[*LETTERS, "bool", "U<length>"],
            )
        if kind.kind in "US":
            length = kind.itemsize // (4 if kind.kind == "U" else 1)
            kind = np.dtype(f"S{max(1, length)}")
        object.__setattr__(self, "_kind", kind)

    @classmethod
    def like(cls, name: str, column: np.ndarray, ucd: str = "") -> Column:
        """The declaration under which the values of a catalogue's column come out unchanged."""
        values = np.ma.getdata(column)
        kind = values.dtype
        text = kind.name
        if kind.kind == "u" and kind.itemsize > 1:
            text = f"int{min(64, 16 * kind.itemsize)}"
        elif kind == np.int8:
            text = "int16"
        elif kind.kind in "USO":
            text = f"U{max(1, ascii_text(values.astype(str)).dtype.itemsize)}"
        elif kind == np.float16:
            text = "float32"
        unit = getattr(column, "unit", None)
        return cls(
            name,
            text,
            unit="" if unit is None else str(unit),
            ucd=ucd,
            description=getattr(column, "description", None) or "",
            shape=tuple(values.shape[1:]),
            nullable=kind.kind in "iub" and isinstance(column, np.ma.MaskedArray),
        )

    @property
    def stored(self) -> np.dtype:
        """The type of one row in the file: big-endian, with the shape of the value."""
        kind: np.dtype = self._kind.newbyteorder(">")  # type: ignore[attr-defined]
        return np.dtype((kind, self.shape)) if self.shape else kind

    @property
    def null(self) -> int | None:
        """The integer that stands for a missing value, or None."""
        kind = self.stored.base
        if not self.nullable or kind.kind not in "iu":
            return None
        return 255 if kind.kind == "u" else int(np.iinfo(kind).min)

    def fits_column(self) -> fits.Column:
        """The astropy definition, from which the header is made."""
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
            dim=None if dim is None else f"({','.join(map(str, dim))})",
        )

    def encode(self, values: np.ndarray, count: int) -> np.ndarray:
        """Values as they are stored.

        Missing numbers become NaN or TNULL, missing text becomes empty.  Text that is not
        printable ASCII, which FITS cannot hold, is written with backslash escapes; blanks at its
        end are not significant in FITS.

        Raises
        ------
        PredictionError
            If a value cannot be stored exactly as declared: wrong number of rows, an integer
            out of range, text too long, a missing integer in a column that is not nullable.
        """
        data, mask = np.ma.getdata(values), np.ma.getmask(values)
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
        if kind.kind in "iu":
            return self._encode_integers(data, mask)
        if data.dtype.kind in "iu" and not np.array_equal(
            data.astype(kind).astype(data.dtype), data
        ):
            raise self._refused("integers that this type rounds")
        return data if mask is np.ma.nomask else np.where(mask, kind.type(np.nan), data)

    def _encode_integers(self, data: np.ndarray, mask: np.ndarray) -> np.ndarray:
        kind, null = self.stored.base, self.null
        limits = np.iinfo(kind)
        known = data if mask is np.ma.nomask else data[~mask]
        if known.size and data.dtype.kind != "b":
            low, high = int(known.min()), int(known.max())
            if low < limits.min or high > limits.max:
                raise self._refused(f"integers from {low} to {high}")
            if null is not None and null in (low, high):
                raise self._refused(f"the value {null}, which stands for a missing one")
        if mask is np.ma.nomask or not np.any(mask):
            return data
        if null is None:
            raise self._refused("missing values; declare it with nullable=True")
        return np.where(mask, np.array(null, dtype=kind), data.astype(kind))

    def _encode_text(self, data: np.ndarray, mask: np.ndarray) -> np.ndarray:
        encoded = data if data.dtype.kind == "S" else ascii_text(data.astype(str, copy=False))
        width = self.stored.base.itemsize
        if encoded.dtype.itemsize > width and np.any(np.strings.str_len(encoded) > width):
            longest = encoded.flat[int(np.argmax(np.strings.str_len(encoded)))]
            raise self._refused(f"text longer than {width} characters: '{longest.decode()}'")
        return encoded if mask is np.ma.nomask else np.where(mask, b"", encoded)

    def _refused(self, received: str) -> PredictionError:
        return PredictionError(
            f"The column '{self.name}' cannot hold what was given.",
            received=received,
            allowed=f"{self.dtype}{' or missing' if self.nullable else ''}",
        )


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
