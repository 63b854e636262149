"""What an explanation leaves on disk: a FITS file an object, one of numbers, one of the network.

==========================  =========================================================
``objects/<id>.fits``       IMAGE and a map of each method, with the WCS of the cutout
``diagnostics.fits``        a row for each object, target and method; the curves behind it
``diagnostics.csv``         the same rows as text
``network.fits``            what the network as a whole has learned
==========================  =========================================================
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from astrocnn.atomic import replacing
from astrocnn.evaluation.explained import Learned, Looked
from astrocnn.prediction.explanation_hdus import (
    NO_UNIT,
    Card,
    Column,
    image_hdu,
    table_hdu,
    write_hdus,
)
from astrocnn.prediction.explanation_network import embedding_hdu, network_hdus
from astrocnn.prediction.table_column import fits_name

__all__ = [
    "CURVES",
    "NETWORK",
    "OBJECTS",
    "PIXELS",
    "TABLE",
    "Diagnosed",
    "Objects",
    "file_name",
    "write",
]

OBJECTS, TABLE, NETWORK = "objects", "diagnostics.fits", "network.fits"
"""Folder of the objects, and names of the other files."""

AREAS = ("deletion", "insertion", "random_deletion", "random_insertion")
"""Curves of the check by deletion whose areas are in the table."""

CURVES = (*AREAS, "random_deletion_std", "random_insertion_std")
"""All of them, in the order of their columns."""

_NO_WCS = "There is no WCS: the place of this image on the sky is not known."
_GRADIENT = "Change of OUTPUT per unit of the normalized image, not of flux."
PIXELS = {
    "saliency": _GRADIENT,
    "smooth_grad": _GRADIENT,
    "grad_cam": "Responses of a layer times their mean gradients, enlarged to the image.",
    "integrated_gradients": "What each pixel adds to OUTPUT: in all SCORE less that of empty sky.",
    "occlusion": "What OUTPUT loses, in the mean of the squares that hide the pixel.",
    "deconvnet": "In proportion to the response of one filter, not in units of OUTPUT.",
}
"""What a number in a map means, by method."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects that were explained.

    Parameters
    ----------
    ids : ndarray of shape (n,)
        Identifiers.
    rows : ndarray of int of shape (n,)
        Rows of the catalogue.
    ra, dec : ndarray of shape (n,), optional
        ICRS [deg].
    images : ndarray of shape (n, height, width, n_bands)
        Flux [`unit`].
    wcs : sequence
        The WCS of each image, or None.
    bands : sequence of str
        Names of the bands.
    channels : sequence of str
        What the last axis of a map counts: the bands, and masks or mixtures of them if the network
        takes such.
    unit : str, optional
        Of the images.
    """

    ids: Any
    rows: Any
    ra: Any
    dec: Any
    images: Any
    wcs: Sequence[Any]
    bands: Sequence[str]
    channels: Sequence[str]
    unit: str | None = None


@dataclass(frozen=True, eq=False)
class Diagnosed:
    """Maps for one number of each object, and what is known about them.

    Parameters
    ----------
    looked : Looked
        What the report shows; its labels are made from `label` and `said`.
    target : str
        Which target.
    outputs : sequence of str
        The number explained, for each object.
    scores : ndarray of shape (n,)
        Its value.
    label, said : sequence of str
        Truth, empty where unknown, and prediction of each object.
    residuals : mapping of str to ndarray of shape (n,)
        What attributions miss of the difference of the scores, of methods that promise it.
    """

    looked: Looked
    target: str
    outputs: Sequence[str]
    scores: Any
    label: Sequence[str]
    said: Sequence[str]
    residuals: dict[str, Any] = field(default_factory=dict)


def write(
    folder: Path,
    objects: Objects,
    diagnosed: Sequence[Diagnosed],
    learned: Learned | None,
    cards: Sequence[Card],
    embedded: tuple[Any, Any] | None = None,
) -> None:
    """Write all files of an explanation into an empty folder.

    Parameters
    ----------
    folder : Path
        Where to.
    objects : Objects
        Which objects.
    diagnosed : sequence of Diagnosed
        One for each number explained.
    learned : Learned, optional
        What the network has learned; its image is that of the first object.
    cards : sequence of Card
        Provenance, for the primary header of each file.
    embedded : (ndarray, ndarray), optional
        Identifiers and rows of the catalogue of the points of the embedding.
    """
    (folder / OBJECTS).mkdir(parents=True)
    for k in range(len(objects.ids)):
        name = file_name(objects.ids[k])
        hdus = list(_object_hdus(objects, k, diagnosed))
        write_hdus(folder / OBJECTS / name, _object_cards(objects, k, cards), hdus)
    if diagnosed:
        table = _diagnostics(objects, diagnosed)
        others = [_curves(diagnosed), _randomization(diagnosed)]
        write_hdus(folder / TABLE, cards, [table, *(hdu for hdu in others if hdu is not None)])
        _write_csv(folder / "diagnostics.csv", table)
    if learned is not None:
        first = [("OBJID", str(i), "identifier of the object") for i in objects.ids[:1]]
        more = network_hdus(learned, objects.bands, objects.channels, objects.unit, first)
        if learned.points is not None and embedded is not None:
            more.append(embedding_hdu(learned, *embedded))
        bands = [(f"BAND{b}", name, "") for b, name in enumerate(objects.bands, start=1)]
        write_hdus(folder / NETWORK, [*cards, *bands], more)


def file_name(identifier: Any) -> str:
    """Name of an object's file; identifiers that are no names for files get a digest.

    Examples
    --------
    >>> file_name(np.int64(-12)), file_name("J12+03.4")
    ('-12.fits', 'J12+03.4.fits')
    >>> file_name("../a b")
    '__a_b-2c2c791a.fits'
    """
    text = str(identifier)
    safe = re.sub(r"[^A-Za-z0-9._+-]", "_", text)[:80]
    safe = re.sub(r"^\.+|\.(?=\.)", "_", safe)
    if safe != text:
        safe += "-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{safe}.fits"


def _object_cards(objects: Objects, k: int, cards: Sequence[Card]) -> list[Card]:
    found: list[Card] = [("OBJID", str(objects.ids[k]), "identifier of the object")]
    if objects.ra is not None:
        found.append(("RA_OBJ", float(objects.ra[k]), "[deg] right ascension"))
        found.append(("DEC_OBJ", float(objects.dec[k]), "[deg] declination"))
    found.append(("CATROW", int(objects.rows[k]), "row of the catalogue, from 0"))
    return [*cards, *found]


def _object_hdus(objects: Objects, k: int, diagnosed: Sequence[Diagnosed]) -> Any:
    wcs = objects.wcs[k]
    nowhere = [_NO_WCS] if wcs is None else []
    bands: list[Card] = [(f"BAND{b}", name, "") for b, name in enumerate(objects.bands, start=1)]
    unit: list[Card] = [("BUNIT", objects.unit, "unit of the pixels")] if objects.unit else []
    image = np.moveaxis(objects.images[k], -1, 0)
    yield image_hdu("IMAGE", image, [*unit, *bands], wcs=wcs, comments=nowhere)
    channels: list[Card] = [
        (f"BAND{b}", name, "") for b, name in enumerate(objects.channels, start=1)
    ]
    for number, one in enumerate(diagnosed, start=1):
        for method, maps in one.looked.maps.items():
            values = np.asarray(maps[k])
            cards: list[Card] = [
                NO_UNIT,
                ("METHOD", method, "how the map was made"),
                ("TARGET", one.target, "what is predicted"),
                ("OUTPUT", one.outputs[k], "the number that is explained"),
                ("SCORE", float(one.scores[k]), "its value"),
                ("SAID", one.said[k], "prediction"),
                ("LABEL", one.label[k], "label, empty where there is none"),
            ]
            by_band = values.ndim == 3
            yield image_hdu(
                method,
                np.moveaxis(values, -1, 0) if by_band else values,
                [*cards, *(channels if by_band else [])],
                wcs=wcs,
                number=number,
                comments=[*([PIXELS[method]] if method in PIXELS else []), *nowhere],
            )


def _rows(diagnosed: Sequence[Diagnosed]) -> list[tuple[int, Diagnosed, str]]:
    """Part, what was diagnosed and method, in the order of the blocks of n rows of the tables."""
    return [(p, one, m) for p, one in enumerate(diagnosed, start=1) for m in one.looked.maps]


def _diagnostics(objects: Objects, diagnosed: Sequence[Diagnosed]) -> Any:
    n, blocks = len(objects.ids), _rows(diagnosed)

    def each(values: Any) -> Any:
        return np.concatenate([np.asarray(values)] * len(blocks))

    def per(of: Any) -> Any:
        """A value for each object, or one for all, from part, what was diagnosed and method."""
        return np.concatenate([np.broadcast_to(np.asarray(of(*b)), (n,)) for b in blocks])

    def numbers(of: Any) -> Any:
        blank = np.full(n, np.nan)
        return np.concatenate([np.asarray(blank if (v := of(*b)) is None else v) for b in blocks])

    columns: dict[str, Column] = {"id": (each(objects.ids), "", "identifier")}
    if objects.ra is not None:
        columns["ra"] = (each(np.asarray(objects.ra, float)), "deg", "right ascension")
        columns["dec"] = (each(np.asarray(objects.dec, float)), "deg", "declination")
    columns |= {
        "row": (each(np.asarray(objects.rows, np.int64)), "", "row of the catalogue, from 0"),
        "file": (each([file_name(i) for i in objects.ids]), "", "file in the folder objects"),
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
    columns: dict[str, Column] = {}
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
    columns: dict[str, Column] = {
        "part": (found[0].astype(np.int16), "", "as in DIAGNOSTICS"),
        "method": (found[1], "", "how the maps were made"),
        "stage": (found[2], "", "the layer from which on weights are random"),
        "step": (found[3].astype(np.int16), "", "place among the stages, from 0"),
        "object": (found[4].astype(np.int32), "", "place among the objects, from 0"),
        "correlation": (found[5].astype(np.float32), "", "rank correlation of absolute maps"),
    }
    return table_hdu("RANDOMIZATION", columns)


def _write_csv(path: Path, hdu: Any) -> None:
    table = Table(hdu.data)
    for name in table.colnames:
        if table[name].dtype.kind == "S":
            table[name] = np.char.decode(np.asarray(table[name]), "ascii")
    with replacing(path) as temporary:
        table.write(temporary, format="ascii.csv", overwrite=True)


def _area(curves: Any, name: str) -> Any:
    if curves is None:
        return None
    return np.trapezoid(np.asarray(getattr(curves, name)), np.asarray(curves.fraction), axis=1)


def _last(values: Any) -> Any:
    return None if values is None else np.asarray(values)[:, -1]


def _share(values: Any, b: int) -> Any:
    return None if values is None else np.asarray(values)[:, b]
