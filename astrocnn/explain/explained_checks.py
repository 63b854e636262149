"""The chapter of a report on whether maps can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from astrocnn.explain import figures
from astrocnn.explain.explained import Explanations, Looked, method_name
from astrocnn.report.page import Chapter, Picture, Table

__all__ = ["chapter_on_checks"]

_CURVES = ("deletion", "insertion", "random_deletion", "random_insertion")

_CHECKS = {
    "Deletion": "{pixels} are {filled}, those first that matter most to the map. The area by which "
    "its curve is ahead of that of random orders on the way to the number of {empty}, in units of "
    "the number: the mean, and for how many objects it is ahead.",
    "Insertion": "the same while the {pixels} come back, on the way to the number of the {image}.",
    "Random weights": "median rank correlation with the map of a network that has learned nothing, "
    "over a few of the objects. A map of what was learned is far from 1.",
    "Image shifted": "median correlation with the map of the image moved by one pixel, after "
    "moving it back. A stable map is near 1.",
    "In the region": "part of the attribution that falls where the cause is known to be; beside "
    "it the part that would fall there by area, and how often the highest pixel does.",
}

_OF_PIXELS = {
    "pixels": "pixels",
    "filled": "filled with sky noise",
    "empty": "empty sky",
    "image": "image",
}
_OF_SCALARS = {
    "pixels": "inputs",
    "filled": "set to their means in the training set",
    "empty": "the mean object",
    "image": "object",
}
"""What is taken away of an image or of scalars, and what is left."""


def chapter_on_checks(found: Explanations) -> Chapter | None:
    """What became of the maps when pixels went, weights were forgotten, images moved.

    Parameters
    ----------
    found : Explanations
        Nothing is made of it if no check was.
    """
    say = _OF_PIXELS if found.scalars is None else _OF_SCALARS
    pictures: list[Picture] = []
    tables: list[Table] = []
    several = len(found.looked) > 1
    for one in found.looked:
        start = f"{one.output}: " if several else ""
        table = _checks(one)
        if table is not None:
            tables.append(table)
        if one.curves:
            curves, turned = _one_way(one.curves)
            beside = f", from that of {say['empty']}" if turned else ""
            figure = figures.deletion_insertion(curves, ylabel=f"{one.output}{beside}")
            caption = (
                f"{start}mean over objects while {say['pixels']} are {say['filled']} in the order "
                "of a map (left), or come back in it (right). A map that has found what matters "
                f"comes to the number of {say['empty']}, and back to that of the {say['image']}, "
                "sooner than random order (gray: the spread of single random orders)."
            )
            if turned:
                caption += (
                    f" Of {turned} of {len(one.labels)} objects {say['empty']} changes "
                    "the number the other way, and what it changes counts with the other sign."
                )
            pictures.append(Picture(figure, caption))
        if one.randomization:
            named = {method_name(name): values for name, values in one.randomization.items()}
            figure = figures.randomization_stages(one.stages, named)
            known = max(np.isfinite(np.asarray(v)).any(axis=1).sum() for v in named.values())
            caption = (
                f"{start}likeness of maps to those of a network whose layers got random weights, "
                f"from the output down. Medians of at most {known} objects, with the range from "
                "16 % to 84 % of them. A map that stays as it was shows "
                f"the {say['image']}, not what the network has learned."
            )
            pictures.append(Picture(figure, caption))
    if not (pictures or tables):
        return None
    text = [
        "Each check can fail a map; none can prove it right. Numbers are over the objects above."
    ]
    columns = {column for table in tables for column in table.columns}
    text += [
        f"{name}: {words.format_map(say)}" for name, words in _CHECKS.items() if name in columns
    ]
    return Chapter("Can the maps be believed?", text, pictures, tables)


def _one_way(curves: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Curves by what is said of their methods, all on one way, and how many had to be turned.

    The mean of a curve that falls and of one that rises would say nothing of either; where there
    are both, curves count from their ends.
    """
    way = _way(next(iter(curves.values())))
    sign = np.where(way == -np.sign(way.sum() or -1), -1.0, 1.0)[:, None]
    made = {}
    for method, curve in curves.items():
        spreads = {name: getattr(curve, name, None) for name in (f"{k}_std" for k in _CURVES[2:])}
        end = np.asarray(curve.deletion, float)[:, -1:] if (sign < 0).any() else 0.0
        turned = {name: sign * (np.asarray(getattr(curve, name), float) - end) for name in _CURVES}
        made[method_name(method)] = SimpleNamespace(fraction=curve.fraction, **turned, **spreads)
    return made, int((sign < 0).sum())


def _way(curve: Any) -> Any:
    """Whether empty sky has more of the number than the image (1), or less (-1)."""
    values = np.asarray(curve.deletion, float)
    return np.sign(values[:, -1] - values[:, 0])


def _checks(one: Looked) -> Table | None:
    """One row a method, one column a check that was made."""
    columns: dict[str, dict[str, str]] = {}

    def put(column: str, method: str, words: str) -> None:
        columns.setdefault(column, {})[method] = words

    for name, curve in one.curves.items():
        # Of some numbers, such as an uncertainty, empty sky has more than an object.
        x, way = np.asarray(curve.fraction, float), _way(curve)
        for kind, sign in (("deletion", 1), ("insertion", -1)):
            areas = [np.trapezoid(getattr(curve, k), x) for k in (kind, f"random_{kind}")]
            gain = sign * way * (areas[0] - areas[1])
            better = int(np.sum(gain > 0))
            said = f"{np.mean(gain):.3g} ({better} of {len(gain)})"
            put(kind.capitalize(), name, said)
    for name, values in one.randomization.items():
        put("Random weights", name, _middle(np.asarray(values)[:, -1]))
    for name, values in one.shifts.items():
        put("Image shifted", name, _middle(values))
    for name, hits in one.pointing.items():
        put("In the region", name, _percent(hits.inside))
        put("By area", name, _percent(hits.expected))
        known = np.asarray(hits.hit, float)
        known = known[np.isfinite(known)]
        put("Peak inside", name, f"{known.sum():.3g} of {len(known)}")
    methods = dict.fromkeys(name for cells in columns.values() for name in cells)
    if not methods:
        return None
    rows = [
        [method_name(name), *(cells.get(name, "\u2013") for cells in columns.values())]
        for name in methods
    ]
    caption = f"{one.output}: checks of the maps"
    return Table(["Method", *columns], rows, caption, numeric=True)


def _middle(values: Any) -> str:
    """Median of what is known."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return f"{np.median(known):.2f}" if known.size else "\u2013"


def _percent(values: Any) -> str:
    """Mean of what is known."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return f"{100 * known.mean():.0f}\u00a0%" if known.size else "\u2013"
