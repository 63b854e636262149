"""Checks of the inputs and labels: range, contradictions, class balance, leakage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["Finding", "check_balance", "check_contradictions", "check_inputs", "check_leakage"]

_OFF_CENTER = 3.0
_SPREAD = (0.05, 20.0)
_UNEVEN = 20


@dataclass(frozen=True)
class Finding:
    """Result of one check: what was measured, and, if it failed, what to do about it."""

    check: str
    passed: bool
    message: str


def check_inputs(x: Mapping[str, Any]) -> Finding:
    """Mean and standard deviation of each channel after normalization: near 0 and 1.

    `x` holds the inputs of one batch by name, of shape (n, ..., channels).
    """
    lines, passed = [], True
    for name, values in x.items():
        # float32 sums over a batch of pixels lose the digits of a small mean.
        table = np.asarray(values, np.float64)
        table = table.reshape(-1, table.shape[-1])
        mean, std = table.mean(axis=0), table.std(axis=0)
        passed &= bool(np.isfinite(mean).all() and (np.abs(mean) < _OFF_CENTER).all())
        passed &= bool(((std > _SPREAD[0]) & (std < _SPREAD[1])).all())
        statistics = ", ".join(f"{m:.2f} +- {s:.2f}" for m, s in zip(mean, std, strict=True))
        lines.append(f"{name}: {statistics}")
    if not passed:
        lines.append(
            "a channel is far from 0 +- 1 or constant: look at the stretch (inputs.stretch) and at "
            "'astrocnn show'"
        )
    return Finding("inputs", passed, "\n".join(lines))


def check_contradictions(
    content: NDArray[np.str_], encoded: NDArray[np.floating], weight: NDArray[np.floating]
) -> Finding:
    """Byte-identical images with different labels.

    Parameters
    ----------
    content : ndarray of str, shape (n,)
        Hash of each object's pixels; an empty text is unknown.
    encoded : ndarray of shape (n, k)
        Labels.
    weight : ndarray of shape (n,)
        0 where there is no label.
    """
    # Empty images have no hash, and would all count as one object.
    used = np.flatnonzero((weight > 0) & (content != ""))
    _, group, count = np.unique(content[used], return_inverse=True, return_counts=True)
    # Rows of labels as numbers, so that any family can be compared.
    label = np.unique(encoded[used], axis=0, return_inverse=True)[1].reshape(-1)
    pairs = np.unique(np.stack([group, label], axis=1), axis=0)[:, 0] if len(used) else group
    bad = int((np.bincount(pairs) > 1).sum())
    message = f"{int((count > 1).sum())} images occur more than once, {bad} with different labels"
    if bad:
        message += ": remove the wrong label, or all of them"
    return Finding("contradictions", not bad, message)


def check_balance(tally: Mapping[str, int]) -> Finding:
    """Compare the largest and the smallest class, or range of a number, of labelled objects."""
    message = ", ".join(f"{name} {n}" for name, n in tally.items())
    smallest, largest = min(tally.values()), max(tally.values())
    if not smallest:
        message += (
            f"; nothing is {next(k for k, n in tally.items() if not n)}: leave it out, or add"
        )
    elif largest > _UNEVEN * smallest:
        message += f"; 1 : {largest / smallest:.0f}: set training.class_weights = true for classes"
    return Finding("balance", smallest * _UNEVEN >= largest > 0, message)


def check_leakage(
    split: NDArray[np.integer],
    content: NDArray[np.str_],
    ra: NDArray[np.floating] | None = None,
    dec: NDArray[np.floating] | None = None,
    radius: float = 1.0,
) -> Finding:
    """The same object in two splits, by its pixels or by its place.

    Parameters
    ----------
    split : ndarray of int, shape (n,)
        Split of each object.
    content : ndarray of str, shape (n,)
        Hash of its pixels; an empty text is unknown.
    ra, dec : ndarray of shape (n,), optional
        ICRS [deg].
    radius : float
        Nearer than this is the same place [arcsec].
    """
    has_pixels = content != ""
    pairs = np.unique(
        np.stack(
            [np.unique(content[has_pixels], return_inverse=True)[1], split[has_pixels]], axis=1
        ),
        axis=0,
    )
    # A content that stands in one pair only is in one split, however often.
    repeated = int((np.bincount(pairs[:, 0], minlength=1) > 1).sum())
    message = [f"{repeated} images in more than one split"]
    near = 0
    if ra is not None and dec is not None:
        near = _neighbors(split, np.asarray(ra, float), np.asarray(dec, float), radius)
        message.append(f"{near} pairs within {radius:g} arcsec in different splits")
    if repeated or near:
        message.append("remove the duplicates, or set split.by = 'sky'")
    return Finding("leakage", not (repeated or near), "; ".join(message))


def _neighbors(
    split: NDArray[np.integer], ra: NDArray[np.floating], dec: NDArray[np.floating], radius: float
) -> int:
    finite = np.isfinite(ra) & np.isfinite(dec)
    a, d, split = np.radians(ra[finite]), np.radians(dec[finite]), split[finite]
    # Chords on the unit sphere: no special case at RA 0 or at the poles.
    places = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)
    chord = 2 * np.sin(np.radians(radius / 3600) / 2)
    pairs = cKDTree(places).query_pairs(chord, output_type="ndarray")
    return int((split[pairs[:, 0]] != split[pairs[:, 1]]).sum())
