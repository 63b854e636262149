"""The chapters of a report on explanations: attribution, its checks, the network as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.units import Unit
from numpy.typing import NDArray

from astrocnn.explain import figures
from astrocnn.explain.attribution import MAX_NAMED_SCALARS, Attribution, Explanation, Scalars
from astrocnn.explain.checks import DeletionInsertion
from astrocnn.explain.checks.deletion import CURVES
from astrocnn.explain.methods import InspectionMethod, find_method, get_title
from astrocnn.report.page import Chapter, Picture, Table

__all__ = ["build_chapters"]

_OBJECTS, _MAX_FIGURES, _BY_BAND = 6, 4, 2
"""Objects on a sheet, sheets, and objects that are shown band by band."""
_BARS, _SPECTRA = 45, 3
"""Bars of a method, and spectra, on a sheet."""
_LINES = 10
"""Scalars up to which the fraction of each is plotted along a column."""
_ENOUGH = 24
"""Objects from which on fractions are also plotted along a column."""
_LITTLE = 0.1
"""Fraction of the differences between objects below which pixels hardly count."""
_BAND_NOTE = (
    " Integrated gradients measure the contribution of a band, gradients the sensitivity to it."
)

_CHECKS = {
    "Deletion": "{pixels} are {filled} in the order of the map, the most important first. Mean "
    "area between the curves of random orders and of this order, in units of the output, and the "
    "number of objects for which it is positive. Large for a good map.",
    "Insertion": "the same for {pixels} that are restored, beginning with {empty}.",
    "Random weights": "median rank correlation with the map under weight randomization (Adebayo "
    "et al. 2018), for a few objects. Far from 1 for a map that depends on the weights.",
    "Image shifted": "median correlation with the map of the image shifted by one pixel, after "
    "shifting it back. Near 1 for a stable map.",
    "Inside": "fraction of the attribution inside the region known to be the cause, the fraction "
    "expected for a uniform map, and how often the peak is inside.",
}
_IMAGE_TERMS = {
    "pixels": "pixels",
    "filled": "filled with sky noise",
    "empty": "empty sky",
    "image": "image",
}
_SCALAR_TERMS = {
    "pixels": "inputs",
    "filled": "set to their means in the training set",
    "empty": "the mean object",
    "image": "object",
}


def build_chapters(explanation: Explanation) -> list[Chapter]:
    """Build the chapters on attribution, its checks and the network; empty ones are left out."""
    chapters = [
        _build_attribution_chapter(explanation) if explanation.attributions else None,
        _build_checks_chapter(explanation),
        _build_inspection_chapter(explanation),
    ]
    return [chapter for chapter in chapters if chapter is not None]


def _build_attribution_chapter(explanation: Explanation) -> Chapter:
    scalars = explanation.objects.scalars
    if scalars is not None:
        text = [
            "Contribution of each input to the explained output, relative to a mean object, whose "
            "inputs are the means of the training set. Red raises the output, blue lowers it.",
            "The contribution of correlated inputs, such as neighbors in a spectrum or a magnitude "
            "and a color made from it, can be divided among them in many ways: their sum is better "
            "determined than each of them.",
        ]
        columns = ["Method", "Meaning of a value"]
    else:
        text = [
            "Maps of the contribution of each pixel to the explained output, summed over bands. "
            "Red raises the output, blue lowers it. The number below a map is the value of the "
            "full color: maps with small numbers contain little. The gray line is the isophote of "
            "the object at five times the sky noise; the line on the second image encloses half of "
            "the attribution of one method.",
            "Methods answer different questions, and a convincing map may still be wrong: see the "
            "checks below.",
            *filter(None, map(_format_pixel_effect, explanation.attributions)),
        ]
        columns = ["Method", "Meaning of a map"]
    methods = dict.fromkeys(name for one in explanation.attributions for name in one.maps)
    rows = [
        [get_title(name), meaning]
        for name in methods
        if (meaning := getattr(find_method(name), "scalars_meaning" if scalars else "meaning", ""))
    ]
    tables = [Table(columns, rows)] if rows else []
    pictures = []
    for one in explanation.attributions:
        if scalars is None:
            pictures += [*_plot_maps(explanation, one), *_plot_by_band(explanation, one)]
            fractions = next(iter(one.check("fractions").values()), np.empty((0, 0)))
            names = explanation.objects.channel_names(fractions.shape[-1])
            if len(names) > 1:
                pictures += _plot_fractions(one, names, "band", _BAND_NOTE)
        elif len(scalars.names) <= MAX_NAMED_SCALARS:
            pictures += _plot_inputs(one, scalars)
        else:
            pictures += _plot_spectra(one, scalars)
    return Chapter("Attribution", text, pictures, tables)


def _format_pixel_effect(one: Attribution) -> str:
    """Sentence on the change of the output by all pixels; empty if it was not measured."""
    curves = one.check("curves")
    if not curves:
        return ""
    curve = np.asarray(next(iter(curves.values())).deletion, float)
    full, empty = curve[:, 0], curve[:, -1]
    change, spread = float(np.median(np.abs(full - empty))), float(np.std(full))
    text = (
        f"Filling all pixels with sky noise changes the {one.label} by {change:.2g} in the median "
        f"over these objects; its median is {np.median(full):.3g} for the images and "
        f"{np.median(empty):.3g} for empty sky."
    )
    if change < _LITTLE * spread:
        text += (
            f" This is small compared with the differences between objects (standard deviation "
            f"{spread:.2g}): the network mostly uses inputs other than pixels, such as its "
            "scalars, and these maps show only the small remainder."
        )
    return text


def _plot_sheets(
    one: Attribution, step: int, plot: Callable[[slice], Any], text: str, *, raster: bool = False
) -> list[Picture]:
    """Figures of a few objects each, which the alternative text names."""
    caption = f"{one.label}: {text}"
    count = min(len(one.truths), step * _MAX_FIGURES)
    pictures = []
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        names = "; ".join(_get_names(one, part))
        pictures.append(Picture(plot(part), caption, f"{caption} {names}", raster=raster))
    return pictures


def _get_names(one: Attribution, part: slice) -> list[str]:
    """Captions of objects, in one line each."""
    return [caption.replace("\n", ", ") for caption in one.captions[part]]


def _plot_maps(explanation: Explanation, one: Attribution) -> list[Picture]:
    objects = explanation.objects
    if not one.maps:
        return []
    # Outline a map whose sum is the change of the output, if there is one.
    first = "integrated_gradients" if "integrated_gradients" in one.maps else next(iter(one.maps))

    def plot(part: slice) -> Any:
        return figures.plot_attribution(
            np.asarray(objects.images)[part],
            {get_title(name): np.asarray(values)[part] for name, values in one.maps.items()},
            labels=one.captions[part],
            band_names=objects.bands,
            pixel_scale=objects.pixel_scale,
            contour=get_title(first),
            foot="; ".join(filter(None, (one.label, objects.orientation))),
        )

    return _plot_sheets(one, _OBJECTS, plot, "maps of each method.", raster=True)


def _plot_by_band(explanation: Explanation, one: Attribution) -> list[Picture]:
    objects = explanation.objects
    maps = {get_title(m): v for m, v in one.maps.items() if v.ndim == 4 and v.shape[-1] > 1}
    pictures = []
    for i, label in enumerate(_get_names(one, slice(_BY_BAND)) if maps else ()):
        figure = figures.plot_attribution_by_band(
            np.asarray(objects.images)[i],
            {name: values[i] for name, values in maps.items()},
            band_names=objects.bands,
            channel_names=objects.channel_names(next(iter(maps.values())).shape[-1]),
            pixel_scale=objects.pixel_scale,
            title=f"{label}\n{one.label}",
        )
        caption = f"{one.label}, band by band; the bands of a method share one scale."
        pictures.append(Picture(figure, caption, f"{label}: {caption}", raster=True))
    return pictures


def _plot_fractions(
    one: Attribution, names: Sequence[str], noun: str, note: str = "", *, along: bool = True
) -> list[Picture]:
    """Fractions over all objects, and along a column where there are enough objects."""
    fractions = {get_title(name): values for name, values in one.check("fractions").items()}
    if not fractions:
        return []
    caption = (
        f"{one.label}: fraction of the absolute attribution in each {noun}. Medians over objects, "
        f"with the range from 16 % to 84 %; dotted: a uniform map.{note}"
    )
    figure = figures.plot_band_fractions(fractions, band_names=names)
    pictures = [Picture(figure, caption)]
    if along and one.along is not None and np.isfinite(one.along[1]).sum() >= _ENOUGH:
        figure = figures.plot_band_fractions(fractions, band_names=names, along=one.along)
        pictures.append(Picture(figure, f"{one.label}: the same along {one.along[0]}."))
    return pictures


def _group_by_method(one: Attribution) -> dict[str, NDArray[Any]]:
    """Attributions of shape (n, n_scalars), by title and unit of the method."""
    contributions = {}
    for name, values in one.maps.items():
        unit = ", per $\\sigma$" if getattr(find_method(name), "is_gradient", False) else ""
        contributions[get_title(name) + unit] = np.asarray(values, float).reshape(len(values), -1)
    return contributions


def _plot_inputs(one: Attribution, scalars: Scalars) -> list[Picture]:
    """Bars of single objects, and all objects together."""
    pictures = []
    added = _group_by_method(one)
    names = _replace_minus(scalars.names)
    if "integrated_gradients" in one.maps:
        figure = figures.plot_input_summary(
            added[get_title("integrated_gradients")],
            scalars.standardized,
            names=names,
            output=one.label,
        )
        caption = (
            f"{one.label}: contribution of each input by integrated gradients, relative to the "
            f"mean object. Left, the mean of its absolute value over {len(one.truths)} objects; "
            "right, each object, colored by the value of the input."
        )
        pictures.append(Picture(figure, caption))
    pictures += _plot_fractions(one, names, "input", along=len(names) <= _LINES)
    texts = []
    for row in scalars.values:
        triples = zip(scalars.names, row, scalars.units, strict=True)
        texts.append(
            _replace_minus(f"{name} = {v:.4g} {unit}".rstrip() for name, v, unit in triples)
        )

    def plot(part: slice) -> Any:
        return figures.plot_input_bars(
            {method: values[part] for method, values in added.items()},
            names=texts[part],
            labels=_get_names(one, part),
            foot=one.label,
        )

    step = min(max(1, _BARS // len(names)), _OBJECTS)
    return [*pictures, *_plot_sheets(one, step, plot, "values of each method.")]


def _plot_spectra(one: Attribution, scalars: Scalars) -> list[Picture]:
    """Lines along the inputs of single objects, and all objects together."""
    added = _group_by_method(one)
    names, ylabel = scalars.names, _format_axis_label(set(scalars.units))
    figure = figures.plot_spectrum_summary(scalars.values, added, names=names, ylabel=ylabel)
    caption = (
        f"{one.label}: above, the median of the {len(one.truths)} objects with the range from "
        "16 % to 84 % of them; below, the fraction of the absolute attribution of each input, its "
        "mean over the objects."
    )

    def plot(part: slice) -> Any:
        return figures.plot_spectra(
            scalars.values[part],
            {method: values[part] for method, values in added.items()},
            labels=_get_names(one, part),
            names=names,
            ylabel=ylabel,
            foot=one.label,
        )

    text = (
        f"each object, colored by {next(iter(added))}, and below it all methods, divided by the "
        "number in the legend."
    )
    return [Picture(figure, caption), *_plot_sheets(one, _SPECTRA, plot, text)]


def _format_axis_label(units: set[str]) -> str:
    """Label for values of one unit, or of none."""
    (unit,) = units if len(units) == 1 else ("",)
    try:
        text = Unit(unit).to_string("latex_inline").replace(r"$1 \times ", "$")
    except ValueError:
        text = unit
    return f"value [{text}]" if unit else "value"


def _replace_minus(names: Any) -> list[str]:
    """Names with a minus sign as wide as a plus."""
    return [name.replace(" - ", " \u2212 ").replace("= -", "= \u2212") for name in names]


def _build_checks_chapter(explanation: Explanation) -> Chapter | None:
    """Chapter on the checks; None if no check was made."""
    terms = _IMAGE_TERMS if explanation.objects.scalars is None else _SCALAR_TERMS
    pictures: list[Picture] = []
    tables: list[Table] = []
    for one in explanation.attributions:
        start = f"{one.label}: " if len(explanation.attributions) > 1 else ""
        tables += _build_checks_table(one)
        pictures += _plot_curves(one, start, terms)
        pictures += _plot_randomization(one, start, terms)
    if not (pictures or tables):
        return None
    text = ["A check can show that a map is wrong, not that it is right. Same objects as above."]
    columns = {column for table in tables for column in table.columns}
    text += [f"{name}: {t.format_map(terms)}" for name, t in _CHECKS.items() if name in columns]
    return Chapter("Checks of the attribution", text, pictures, tables)


def _plot_curves(one: Attribution, start: str, terms: Mapping[str, str]) -> list[Picture]:
    curves = {get_title(name): curve for name, curve in one.check("curves").items()}
    if not curves:
        return []
    curves, reversed_ = _align_curves(curves)
    ylabel = f"{one.label}, minus that of {terms['empty']}" if reversed_ else one.label
    figure = figures.plot_deletion_insertion(curves, ylabel=ylabel)
    caption = (
        f"{start}mean output over objects while {terms['pixels']} are {terms['filled']} in the "
        "order of a map (left), or restored in that order (right). For a good map the output "
        f"approaches that of {terms['empty']}, or that of the {terms['image']}, faster than in "
        "random order (gray: range of single random orders)."
    )
    if reversed_:
        caption += (
            f" For {reversed_} of {len(one.truths)} objects {terms['empty']} has the larger "
            "output; they enter with the opposite sign."
        )
    return [Picture(figure, caption)]


def _plot_randomization(one: Attribution, start: str, terms: Mapping[str, str]) -> list[Picture]:
    values = {get_title(name): v for name, v in one.check("randomization").items()}
    if not values:
        return []
    figure = figures.plot_randomization(one.stages, values)
    count = max(np.isfinite(np.asarray(v)).any(axis=1).sum() for v in values.values())
    caption = (
        f"{start}rank correlation of maps under weight randomization (Adebayo et al. 2018), from "
        f"the output down. Medians over at most {count} objects, with the range from 16 % to 84 %. "
        f"A map that does not change shows the {terms['image']}, not the network."
    )
    return [Picture(figure, caption)]


def _compute_direction(curve: DeletionInsertion) -> Any:
    """Sign of the change of the output from the image to empty sky."""
    values = np.asarray(curve.deletion, float)
    return np.sign(values[:, -1] - values[:, 0])


def _align_curves(
    curves: Mapping[str, DeletionInsertion],
) -> tuple[dict[str, DeletionInsertion], int]:
    """Reverse curves to a common direction, and count them.

    Falling and rising curves would cancel in the mean; where there are both, curves are relative
    to their ends.
    """
    direction = _compute_direction(next(iter(curves.values())))
    sign = np.where(direction == -np.sign(direction.sum() or -1), -1.0, 1.0)[:, None]
    aligned = {}
    for method, curve in curves.items():
        end = np.asarray(curve.deletion, float)[:, -1:] if (sign < 0).any() else 0.0
        values = {name: sign * (np.asarray(getattr(curve, name), float) - end) for name in CURVES}
        aligned[method] = curve._replace(**values)
    return aligned, int((sign < 0).sum())


def _build_checks_table(one: Attribution) -> list[Table]:
    """One row a method, one column a check that was made."""
    columns: dict[str, dict[str, str]] = {}

    def put(column: str, method: str, text: str) -> None:
        columns.setdefault(column, {})[method] = text

    for name, curve in one.check("curves").items():
        # Some numbers, such as an uncertainty, are larger for empty sky than for an object.
        areas, direction = curve.areas, _compute_direction(curve)
        for kind, sign in (("deletion", 1), ("insertion", -1)):
            gain = sign * direction * (areas[kind] - areas[f"random_{kind}"])
            better = int(np.sum(gain > 0))
            put(kind.capitalize(), name, f"{np.mean(gain):.3g} ({better} of {len(gain)})")
    for name, values in one.check("randomization").items():
        put("Random weights", name, _format_median(values[:, -1]))
    for name, values in one.check("shift").items():
        put("Image shifted", name, _format_median(values))
    for name, hits in one.check("pointing").items():
        put("Inside", name, _format_percent(hits.inside))
        put("Expected", name, _format_percent(hits.expected))
        hit = _select_finite(hits.hit)
        put("Peak inside", name, f"{hit.sum():.3g} of {len(hit)}")
    methods = dict.fromkeys(name for cells in columns.values() for name in cells)
    if not methods:
        return []
    rows = [
        [get_title(name), *(cells.get(name, "\u2013") for cells in columns.values())]
        for name in methods
    ]
    return [Table(["Method", *columns], rows, f"{one.label}: checks of the maps", numeric=True)]


def _select_finite(values: Any) -> NDArray[np.float64]:
    array = np.asarray(values, float)
    return array[np.isfinite(array)]


def _format_median(values: Any) -> str:
    finite = _select_finite(values)
    return f"{np.median(finite):.2f}" if finite.size else "\u2013"


def _format_percent(values: Any) -> str:
    finite = _select_finite(values)
    return f"{100 * finite.mean():.0f}\u00a0%" if finite.size else "\u2013"


def _build_inspection_chapter(explanation: Explanation) -> Chapter | None:
    pictures: list[Picture] = []
    for name, hdus in explanation.inspections.items():
        method = find_method(name)
        if isinstance(method, InspectionMethod):
            pictures += method.plot(hdus, explanation)
    text = ["Filters and layers of the network as a whole, whatever the single object."]
    return Chapter("Inside the network", text, pictures) if pictures else None
