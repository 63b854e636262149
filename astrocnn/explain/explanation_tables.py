"""What is known of maps as tables: numbers, the curves behind them, networks that forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocnn.column import fits_name
from astrocnn.explain.explanation_hdus import Card, Values, table_hdu

if TYPE_CHECKING:
    from astrocnn.explain.explanation_files import Diagnosed, Objects

__all__ = ["CURVES", "tables"]

AREAS = ("deletion", "insertion", "random_deletion", "random_insertion")
"""Curves of the check by deletion whose areas are in the table."""

CURVES = (*AREAS, "random_deletion_std", "random_insertion_std")
"""All of them, in the order of their columns."""


def tables(objects: Objects, diagnosed: Sequence[Diagnosed], files: Sequence[str]) -> list[Any]:
    """HDUs of ``diagnostics.fits``: DIAGNOSTICS and, where there are checks, what is behind it.

    Parameters
    ----------
    objects : Objects
        Which objects.
    diagnosed : sequence of Diagnosed
        One for each number explained.
    files : sequence of str
        Name of the file of each object.
    """
    found = [_diagnostics(objects, diagnosed, files), _curves(diagnosed), _randomization(diagnosed)]
    return [hdu for hdu in found if hdu is not None]


def _rows(diagnosed: Sequence[Diagnosed]) -> list[tuple[int, Diagnosed, str]]:
    """Part, what was diagnosed and method, in the order of the blocks of n rows of the tables."""
    return [(p, one, m) for p, one in enumerate(diagnosed, start=1) for m in one.looked.maps]


def _diagnostics(objects: Objects, diagnosed: Sequence[Diagnosed], files: Sequence[str]) -> Any:
    n, blocks = len(objects.ids), _rows(diagnosed)

    def each(values: Any) -> Any:
        return np.concatenate([np.asarray(values)] * len(blocks))

    def per(of: Any) -> Any:
        """A value for each object, or one for all, from part, what was diagnosed and method."""
        return np.concatenate([np.broadcast_to(np.asarray(of(*b)), (n,)) for b in blocks])

    def numbers(of: Any) -> Any:
        blank = np.full(n, np.nan)
        return np.concatenate([np.asarray(blank if (v := of(*b)) is None else v) for b in blocks])

    columns: dict[str, Values] = {"id": (each(objects.ids), "", "identifier")}
    if objects.ra is not None:
        columns["ra"] = (each(np.asarray(objects.ra, float)), "deg", "right ascension")
        columns["dec"] = (each(np.asarray(objects.dec, float)), "deg", "declination")
    columns |= {
        "row": (each(np.asarray(objects.rows, np.int64)), "", "row of the catalogue, from 0"),
        "file": (each(files), "", "file in the folder objects"),
        "part": (per(lambda p, one, m: np.int16(p)), "", "EXTVER of the map"),
        "target": (per(lambda p, one, m: one.target), "", "what is predicted"),
        "output": (per(lambda p, one, m: one.outputs), "", "the number that is explained"),
        "method": (per(lambda p, one, m: m), "", "how the map was made"),
        "score": (numbers(lambda p, one, m: one.scores), "", "value of the number"),
        "label": (per(lambda p, one, m: one.label), "", "label, empty where there is none"),
        "said": (per(lambda p, one, m: one.said), "", "prediction"),
        "residual": (
            numbers(lambda p, one, m: one.residuals.get(m)),
            "",
            "what attributions miss of the score",
        ),
    }
    for name in AREAS:
        order, _, kind = name.rpartition("_")
        said = f"mean output along the {kind}{' in random order' if order else ''}"
        columns[f"{name}_area"] = (
            numbers(lambda p, one, m, name=name: _area(one.looked.curves.get(m), name)),
            "",
            said,
        )
    columns["shift"] = (
        numbers(lambda p, one, m: one.looked.shifts.get(m)),
        "",
        "correlation with the map of the moved image",
    )
    columns["randomized"] = (
        numbers(lambda p, one, m: _last(one.looked.randomization.get(m))),
        "",
        "rank correlation with that of a random network",
    )
    for b, band in enumerate(objects.channels):
        columns[f"share_{fits_name(band)}"] = (
            numbers(lambda p, one, m, b=b: _share(one.looked.shares.get(m), b)),
            "",
            f"part of the attribution in {band}",
        )
    columns["along"] = (
        numbers(lambda p, one, m: None if one.looked.along is None else one.looked.along[1]),
        "",
        "predicted value, of quantities",
    )
    cards: list[Card] = []
    for p, one in enumerate(diagnosed, start=1):
        cards.append((f"OUTPUT{p}", one.looked.output, "what part explains"))
        if one.looked.along is not None:
            cards.append((f"ALONG{p}", one.looked.along[0], "what the column along holds"))
    return table_hdu("DIAGNOSTICS", columns, cards)


def _curves(diagnosed: Sequence[Diagnosed]) -> Any:
    """The curves behind the areas, in the order of the rows of the table; NaN without a check."""
    blocks = _rows(diagnosed)
    known = [c for _, one, m in blocks if (c := one.looked.curves.get(m)) is not None]
    if not known:
        return None
    n, steps = np.shape(known[0].deletion)
    blank = np.full((n, steps), np.nan)
    columns: dict[str, Values] = {}
    for name in CURVES:
        found = [one.looked.curves.get(m) for _, one, m in blocks]
        values = np.concatenate([blank if c is None else getattr(c, name) for c in found])
        columns[name] = (values.astype(np.float32), "", f"{name}, along fraction")
    fraction = np.repeat(np.asarray(known[0].fraction, np.float32)[None], n * len(blocks), axis=0)
    columns["fraction"] = (fraction, "", "part of the pixels gone or come")
    return table_hdu("CURVES", columns, comments=["Rows are those of DIAGNOSTICS."])


def _randomization(diagnosed: Sequence[Diagnosed]) -> Any:
    """Correlations with the maps of networks that forget; a row for each object and stage."""
    parts: list[tuple[int, str, str, int, int, float]] = []
    for p, one, method in _rows(diagnosed):
        forgot = one.looked.randomization.get(method)
        if forgot is None:
            continue
        for k, values in enumerate(np.asarray(forgot)):
            for s, (stage, value) in enumerate(zip(one.looked.stages, values, strict=True)):
                parts.append((p, method, stage, s, k, float(value)))
    if not parts:
        return None
    found = [np.array(column) for column in zip(*parts, strict=True)]
    columns: dict[str, Values] = {
        "part": (found[0].astype(np.int16), "", "as in DIAGNOSTICS"),
        "method": (found[1], "", "how the maps were made"),
        "stage": (found[2], "", "the layer from which on weights are random"),
        "step": (found[3].astype(np.int16), "", "place among the stages, from 0"),
        "object": (found[4].astype(np.int32), "", "place among the objects, from 0"),
        "correlation": (found[5].astype(np.float32), "", "rank correlation of absolute maps"),
    }
    return table_hdu("RANDOMIZATION", columns)


def _area(curves: Any, name: str) -> Any:
    if curves is None:
        return None
    return np.trapezoid(np.asarray(getattr(curves, name)), np.asarray(curves.fraction), axis=1)


def _last(values: Any) -> Any:
    return None if values is None else np.asarray(values)[:, -1]


def _share(values: Any, b: int) -> Any:
    return None if values is None else np.asarray(values)[:, b]
