"""Before and after a calibration: what validation objects say of it, as a chapter of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.evaluation.figures import plot_pit_histogram, plot_reliability
from astrocnn.report.labels import name_of
from astrocnn.report.page import Chapter, Picture, Table
from astrocnn.targets import ClassFamily, Family, QuantityFamily

__all__ = ["calibration_chapter", "judged"]

_RELIABILITY = (
    "How often the chosen class is right, against its probability, before and after the "
    "temperature. Points on the diagonal mean what they say; bars are 95 % intervals."
)
_PIT = (
    "The probability forecast below the true value, before and after the remap. Flat means that "
    "densities mean what they say; the gray bands hold what chance alone gives."
)


def judged(family: Family, encoded: Any, samples: Any) -> NDArray[np.float64]:
    """What a figure of calibration is drawn from.

    Parameters
    ----------
    family : Family
        Of classes or of a number.
    encoded : ndarray of shape (n, k)
        Labels as `Target.encode` gives them.
    samples : ndarray of shape (n_draws, n, units)
        Activated samples.

    Returns
    -------
    ndarray of shape (2, n) or (1, n)
        The probability of the most probable class and whether it is right; or the PIT.
    """
    if isinstance(family, QuantityFamily):
        values = family.to_values(encoded)
        return np.mean(family.cumulative(samples, values), axis=0)[None]
    assert isinstance(family, ClassFamily)
    p = np.mean(np.asarray(family.to_probabilities(samples), np.float64), axis=0)
    right = p.argmax(axis=1) == np.asarray(family.to_truth(encoded)).argmax(axis=1)
    return np.stack([p.max(axis=1) / p.sum(axis=1), right])


def calibration_chapter(
    table: Sequence[Mapping[str, Any]],
    judged: Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]],
    sentence: str = "",
) -> Chapter:
    """Scores and figures before and after a calibration.

    Parameters
    ----------
    table : sequence of mapping
        As `astrocnn.calibration.Calibration.table`.
    judged : mapping of str to pair of ndarray
        By target, what `judged` gives before and after, of the same objects.
    sentence : str
        What else was chosen on these objects, a selection for instance.
    """
    text = [
        "Fitted on one half of the validation split and judged on the other; for predictions it is "
        "fitted on both. The test split had no part in it."
    ]
    if sentence:
        text.append(f"{sentence[0].upper()}{sentence[1:]}.")
    rows = []
    for row in table:
        numbers = (row.get(key) for key in ("before", "after", "chance"))
        cells = ["" if value is None else f"{value:.4g}" for value in numbers]
        rows.append([f"{row['target']}: {name_of(row['score'])}", *cells])
    pictures = []
    for name, (before, after) in judged.items():
        if len(before) == 2:
            figure = plot_reliability({"before": tuple(before), "after": tuple(after)})
            pictures.append(Picture(figure, f"{name}: {_RELIABILITY}", f"Reliability of {name}"))
        else:
            figure = plot_pit_histogram({"before": before[0], "after": after[0]})
            pictures.append(Picture(figure, f"{name}: {_PIT}", f"PIT of {name}"))
    columns = ("Score", "before", "after", "by chance alone")
    tables = [Table(columns, rows, "Validation objects", True)] if rows else []
    return Chapter("Calibration", text, pictures, tables)
