"""Labels as catalogues hold them, turned into numbers."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import AstrocnnWarning, CatalogError, ConfigError
from astrocnn.targets.families._labels import as_text

__all__ = ["as_numbers", "check_range", "encode_numbers", "tally_ranges"]

_TALLY_RANGES = 5


def as_numbers(values: Any, missing: Any = None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Labels of any type as numbers, and where there is none.

    Numbers, text that spells a number, objects and masked arrays are taken.  None, NaN, masked
    and empty labels are missing; infinite ones are not.

    Parameters
    ----------
    values : array_like of shape (n,)
        Labels.
    missing : array_like of bool of shape (n,), optional
        True where there is no label.

    Returns
    -------
    numbers : ndarray of shape (n,)
        NaN where there is no label.
    missing : ndarray of bool of shape (n,)

    Raises
    ------
    CatalogError
        If a label is not a number.
    """
    masked = isinstance(values, np.ma.MaskedArray)
    data = np.asarray(np.ma.getdata(values) if masked else values)
    if data.dtype.kind not in "iuf" or data.ndim != 1:
        text, none = as_text(values, missing)
        return _spelled(text, none), none
    none = np.isnan(data) if data.dtype.kind == "f" else np.zeros(len(data), bool)
    if masked:
        none |= np.ma.getmaskarray(values)
    if missing is not None:
        if np.shape(missing) != data.shape:
            raise CatalogError(
                "The mask of missing labels has another length than the labels.",
                received=f"{np.shape(missing)} for {data.shape} labels",
            )
        none |= np.asarray(missing, bool)
    return np.where(none, np.nan, data.astype(np.float64)), none


def _spelled(text: NDArray[np.str_], none: NDArray[np.bool_]) -> NDArray[np.float64]:
    words, inverse = np.unique(text, return_inverse=True)
    numbers = np.array([_number(str(word)) for word in words], np.float64)
    values = numbers[inverse] if len(text) else np.zeros(0)
    bad = np.isnan(values) & ~none
    if bad.any():
        raise CatalogError(
            f"{int(bad.sum())} labels of a quantity are not numbers.",
            received=[f"'{word}'" for word in np.unique(text[bad])],
            allowed="numbers, or nothing for no label",
            hint='map the value to a number, or to "" for "no label"',
        )
    return np.where(none, np.nan, values)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def encode_numbers(
    values: Any, missing: Any, low: float, high: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Labels as (n, 1) numbers between `low` and `high`, and the weight of each.

    A label outside the range, or infinite, has weight 0 and is counted in one warning.

    Raises
    ------
    CatalogError
        If a label is not a number.

    Warns
    -----
    AstrocnnWarning
        If a label lies outside the range.
    """
    numbers, none = as_numbers(values, missing)
    # As float32, in which the label is trained: 0.4 of a float32 column lies above 0.4.
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    outside = ~none & ~((single >= np.float32(low)) & (single <= np.float32(high)))
    if outside.any():
        seen = np.unique(numbers[outside])
        shown = ", ".join(f"{value:g}" for value in seen[:3])
        warnings.warn(
            f"{int(outside.sum())} of {int((~none).sum())} labels lie outside the range "
            f"{low:g} to {high:g} (for instance {shown}) and count as no label.",
            AstrocnnWarning,
            stacklevel=3,
        )
    weight = ~none & ~outside
    encoded = np.where(weight, single, np.float32(0.5 * (low + high)))
    return encoded[:, None], weight.astype(np.float32)


def check_range(low: float, high: float) -> None:
    """Refuse a range that is none.

    Raises
    ------
    ConfigError
        If `low` is not below `high`, or one of them is not a finite number.
    """
    numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (low, high))
    if not (numeric and math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(
            "The range of a quantity is two finite numbers, the lower one first.",
            received=f"{low!r} to {high!r}",
            hint="range = [0.0, 0.4]",
        )


def tally_ranges(
    values: NDArray[np.floating], weight: NDArray[np.floating], low: float, high: float
) -> dict[str, int]:
    """How many labelled objects lie in each of five equal parts of the range."""
    edges = np.linspace(low, high, _TALLY_RANGES + 1)
    inside = np.clip(np.asarray(values, np.float64)[np.asarray(weight) > 0], low, high)
    counts, _ = np.histogram(inside, edges)
    names = (f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges))
    return {name: int(count) for name, count in zip(names, counts, strict=True)}
