"""Explanations of networks that take scalars alone: a table an object, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from astrocnn.explain.explained import Scalars
from astrocnn.explain.explanation_hdus import Card, Values, in_native_order, table_hdu

__all__ = ["SCALARS", "scalars_from", "scalars_hdu"]

_OWN = ("input", "value", "unit", "standardized")
_GRADIENT = "change of OUTPUT per standard deviation of the input"
SCALARS = {
    "saliency": _GRADIENT,
    "smooth_grad": f"{_GRADIENT}, smoothed",
    "integrated_gradients": "what the input adds to OUTPUT, beside mean inputs",
    "occlusion": "what OUTPUT loses when the input has its mean",
}
"""What a number of a column means, by method."""


def scalars_hdu(
    scalars: Scalars, k: int, maps: Mapping[str, Any], cards: Sequence[Card] = (), number: int = 1
) -> fits.BinTableHDU:
    """The table INPUTS: a row for each input of an object, a column for each method.

    Parameters
    ----------
    scalars : Scalars
        Of all objects.
    k : int
        Which object.
    maps : mapping of str to ndarray of shape (n, 1, n_scalars) or (n, 1, n_scalars, 1)
        Of all objects, by method.
    cards, number
        As for `astrocnn.explain.explanation_hdus.image_hdu`.
    """
    own = (
        (np.asarray(scalars.names), "", "name of the input"),
        (np.asarray(scalars.values[k], np.float32), "", "its value in the catalogue, in unit"),
        (np.asarray(scalars.units), "", "unit of value"),
        (np.asarray(scalars.standardized[k], np.float32), "", "less mean, by standard deviation"),
    )
    columns: dict[str, Values] = dict(zip(_OWN, own, strict=True))
    for method, values in maps.items():
        made = np.asarray(values[k], np.float32).ravel()
        columns[method] = (made, "", SCALARS.get(method, ""))
    said = ["Mean and standard deviation of an input are those of the training set."]
    return table_hdu("INPUTS", columns, cards, number=number, comments=said)


def scalars_from(paths: Sequence[Path]) -> tuple[Scalars, dict[tuple[str, int], Any]] | None:
    """The inverse of `scalars_hdu`; nothing where the files hold images.

    Parameters
    ----------
    paths : sequence of Path
        Files of all objects.

    Returns
    -------
    scalars : Scalars
    maps : dict of (str, int) to ndarray of shape (n, 1, n_scalars)
        By method and number of the table.
    """
    found: dict[tuple[str, int], list[Any]] = {}
    for path in paths:
        with fits.open(path, memmap=False) as hdus:
            if "INPUTS" not in hdus:
                return None
            for hdu in hdus[1:]:
                for name in hdu.columns.names:
                    values = in_native_order(hdu.data[name])
                    found.setdefault((name, hdu.header.get("EXTVER", 1)), []).append(values)
    names, values, units, standardized = (found[name, 1] for name in _OWN)
    scalars = Scalars(
        tuple(str(name) for name in names[0]),
        tuple(str(unit) for unit in units[0]),
        np.stack(values),
        np.stack(standardized),
    )
    maps = {key: np.stack(v)[:, None] for key, v in found.items() if key[0] not in _OWN}
    return scalars, maps
