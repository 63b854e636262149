"""What an explanation leaves on disk: a FITS file an object, one of numbers, one of the network.

==========================  =========================================================
``objects/<id>.fits``       IMAGE and a map of each method, with the WCS of the cutout; of a
                            network of scalars alone the table INPUTS
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
from astrocnn.explain.explained import Learned, Looked, Scalars
from astrocnn.explain.explanation_hdus import (
    NO_UNIT,
    Card,
    image_hdu,
    write_hdus,
)
from astrocnn.explain.explanation_network import embedding_hdu, network_hdus
from astrocnn.explain.explanation_scalars import scalars_hdu
from astrocnn.explain.explanation_tables import tables

__all__ = [
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
        takes such; or the scalars.
    unit : str, optional
        Of the images.
    scalars : Scalars, optional
        If the network takes them and no image.
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
    scalars: Scalars | None = None


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
        found = tables(objects, diagnosed, [file_name(i) for i in objects.ids])
        write_hdus(folder / TABLE, cards, found)
        _write_csv(folder / "diagnostics.csv", found[0])
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
    if objects.scalars is not None:
        for number, one in enumerate(diagnosed, start=1):
            yield scalars_hdu(objects.scalars, k, one.looked.maps, _about(one, k), number)
        if not diagnosed:
            yield scalars_hdu(objects.scalars, k, {})
        return
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
                *_about(one, k),
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


def _about(one: Diagnosed, k: int) -> list[Card]:
    return [
        ("TARGET", one.target, "what is predicted"),
        ("OUTPUT", one.outputs[k], "the number that is explained"),
        ("SCORE", float(one.scores[k]), "its value"),
        ("SAID", one.said[k], "prediction"),
        ("LABEL", one.label[k], "label, empty where there is none"),
    ]


def _write_csv(path: Path, hdu: Any) -> None:
    table = Table(hdu.data)
    for name in table.colnames:
        if table[name].dtype.kind == "S":
            table[name] = np.char.decode(np.asarray(table[name]), "ascii")
    with replacing(path) as temporary:
        table.write(temporary, format="ascii.csv", overwrite=True)
