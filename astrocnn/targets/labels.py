"""Labels as catalogues hold them, as text and as numbers; names of classes as names of columns."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrocnn import plugins
from astrocnn.errors import AstrocnnWarning, CatalogError, ConfigError

__all__ = [
    "as_numbers",
    "as_text",
    "column_name",
    "encode_numbers",
    "match_labels",
    "unknown_labels",
    "validate_distinct",
    "validate_names",
]


def as_text(
    values: ArrayLike, missing: ArrayLike | None = None
) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """Convert labels of any type to text, and find those that are missing.

    Labels are text, bytes, numbers, booleans, or a mixture as objects.  Whole numbers lose their
    decimals (``2.0`` becomes ``"2"``), booleans become ``"true"`` and ``"false"``, white space
    around text is dropped.  None, NaN, masked and empty labels are missing.

    Returns
    -------
    text, missing : ndarray of shape (n,)
        Empty text, and True, where there is no label.

    Raises
    ------
    CatalogError
        If there is not one value per object.
    """
    data = np.asarray(np.ma.getdata(values))
    if data.ndim != 1:
        raise CatalogError(
            "Labels must be one value per object.",
            received=f"an array of shape {data.shape}",
            allowed="an array of shape (n,)",
        )
    none = _missing(values, data, missing)
    if data.dtype.kind == "O":
        # Objects of several types cannot be sorted: unify them as text first.
        data = np.array([_format(value) for value in data], dtype=str)
    unique, inverse = np.unique(data, return_inverse=True)
    if not len(data):
        return np.zeros(0, "U1"), none
    text = np.array([_format(value) for value in unique.tolist()], dtype=str)[inverse]
    none |= text == ""
    return np.where(none, "", text), none


def as_numbers(
    values: ArrayLike, missing: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Convert labels of any type to numbers, and find those that are missing.

    Numbers, text that spells a number, objects and masked arrays are accepted.  None, NaN, masked
    and empty labels are missing; infinite ones are not.

    Returns
    -------
    numbers, missing : ndarray of shape (n,)
        NaN, and True, where there is no label.

    Raises
    ------
    CatalogError
        If a label is not a number.
    """
    data = np.asarray(np.ma.getdata(values))
    if data.dtype.kind in "iuf" and data.ndim == 1:
        none = _missing(values, data, missing)
        return np.where(none, np.nan, data.astype(np.float64)), none
    text, none = as_text(values, missing)
    unique, inverse = np.unique(text, return_inverse=True)
    parsed = np.array([_parse_number(str(label)) for label in unique], np.float64)
    numbers = parsed[inverse] if len(text) else np.zeros(0)
    bad = np.isnan(numbers) & ~none
    if bad.any():
        raise CatalogError(
            f"{int(bad.sum())} labels of a quantity are not numbers.",
            received=[f"'{label}'" for label in np.unique(text[bad])],
            allowed="numbers, or an empty value for a missing label",
            hint='map the value to a number, or to "" for "no label"',
        )
    return np.where(none, np.nan, numbers), none


def encode_numbers(
    values: ArrayLike, missing: ArrayLike | None, low: float, high: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Encode labels as (n, 1) numbers between `low` and `high`, with the weight of each.

    A label outside the range, or infinite, has weight 0 and is counted in one `AstrocnnWarning`;
    one that is not a number raises `CatalogError`.
    """
    numbers, none = as_numbers(values, missing)
    # As float32, in which the label is trained: 0.4 of a float32 column lies above 0.4.
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    outside = ~none & ~((single >= np.float32(low)) & (single <= np.float32(high)))
    if outside.any():
        examples = ", ".join(f"{value:g}" for value in np.unique(numbers[outside])[:3])
        warnings.warn(
            f"{int(outside.sum())} of {int((~none).sum())} labels lie outside the range "
            f"{low:g} to {high:g} (for instance {examples}) and count as missing.",
            AstrocnnWarning,
            stacklevel=3,
        )
    weight = ~none & ~outside
    # The middle of the range keeps the loss finite; its weight is zero.
    encoded = np.where(weight, single, np.float32(0.5 * (low + high)))
    return encoded[:, None], weight.astype(np.float32)


def match_labels(text: NDArray[np.str_], known: tuple[str, ...]) -> NDArray[np.intp]:
    """Position of each label in `known`, or -1."""
    # A sorted search: a dictionary would loop over every object in Python.
    order = np.argsort(np.array(known))
    ordered = np.array(known)[order]
    place = np.clip(np.searchsorted(ordered, text), 0, len(ordered) - 1)
    return np.where(ordered[place] == text, order[place], -1)


def unknown_labels(
    text: NDArray[np.str_], unknown: NDArray[np.bool_], allowed: tuple[str, ...], hint: str
) -> CatalogError:
    """The error for labels that are not in a list: which, how often, and the nearest allowed."""
    labels, counts = np.unique(text[unknown], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    guesses = (plugins.nearest(str(labels[i]), allowed) for i in order[:20])
    guess = next((g for g in guesses if g), None)
    return CatalogError(
        f"{int(unknown.sum())} labels are not in the list of classes.",
        received=[
            f"'{labels[i]}' ({'once' if counts[i] == 1 else f'{counts[i]} times'})" for i in order
        ],
        allowed=allowed,
        hint=f"{guess}; or {hint}" if guess else hint,
    )


def validate_names(names: Iterable[str], kind: str) -> tuple[str, ...]:
    """Return the names of classes or answers (`kind`, in the messages) as a tuple.

    Raises
    ------
    ConfigError
        If it is not a list of at least two names, or a name cannot be that of a column.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigError(
            f"`{_plural(kind)}` must be a list of names.", received=names, hint="['a', 'b']"
        )
    names = tuple(names)
    for name in names:
        if not isinstance(name, str) or not name.strip() or name != name.strip():
            raise ConfigError(
                f"The name of each {kind} must be text without white space around it.",
                received=repr(name),
                hint='classes = ["star", "galaxy"], and a map for other values',
            )
        if not name.isascii() or not name.isprintable():
            raise ConfigError(
                f"The name of each {kind} must be printable ASCII, as FITS tables require.",
                received=name,
                hint=f'another name, and map = {{ "{name}" = "..." }}',
            )
    if len(names) < 2:
        raise ConfigError(f"`{_plural(kind)}` must hold at least 2 names.", received=names)
    return names


def validate_distinct(columns: Iterable[str], names: tuple[str, ...], kind: str) -> None:
    """Raise `ConfigError` for classes or answers whose columns are the same but for case."""
    lower = [column.lower() for column in columns]
    clash = sorted({s for s in lower if lower.count(s) > 1})
    if clash:
        raise ConfigError(
            f"Two {_plural(kind)} would have the same column in the table of predictions.",
            received=[f"{s} (from {_plural(kind)} {', '.join(names)})" for s in clash],
            hint=f"rename one of the {_plural(kind)}",
        )


def column_name(name: str) -> str:
    """The name with everything but letters, digits and underscores made an underscore."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _missing(
    values: ArrayLike, data: NDArray[np.generic], missing: ArrayLike | None
) -> NDArray[np.bool_]:
    none = np.zeros(len(data), bool) if missing is None else np.array(missing, bool)
    if none.shape != data.shape:
        raise CatalogError(
            "`missing` must have the length of the labels; it has another length.",
            received=f"{none.shape} for {data.shape} labels",
        )
    if isinstance(values, np.ma.MaskedArray):
        none |= np.ma.getmaskarray(values)
    if data.dtype.kind == "f":
        none |= np.isnan(data)
    return none


def _format(value: object) -> str:
    if value is None or value is np.ma.masked or value != value:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip()
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    try:
        return str(value).strip()
    except Exception:  # pragma: no cover - an object that cannot be shown is no label
        return ""


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _plural(kind: str) -> str:
    return "classes" if kind == "class" else f"{kind}s"
