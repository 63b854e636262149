"""Labels as catalogues hold them, turned into text."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.errors import CatalogError

__all__ = ["as_text", "match", "unknown_labels"]


def as_text(values: Any, missing: Any = None) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """Labels of any type as text, and where there is none.

    Whole numbers lose their decimals (``2.0`` becomes ``"2"``), booleans become ``"true"`` and
    ``"false"``, white space around text is dropped.  None, NaN, masked and empty labels are
    missing.

    Parameters
    ----------
    values : array_like of shape (n,)
        Text, bytes, numbers, booleans, or a mixture as objects.
    missing : array_like of bool of shape (n,), optional
        True where there is no label.

    Returns
    -------
    text : ndarray of str of shape (n,)
        Empty where there is no label.
    missing : ndarray of bool of shape (n,)
    """
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    array = np.asarray(np.ma.getdata(values) if mask is not None else values)
    if array.ndim != 1:
        raise CatalogError(
            "Labels must be one value per object.",
            received=f"an array of shape {array.shape}",
            allowed="an array of shape (n,)",
        )
    none = np.zeros(len(array), bool) if missing is None else np.array(missing, bool)
    if none.shape != array.shape:
        raise CatalogError(
            "The mask of missing labels has another length than the labels.",
            received=f"{none.shape} for {array.shape} labels",
        )
    if mask is not None:
        none |= mask
    if array.dtype.kind == "f":
        none |= np.isnan(array)
    if array.dtype.kind == "O":
        keys = np.array([_word(value) for value in array], dtype=str)
        unique, inverse = np.unique(keys, return_inverse=True)
        words = unique
    else:
        unique, inverse = np.unique(array, return_inverse=True)
        words = np.array([_word(value) for value in unique.tolist()], dtype=str)
    if not len(array):
        return np.zeros(0, "U1"), none
    text = words[inverse]
    none |= text == ""
    return np.where(none, "", text), none


def match(text: NDArray[np.str_], known: tuple[str, ...]) -> NDArray[np.intp]:
    """Position of each label in `known`, or -1."""
    order = np.argsort(np.array(known))
    ordered = np.array(known)[order]
    place = np.clip(np.searchsorted(ordered, text), 0, len(ordered) - 1)
    return np.where(ordered[place] == text, order[place], -1)


def unknown_labels(
    text: NDArray[np.str_], unknown: NDArray[np.bool_], allowed: tuple[str, ...], hint: str = ""
) -> CatalogError:
    """The error for labels that are not in the list: which, how often, what is near."""
    words, counts = np.unique(text[unknown], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    received = [
        f"'{words[i]}' ({'once' if counts[i] == 1 else f'{counts[i]} times'})" for i in order
    ]
    guesses = (plugins.nearest(str(words[i]), allowed) for i in order[:20])
    guess = next((g for g in guesses if g), None)
    hints = [part for part in (guess, hint) if part]
    return CatalogError(
        f"{int(unknown.sum())} labels are not in the list of classes.",
        received=received,
        allowed=allowed,
        hint="; or ".join(hints) or None,
    )


def _word(value: object) -> str:
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
