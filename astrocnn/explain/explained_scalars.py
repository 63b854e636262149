"""The chapter of a report on what a network looks at that takes scalars and no image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from astropy.units import Unit
from numpy.typing import NDArray

from astrocnn.explain import figures
from astrocnn.explain.explained import FEW, Explanations, Looked, Scalars, method_name
from astrocnn.explain.explained_shares import share_pictures
from astrocnn.report.page import Chapter, Picture, Table

__all__ = ["chapter_on_scalars"]

_BARS, _SPECTRA, _SHEETS = 45, 3, 4
"""Bars of a method and spectra on a sheet, and sheets."""

_LINES = 10
"""Scalars up to which the share of each is drawn along a column."""

_MEANINGS = {
    "integrated_gradients": "What each input adds, compared with its mean in the training set. All "
    "inputs together make up the difference of the two numbers.",
    "occlusion": "What the number loses when the input, of a spectrum together with its neighbors, "
    "is set to its mean in the training set.",
    "saliency": "The gradient: by how much the number rises when the input rises, per standard "
    "deviation of the input in the training set.",
    "smooth_grad": "The gradient per standard deviation of the input, averaged over copies of the "
    "inputs with a little noise added.",
}


def chapter_on_scalars(found: Explanations, scalars: Scalars) -> Chapter:
    """Bars or spectra of single objects, and all objects together.

    Parameters
    ----------
    found : Explanations
        Something was looked at.
    scalars : Scalars
        Of its objects.
    """
    few = len(scalars.names) <= FEW
    text = [
        "How much each input spoke for a number of the answer, compared with the mean object, of "
        "which each input is the mean of the training set. Red spoke for more, blue for less.",
        "Inputs that tell the same, as neighbors in a spectrum or a magnitude and a color made of "
        "it do, share what they say in one of many ways: their sum is surer than each.",
    ]
    methods = dict.fromkeys(method for one in found.looked for method in one.maps)
    rows = [[method_name(m), _MEANINGS[m]] for m in methods if m in _MEANINGS]
    tables = [Table(["Method", "What it says of an input"], rows)] if rows else []
    pictures = []
    for one in found.looked:
        added = {
            _said(m): np.asarray(values, float).reshape(len(one.labels), -1)
            for m, values in one.maps.items()
        }
        if added:
            pictures += (_few if few else _many)(one, scalars, added)
    return Chapter("What the network looks at", text, pictures, tables)


def _few(one: Looked, scalars: Scalars, added: dict[str, NDArray[Any]]) -> list[Picture]:
    pictures = []
    first = next(iter(added))
    if first == "integrated gradients":
        figure = figures.input_summary(
            added[first], scalars.standardized, names=_minus(scalars.names), output=one.output
        )
        caption = (
            f"{one.output}: what each input adds, by integrated gradients, to that of the mean "
            f"object. Left, the mean of its absolute value over {len(one.labels)} objects; right, "
            "each object, colored by the value of the input."
        )
        pictures.append(Picture(figure, caption))
    lines = one if len(scalars.names) <= _LINES else replace(one, along=None)
    pictures += share_pictures(lines, _minus(scalars.names), "on each input")
    words = np.array(
        [
            [_value(*told) for told in zip(scalars.names, row, scalars.units, strict=True)]
            for row in scalars.values
        ]
    )
    step = max(1, _BARS // len(scalars.names))
    for part in _sheets(one.labels, min(step, 6)):
        figure = figures.input_bars(
            {method: values[part] for method, values in added.items()},
            names=words[part],
            labels=_lines(one.labels[part]),
            foot=one.output,
        )
        pictures.append(_sheet(one, part, figure, "what each method says of each input."))
    return pictures


def _many(one: Looked, scalars: Scalars, added: dict[str, NDArray[Any]]) -> list[Picture]:
    how: dict[str, Any] = {"names": scalars.names, "ylabel": _axis(set(scalars.units))}
    figure = figures.spectrum_summary(scalars.values, added, **how)
    caption = (
        f"{one.output}: above, the median of the {len(one.labels)} objects with the range from "
        "16 % to 84 % of them; below, the part of the absolute attribution that falls on each "
        "input, its mean over the objects."
    )
    pictures = [Picture(figure, caption)]
    for part in _sheets(one.labels, _SPECTRA):
        figure = figures.spectra(
            scalars.values[part],
            {method: values[part] for method, values in added.items()},
            labels=_lines(one.labels[part]),
            foot=one.output,
            **how,
        )
        said = (
            f"each object on the colors of {next(iter(added))}, and below it all methods, divided "
            "by the number in the legend."
        )
        pictures.append(_sheet(one, part, figure, said))
    return pictures


def _sheets(labels: Sequence[str], step: int) -> list[slice]:
    count = min(len(labels), step * _SHEETS)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _sheet(one: Looked, part: slice, figure: Any, said: str) -> Picture:
    caption = f"{one.output}: {said}"
    seen = "; ".join(_lines(one.labels[part]))
    return Picture(figure, caption, f"{caption} {seen}")


def _lines(labels: Sequence[str]) -> list[str]:
    return [label.replace("\n", ", ") for label in labels]


def _axis(units: set[str]) -> str:
    """Words for values of one unit, or of none."""
    (unit,) = units if len(units) == 1 else ("",)
    try:
        drawn = Unit(unit).to_string("latex_inline").replace(r"$1 \times ", "$")
    except ValueError:
        drawn = unit
    return f"value [{drawn}]" if unit else "value"


def _value(name: str, value: float, unit: str) -> str:
    return _minus([f"{name} = {value:.4g} {unit}".rstrip()])[0]


def _minus(names: Sequence[str]) -> list[str]:
    """A difference with the sign that is as wide as a plus."""
    return [name.replace(" - ", " \u2212 ").replace("= -", "= \u2212") for name in names]


def _said(method: str) -> str:
    """A method, and what its numbers are counted in if not in those of the answer."""
    gradient = method in ("saliency", "smooth_grad")
    return method_name(method) + (", per $\\sigma$" if gradient else "")
