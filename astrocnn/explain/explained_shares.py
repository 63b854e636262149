"""How much of the attribution falls on each band, or on each of a few inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from astrocnn.explain import figures
from astrocnn.explain.explained import Looked, method_name
from astrocnn.report.page import Picture

__all__ = ["share_pictures"]

_ENOUGH = 24
"""Objects from which on shares are also drawn along a column."""


def share_pictures(one: Looked, names: Sequence[str], each: str, note: str = "") -> list[Picture]:
    """Shares over all objects, and along a column where there are enough objects.

    Parameters
    ----------
    one : Looked
        Nothing is drawn where no method tells them apart.
    names : sequence of str
        Of the bands or inputs.
    each : str
        Words for what has a share: "in each band".
    note : str
        A further sentence of the caption.
    """
    shares = {method_name(method): np.asarray(values) for method, values in one.shares.items()}
    if not shares:
        return []
    alike = each.split()[-1]
    caption = (
        f"{one.output}: part of the absolute attribution {each}. Medians of the objects, with the "
        f"range from 16 % to 84 % of them; dotted, all {alike}s alike.{note}"
    )
    pictures = [Picture(figures.band_shares(shares, band_names=names), caption, caption)]
    if one.along is not None and np.isfinite(one.along[1]).sum() >= _ENOUGH:
        figure = figures.band_shares(shares, band_names=names, along=one.along)
        pictures.append(Picture(figure, f"{one.output}: the same along {one.along[0]}."))
    return pictures
