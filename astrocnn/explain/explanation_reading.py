"""Explanations as they were written, for the report."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from astropy.io import fits

from astrocnn.explain.explained import Explanations, Looked
from astrocnn.explain.explanation_files import NETWORK, OBJECTS, TABLE
from astrocnn.explain.explanation_hdus import in_native_order
from astrocnn.explain.explanation_network import learned_from
from astrocnn.explain.explanation_scalars import scalars_from
from astrocnn.explain.explanation_tables import CURVES

__all__ = ["read", "words"]

_SHARE = "share_"
_TILT = 0.1
"""Largest sine of the angle to north up."""


def read(
    folder: Path,
    *,
    pixel_scale: float | None = None,
    images: Callable[[Any], Any] | None = None,
) -> tuple[Explanations, dict[str, Any]]:
    """The inverse of `astrocnn.explain.explanation_files.write`.

    Parameters
    ----------
    folder : Path
        What was written.
    pixel_scale : float, optional
        [arcsec/pixel]
    images : callable, optional
        From rows of the catalogue to images, for the embedding.

    Returns
    -------
    explanations : Explanations
    cards : dict of str to object
        Of the primary header: ``MODELSHA`` says to which network they belong.
    """
    looked: list[Looked] = []
    about: dict[str, Any] = {}
    learned = None
    cards: dict[str, Any] = {}
    if (folder / NETWORK).is_file():
        with fits.open(folder / NETWORK, memmap=False) as hdus:
            cards = _cards(hdus)
            learned = learned_from(hdus, images)
            about["bands"] = _bands(hdus[0].header)
            units = [hdu.header["BUNIT"] for hdu in hdus if hdu.header.get("BUNIT")]
            about["unit"] = units[0] if units else ""
    if (folder / TABLE).is_file():
        looked, others, cards = _tables(folder)
        about |= others
    shown = Explanations(
        looked=tuple(looked), learned=learned, pixel_scale=pixel_scale, **{"bands": (), **about}
    )
    return shown, cards


def words(identifier: Any, label: str, said: str) -> str:
    """What stands beside an object: its identifier, its label and the prediction."""
    text = str(identifier)
    text = text if len(text) <= 20 else f"{text[:8]}...{text[-8:]}"
    said = said.replace("+-", "\u00b1")
    parts = (text, label and f"label {label}", said and f"predicted {said}")
    return "\n".join(part for part in parts if part)


def _tables(folder: Path) -> tuple[list[Looked], dict[str, Any], dict[str, Any]]:
    """What was explained, names of bands and channels with the orientation, and the cards."""
    with fits.open(folder / TABLE, memmap=False) as hdus:
        cards = _cards(hdus)
        table, header = _columns(hdus["DIAGNOSTICS"]), hdus["DIAGNOSTICS"].header
        curves = _columns(hdus["CURVES"]) if "CURVES" in hdus else None
        forgot = _columns(hdus["RANDOMIZATION"]) if "RANDOMIZATION" in hdus else None
    first = (table["part"] == 1) & (table["method"] == table["method"][0])
    pictures, maps, about = _objects([folder / OBJECTS / name for name in table["file"][first]])
    shares = [name for name in table if name.startswith(_SHARE)]
    looked = []
    for part in np.unique(table["part"]):
        mine = table["part"] == part
        methods = list(dict.fromkeys(table["method"][mine]))
        where = {m: np.flatnonzero(mine & (table["method"] == m)) for m in methods}
        here = where[methods[0]]
        labels = [
            words(*told)
            for told in zip(*(table[c][here] for c in ("id", "label", "said")), strict=True)
        ]
        stages, randomization = _forgetting(forgot, part, len(here))
        along = header.get(f"ALONG{part}")
        looked.append(
            Looked(
                output=header[f"OUTPUT{part}"],
                images=pictures,
                maps={m: maps[m, int(part)] for m in methods},
                labels=labels,
                curves={m: c for m in methods if (c := _curve(curves, where[m])) is not None},
                stages=stages,
                randomization=randomization,
                shifts=_known({m: table["shift"][where[m]] for m in methods}),
                shares=_known(
                    {m: np.stack([table[c][where[m]] for c in shares], 1) for m in methods}
                    if shares
                    else {}
                ),
                along=None if along is None else (along, table["along"][here]),
            )
        )
    return looked, about, cards


def _cards(hdus: fits.HDUList) -> dict[str, Any]:
    return {key: value for key, value in hdus[0].header.items() if key}


def _columns(hdu: Any) -> dict[str, Any]:
    found = {}
    for name in hdu.columns.names:
        values = np.asarray(hdu.data[name])
        if values.dtype.kind in "SU":
            found[name] = np.char.rstrip(values.astype(str))
        else:
            found[name] = in_native_order(values)
    return found


def _objects(paths: list[Path]) -> tuple[Any, dict[Any, Any], dict[str, Any]]:
    """Images, maps by method and part, and what is known of all objects."""
    if (alone := scalars_from(paths)) is not None:
        return None, alone[1], {"scalars": alone[0], "channels": alone[0].names}
    pictures, north = [], []
    maps: dict[tuple[str, int], list[Any]] = {}
    bands: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    for path in paths:
        with fits.open(path, memmap=False) as hdus:
            pictures.append(np.moveaxis(in_native_order(hdus["IMAGE"].data), 0, -1))
            bands = _bands(hdus["IMAGE"].header)
            north.append(_is_north_up(hdus["IMAGE"].header))
            for hdu in hdus[2:]:
                values = in_native_order(hdu.data)
                if values.ndim == 3:
                    values = np.moveaxis(values, 0, -1)
                    channels = _bands(hdu.header)
                key = (hdu.header["METHOD"], hdu.header.get("EXTVER", 1))
                maps.setdefault(key, []).append(values)
    stacked = {key: np.stack(v) for key, v in maps.items()}
    orientation = "N up, E left" if all(north) else ""
    about = {"bands": bands, "channels": channels, "orientation": orientation}
    return np.stack(pictures), stacked, about


def _is_north_up(header: Any) -> bool:
    """Whether a WCS has north up and east left, within a few degrees."""
    from astropy.wcs import WCS

    if "CTYPE1" not in header:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sky = WCS(header, naxis=2)
        matrix = sky.pixel_scale_matrix
    if sky.wcs.lng:
        return False
    size = float(np.sqrt(np.abs(np.linalg.det(matrix))))
    return bool(np.abs(matrix / size - [[-1, 0], [0, 1]]).max() < _TILT)


def _bands(header: Any) -> tuple[str, ...]:
    found: list[str] = []
    while (key := f"BAND{len(found) + 1}") in header:
        found.append(header[key])
    return tuple(found)


def _curve(curves: Any, where: Any) -> Any:
    if curves is None or not np.isfinite(curves["deletion"][where]).any():
        return None
    found = {name: curves[name][where].astype(float) for name in CURVES}
    return SimpleNamespace(fraction=curves["fraction"][where[0]].astype(float), **found)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: v for name, v in values.items() if v.size and np.isfinite(v).any()}


def _forgetting(table: Any, part: int, n: int) -> tuple[list[str], dict[str, Any]]:
    if table is None:
        return [], {}
    mine = table["part"] == part
    stages = [""] * (int(table["step"][mine].max(initial=-1)) + 1)
    found: dict[str, Any] = {}
    for method in dict.fromkeys(table["method"][mine]):
        rows = mine & (table["method"] == method)
        values = np.full((n, len(stages)), np.nan)
        values[table["object"][rows], table["step"][rows]] = table["correlation"][rows]
        for step, name in zip(table["step"][rows], table["stage"][rows], strict=True):
            stages[step] = str(name)
        found[str(method)] = values
    return stages, found
