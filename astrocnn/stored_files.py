"""Files read without trust: JSON by a schema, TOML, arrays, and FITS checksums.

Any bytes give a value of the right types or one `AstrocnnError`.  Nothing in a file is executed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from astrocnn.errors import AstrocnnError, ConfigError, ModelError
from astrocnn.fits_file import read_bytes

__all__ = [
    "Stored",
    "compute_array_digest",
    "compute_file_sum",
    "compute_sum",
    "has_valid_sum",
    "parse_json",
    "read_arrays",
    "read_json",
    "read_toml",
    "validate",
]

BLOCK = 2880 * 2048
MINUS_ZERO = 0xFFFFFFFF
_SHOWN = 5
_LONGEST = 200


class Stored(BaseModel):
    """A table of a JSON file: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def read_json(
    path: str | os.PathLike[str],
    schema: Any,
    error: type[AstrocnnError] = ModelError,
    hint: str | None = None,
) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path : path-like
        A regular file.
    schema : type
        A `Stored`, a dataclass, or another type that pydantic knows.
    error : type
        What is raised.
    hint : str, optional
        What to try then.

    Returns
    -------
    object
        Of the type `schema`.

    Raises
    ------
    AstrocnnError
        If the file is missing, or does not hold what it should.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise FileNotFoundError("there is no such file")
        data = path.read_bytes()
    except OSError as bad:
        raise error(f"'{path}' cannot be read.", received=_cut(str(bad)), hint=hint) from bad
    return parse_json(data, schema, f"'{path}'", error, hint)


def parse_json(
    data: str | bytes,
    schema: Any,
    where: str,
    error: type[AstrocnnError] = ModelError,
    hint: str | None = None,
) -> Any:
    """Check JSON text by a schema; see `validate`."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as bad:
        raise error(f"{where} cannot be read.", received=_cut(str(bad)), hint=hint) from bad
    return validate(content, schema, where, error, hint)


def validate(
    content: Any,
    schema: Any,
    where: str,
    error: type[AstrocnnError] = ModelError,
    hint: str | None = None,
) -> Any:
    """Check plain values by a schema, as `read_json` does.

    Parameters
    ----------
    content : object
        What JSON can hold; arrays where the schema has them.
    schema, error, hint
        See `read_json`.
    where : str
        What they are, in an error.
    """
    try:
        return _adapter(schema).validate_python(content)
    except ValidationError as bad:
        mistakes = bad.errors(include_url=False)
        lines = [_format(mistake) for mistake in mistakes[:_SHOWN]]
        more = [f"and {len(mistakes) - _SHOWN} more"] if len(mistakes) > _SHOWN else []
        raise error(
            f"{where} cannot be read.", received="; ".join(lines + more), hint=hint
        ) from bad
    except PydanticUserError:
        # A class of the user may have annotations that only its own module understands.
        try:
            return schema(**content)
        except Exception as bad:
            raise error(f"{where} cannot be read.", received=_cut(str(bad)), hint=hint) from bad


def read_arrays(
    file: str | os.PathLike[str] | bytes, error: type[AstrocnnError], hint: str | None = None
) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` file, or of its bytes.

    `numpy.savez` does not compress, so what would grow while it is read is refused.

    Raises
    ------
    AstrocnnError
        If the file is missing or damaged, or holds Python objects.
    """
    try:
        with io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as stream:
            length = stream.seek(0, os.SEEK_END)
            with zipfile.ZipFile(stream) as members:
                if sum(member.file_size for member in members.infolist()) > length:
                    raise ValueError("compressed arrays")
            with np.load(stream, allow_pickle=False) as stored:
                return {key: stored[key] for key in stored.files}
    except Exception as bad:  # damaged bytes raise errors of many kinds
        where = "The stored arrays" if isinstance(file, bytes) else f"'{file}'"
        raise error(f"{where} cannot be read.", received=_cut(str(bad)), hint=hint) from bad


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the TOML file of a user.

    Raises
    ------
    ConfigError
        If it cannot be read, or is not TOML.
    """
    try:
        # Editors of some systems begin a file with a byte order mark.
        return tomllib.loads(read_bytes(path).decode("utf-8-sig"))
    except AstrocnnError as error:
        raise ConfigError(f"{path} cannot be read: {error.what}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}.") from error


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    if is_dataclass(schema):
        # A dataclass of the standard library has no other way to say how it is validated.
        setattr(schema, "__pydantic_config__", Stored.model_config)  # noqa: B010
    return TypeAdapter(schema)


def _format(mistake: Any) -> str:
    place = ".".join(map(str, mistake["loc"]))
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        message = "this version does not know it"
    elif mistake["type"] not in ("missing", "value_error"):
        message += f" (received {_cut(repr(mistake['input']))})"
    return f"{place}: {message}" if place else message


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def compute_array_digest(arrays: Iterable[NDArray[Any]], about: str = "") -> str:
    """SHA-256 over a text, and over the types, shapes and contents of arrays, hexadecimal."""
    total = hashlib.sha256(about.encode())
    for array in arrays:
        array = np.ascontiguousarray(array)
        total.update(f"{array.dtype.str}{array.shape}".encode())
        # Text has no buffer that can be hashed, and a view of bytes needs no copy.
        total.update(array.view(np.uint8).data if array.size else b"")
    return total.hexdigest()


def has_valid_sum(path: str | os.PathLike[str]) -> bool:
    """Whether a FITS file with checksums in all its HDUs still matches them.

    The sums of all HDUs are minus zero, so that of the whole file is as well: any flipped bit
    shows without a look at the headers.
    """
    size = os.path.getsize(path)
    if size == 0 or size % 2880:
        return False
    with open(path, "rb") as stream:
        return compute_file_sum(stream, 0, size) == MINUS_ZERO


def compute_file_sum(stream: BinaryIO, start: int, length: int) -> int:
    """Sum of a byte range of a file, reading one block at a time."""
    total = 0
    stream.seek(start)
    while length:
        block = stream.read(min(BLOCK, length))
        if not block:
            raise EOFError(f"the file ends {length} bytes early")
        total = compute_sum(block, total)
        length -= len(block)
    return total


def compute_sum(data: bytes, total: int = 0) -> int:
    """Ones' complement sum of big-endian 32-bit words; the length is a multiple of 4.

    Parameters
    ----------
    data : bytes
    total : int
        Sum of what comes before.

    References
    ----------
    FITS Standard 4.0, appendix J.
    """
    total += int(np.frombuffer(data, dtype=">u4").sum(dtype=np.uint64))
    while total >> 32:  # end-around carry
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total
