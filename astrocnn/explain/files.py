"""Explanations on disk: FITS files of objects, of diagnostics and of the network.

==========================  =========================================================
``objects/<id>.fits``       IMAGE and a map of each method, with the WCS of the cutout; of a
                            network of scalars alone the table INPUTS
``diagnostics.fits``        a row for each object, target and method; its curves
``diagnostics.csv``         the same rows as text
``network.fits``            the network as a whole
==========================  =========================================================
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS

from astrocnn.atomic import replacing
from astrocnn.column import fits_name
from astrocnn.explain.attribution import (
    Attribution,
    ExplainedObjects,
    Explanation,
    MapChecks,
    Scalars,
)
from astrocnn.explain.checks.deletion import CURVES, DeletionInsertion
from astrocnn.explain.hdus import (
    NO_UNIT,
    Card,
    band_cards,
    image_hdu,
    native,
    read_bands,
    read_hdus,
    table_hdu,
    write_hdus,
)
from astrocnn.explain.methods import find_method

__all__ = ["file_name", "read_explanation", "write_explanation"]

_OBJECTS, _TABLE, _NETWORK = "objects", "diagnostics.fits", "network.fits"
_NO_WCS = "There is no WCS: the place of this image on the sky is not known."
_ALL_CURVES = (*CURVES, "random_deletion_std", "random_insertion_std")
_INPUTS = ("input", "unit", "value", "standardized")
_FRACTION = "fraction_"
_TILT = 0.1
"""Largest sine of the angle to north up."""

_DIAGNOSTICS = {
    "id": "identifier",
    "ra": "right ascension",
    "dec": "declination",
    "row": "row of the catalogue, from 0",
    "file": "file in the folder objects",
    "part": "EXTVER of the map",
    "target": "what is predicted",
    "output": "the explained output",
    "method": "how the map was made",
    "score": "value of the output",
    "label": "label, empty where there is none",
    "prediction": "prediction",
    "residual": "change of the score minus the sum of attributions",
    "deletion_area": "mean output along the deletion",
    "insertion_area": "mean output along the insertion",
    "random_deletion_area": "mean output along the deletion in random order",
    "random_insertion_area": "mean output along the insertion in random order",
    "shift": "correlation with the map of the moved image",
    "randomized": "rank correlation with that of a random network",
    "along": "predicted value, of quantities",
}
"""Columns of DIAGNOSTICS in their order, before the fractions of the channels."""

Columns = dict[str, tuple[Any, str, str]]


def write_explanation(folder: Path, explanation: Explanation, cards: Sequence[Card]) -> None:
    """Write all files of an explanation into an empty folder, with cards on its provenance."""
    objects = explanation.objects
    (folder / _OBJECTS).mkdir(parents=True)
    names = [file_name(identifier) for identifier in objects.ids]
    for k, name in enumerate(names):
        write = _scalar_hdus if objects.scalars is not None else _image_hdus
        hdus = list(write(objects, k, explanation.attributions))
        write_hdus(folder / _OBJECTS / name, [*cards, *_object_cards(objects, k)], hdus)
    if explanation.attributions:
        hdus = _diagnostics(objects, explanation.attributions, names)
        write_hdus(folder / _TABLE, cards, hdus)
        _write_csv(folder / "diagnostics.csv", hdus[0])
    if explanation.inspections:
        hdus = []
        for name, method_hdus in explanation.inspections.items():
            for hdu in method_hdus:
                hdu.header["INSPECT"] = (name, "method that made this")
            hdus += method_hdus
        write_hdus(folder / _NETWORK, [*cards, *band_cards(objects.bands)], hdus)


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


def _object_cards(objects: ExplainedObjects, k: int) -> list[Card]:
    # A card without a value is not written.
    ra, dec = (None if v is None else float(v[k]) for v in (objects.ra, objects.dec))
    return [
        ("OBJID", str(objects.ids[k]), "identifier of the object"),
        ("RA_OBJ", ra, "[deg] right ascension"),
        ("DEC_OBJ", dec, "[deg] declination"),
        ("CATROW", int(objects.rows[k]), "row of the catalogue, from 0"),
    ]


def _target_cards(one: Attribution, k: int) -> list[Card]:
    return [
        ("TARGET", one.name, "what is predicted"),
        ("OUTPUT", one.labels[k], "the explained output"),
        ("SCORE", float(one.scores[k]), "its value"),
        ("PRED", one.predictions[k], "prediction"),
        ("LABEL", one.truths[k], "label, empty where there is none"),
    ]


def _image_hdus(
    objects: ExplainedObjects, k: int, attributions: Sequence[Attribution]
) -> Iterator[Any]:
    wcs = objects.wcs[k] if len(objects.wcs) else None
    wcs_comments = [_NO_WCS] if wcs is None else []
    unit: list[Card] = [("BUNIT", objects.unit, "unit of the pixels")] if objects.unit else []
    image = np.moveaxis(objects.images[k], -1, 0)
    cards = [*unit, *band_cards(objects.bands)]
    yield image_hdu("IMAGE", image, cards, wcs=wcs, comments=wcs_comments)
    for number, one in enumerate(attributions, start=1):
        for method, maps in one.maps.items():
            values = np.asarray(maps[k])
            cards = [NO_UNIT, ("METHOD", method, "how the map was made"), *_target_cards(one, k)]
            if values.ndim == 3:
                values = np.moveaxis(values, -1, 0)
                cards += band_cards(objects.channels)
            meaning = getattr(find_method(method), "unit", "")
            comments = [*filter(None, [meaning]), *wcs_comments]
            yield image_hdu(method, values, cards, wcs=wcs, number=number, comments=comments)


def _scalar_hdus(
    objects: ExplainedObjects, k: int, attributions: Sequence[Attribution]
) -> Iterator[Any]:
    """The table INPUTS: a row for each input of an object, a column for each method."""
    scalars = objects.scalars
    assert scalars is not None
    own: Columns = {
        "input": (np.asarray(scalars.names), "", "name of the input"),
        "value": (np.asarray(scalars.values[k], "f4"), "", "its value in the catalogue, in unit"),
        "unit": (np.asarray(scalars.units), "", "unit of value"),
        "standardized": (
            np.asarray(scalars.standardized[k], "f4"), "", "minus mean, by standard deviation"
        ),
    }  # fmt: skip
    comments = ["Mean and standard deviation of an input are those of the training set."]
    for number, one in enumerate(attributions, start=1):
        maps: Columns = {
            method: (
                np.asarray(v[k], np.float32).ravel(),
                "",
                getattr(find_method(method), "scalars_unit", ""),
            )
            for method, v in one.maps.items()
        }
        cards = _target_cards(one, k)
        yield table_hdu("INPUTS", own | maps, cards, number=number, comments=comments)
    if not attributions:
        yield table_hdu("INPUTS", own, comments=comments)


def _diagnostics(
    objects: ExplainedObjects, attributions: Sequence[Attribution], files: Sequence[str]
) -> list[Any]:
    """DIAGNOSTICS, with n rows for each attribution and method, CURVES and RANDOMIZATION."""
    n = len(objects.ids)
    blocks = [(p, one, m) for p, one in enumerate(attributions, start=1) for m in one.maps]
    rows = [_diagnostics_rows(objects, files, *block) for block in blocks]
    channels = {
        f"{_FRACTION}{fits_name(name)}": f"fraction of the attribution in {name}"
        for name in objects.channels
    }
    cards: list[Card] = []
    for p, one in enumerate(attributions, start=1):
        cards.append((f"OUTPUT{p}", one.label, "what part explains"))
        cards.append((f"LAYER{p}", one.layer or None, "the layer it explains"))
        if one.along is not None:
            cards.append((f"ALONG{p}", one.along[0], "what the column along holds"))
    hdus = [table_hdu("DIAGNOSTICS", _stack_rows(rows, (n,), _DIAGNOSTICS | channels), cards)]
    curves = [one.checks[method].curves for _, one, method in blocks]
    measured = [curve.fraction for curve in curves if curve is not None]
    if measured:
        blank = np.float32(np.nan)
        values = [
            {name: np.asarray(getattr(c, name, blank), np.float32) for name in _ALL_CURVES}
            | {"fraction": measured[0].astype(np.float32)}
            for c in curves
        ]
        meanings = {name: f"{name}, along fraction" for name in _ALL_CURVES}
        meanings["fraction"] = "fraction of the pixels removed or restored"
        columns = _stack_rows(values, (n, len(measured[0])), meanings)
        hdus.append(table_hdu("CURVES", columns, comments=["Rows are those of DIAGNOSTICS."]))
    return [*hdus, *_randomization_hdus(blocks, n)]


def _diagnostics_rows(
    objects: ExplainedObjects, files: Sequence[str], part: int, one: Attribution, method: str
) -> dict[str, Any]:
    """Values of the n rows of one attribution and method, or one value for all of them."""
    checks = one.checks[method]
    random = checks.randomization
    rows = {
        "id": objects.ids,
        "row": np.asarray(objects.rows, np.int64),
        "file": files,
        "part": np.int16(part),
        "target": one.name,
        "output": one.labels,
        "method": method,
        "score": one.scores,
        "label": one.truths,
        "prediction": one.predictions,
        "residual": checks.residual,
        "shift": checks.shift,
        "randomized": None if random is None else random[:, -1],
        "along": None if one.along is None else one.along[1],
    }
    if objects.ra is not None:
        rows |= {"ra": np.asarray(objects.ra, float), "dec": np.asarray(objects.dec, float)}
    areas = {} if checks.curves is None else checks.curves.areas
    rows |= {f"{name}_area": areas.get(name) for name in CURVES}
    for b, name in enumerate(objects.channels):
        fractions = checks.fractions
        rows[f"{_FRACTION}{fits_name(name)}"] = None if fractions is None else fractions[:, b]
    return rows


def _stack_rows(
    rows: Sequence[dict[str, Any]], shape: tuple[int, ...], meanings: dict[str, str]
) -> Columns:
    """Columns of blocks of a shape, in the order of their meanings; NaN for missing values."""
    columns: Columns = {}
    for name, meaning in meanings.items():
        if name in rows[0]:
            values = (np.nan if row[name] is None else row[name] for row in rows)
            parts = [np.broadcast_to(np.asarray(value), shape) for value in values]
            columns[name] = (np.concatenate(parts), "deg" if name in ("ra", "dec") else "", meaning)
    return columns


def _randomization_hdus(blocks: Sequence[tuple[int, Attribution, str]], n: int) -> list[Any]:
    """Correlations under weight randomization: a row for each object and stage."""
    parts = [
        (p, method, stage, step, k, float(values[k, step]))
        for p, one, method in blocks
        if (values := one.checks[method].randomization) is not None
        for step, stage in enumerate(one.stages)
        for k in range(n)
    ]
    if not parts:
        return []
    arrays = [np.array(column) for column in zip(*parts, strict=True)]
    columns: Columns = {
        "part": (arrays[0].astype(np.int16), "", "as in DIAGNOSTICS"),
        "method": (arrays[1], "", "how the maps were made"),
        "stage": (arrays[2], "", "the layer from which on weights are random"),
        "step": (arrays[3].astype(np.int16), "", "number of the stage, from 0"),
        "object": (arrays[4].astype(np.int32), "", "number of the object, from 0"),
        "correlation": (arrays[5].astype(np.float32), "", "rank correlation of absolute maps"),
    }
    return [table_hdu("RANDOMIZATION", columns)]


def _write_csv(path: Path, hdu: Any) -> None:
    table = Table(hdu.data)
    # Decode: bytes would be written as b'...'.
    for name in table.colnames:
        if table[name].dtype.kind == "S":
            table[name] = np.char.decode(np.asarray(table[name]), "ascii")
    with replacing(path) as temporary:
        table.write(temporary, format="ascii.csv", overwrite=True)


def read_explanation(
    folder: Path,
    *,
    pixel_scale: float | None = None,
    images: Callable[[Any], Any] | None = None,
) -> Explanation:
    """Read what `write_explanation` wrote.

    Parameters
    ----------
    folder : Path
        Its folder.
    pixel_scale : float, optional
        [arcsec/pixel]
    images : callable, optional
        From rows of the catalogue to images, for the thumbnails of an embedding.
    """
    inspections: dict[str, list[Any]] = {}
    header: Any = {}
    objects = ExplainedObjects((), (), pixel_scale=pixel_scale)
    attributions: list[Attribution] = []
    if (folder / _NETWORK).is_file():
        hdus = read_hdus(folder / _NETWORK)
        header = hdus[0].header
        for hdu in hdus[1:]:
            inspections.setdefault(hdu.header["INSPECT"], []).append(hdu)
        # Without maps, bands and unit are known from the images of the network alone.
        unit = next((u for hdu in hdus if (u := hdu.header.get("BUNIT"))), "")
        objects = replace(objects, bands=read_bands(header), unit=unit)
    if (folder / _TABLE).is_file():
        tables = {hdu.name: hdu for hdu in read_hdus(folder / _TABLE)}
        header = tables["PRIMARY"].header
        table = _columns(tables["DIAGNOSTICS"])
        # The objects of all blocks of rows are the same, in the same order.
        first = (table["part"] == 1) & (table["method"] == table["method"][0])
        files = [folder / _OBJECTS / name for name in table["file"][first]]
        objects, maps = _read_objects(files, table["id"][first], table["row"][first], pixel_scale)
        attributions = _read_attributions(tables, table, objects, maps)
    cards = {key: value for key, value in dict(header).items() if key}
    return Explanation(objects, attributions, inspections, cards, images)


def _columns(hdu: Any) -> dict[str, Any]:
    return {name: native(hdu.data[name]) for name in hdu.columns.names}


Maps = dict[tuple[str, int], Any]


def _read_objects(
    paths: Sequence[Path], ids: Any, rows: Any, pixel_scale: float | None
) -> tuple[ExplainedObjects, Maps]:
    """The objects, and maps by method and number of the attribution."""
    files = [read_hdus(path) for path in paths]
    if files[0][1].name == "INPUTS":
        return _read_scalars(files, ids, rows)
    parts: dict[tuple[str, int], list[Any]] = {}
    channels: tuple[str, ...] = ()
    for hdus in files:
        # IMAGE is the first extension, maps follow it.
        for hdu in hdus[2:]:
            values = native(hdu.data)
            if values.ndim == 3:
                values, channels = np.moveaxis(values, 0, -1), read_bands(hdu.header)
            parts.setdefault((hdu.header["METHOD"], hdu.ver), []).append(values)
    heads = [hdus[1].header for hdus in files]
    objects = ExplainedObjects(
        ids,
        rows,
        images=np.stack([np.moveaxis(native(hdus[1].data), 0, -1) for hdus in files]),
        wcs=[_read_wcs(head) for head in heads],
        bands=read_bands(heads[0]),
        channels=channels,
        unit=heads[0].get("BUNIT", ""),
        pixel_scale=pixel_scale,
        orientation="N up, E left" if all(map(_is_north_up, map(_read_wcs, heads))) else "",
    )
    return objects, {key: np.stack(values) for key, values in parts.items()}


def _read_scalars(files: Sequence[Any], ids: Any, rows: Any) -> tuple[ExplainedObjects, Maps]:
    parts: dict[tuple[str, int], list[Any]] = {}
    for hdus in files:
        for hdu in hdus[1:]:
            for name, values in _columns(hdu).items():
                parts.setdefault((name, hdu.ver), []).append(values)
    names, units, values, standardized = (np.stack(parts[name, 1]) for name in _INPUTS)
    scalars = Scalars(tuple(map(str, names[0])), tuple(map(str, units[0])), values, standardized)
    maps = {k: np.stack(arrays)[:, None] for k, arrays in parts.items() if k[0] not in _INPUTS}
    return ExplainedObjects(ids, rows, channels=scalars.names, scalars=scalars), maps


def _read_wcs(header: Any) -> WCS | None:
    if "CTYPE1" not in header:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WCS(header, naxis=2)


def _is_north_up(sky: WCS | None) -> bool:
    """Whether north is up and east left, within a few degrees."""
    if sky is None or sky.wcs.lng:
        return False
    matrix = sky.pixel_scale_matrix
    size = float(np.sqrt(np.abs(np.linalg.det(matrix))))
    return bool(np.abs(matrix / size - [[-1, 0], [0, 1]]).max() < _TILT)


def _read_attributions(
    tables: dict[str, Any], table: dict[str, Any], objects: ExplainedObjects, maps: Maps
) -> list[Attribution]:
    header = tables["DIAGNOSTICS"].header
    curves = _columns(tables["CURVES"]) if "CURVES" in tables else None
    random = _columns(tables["RANDOMIZATION"]) if "RANDOMIZATION" in tables else None
    fractions = [name for name in table if name.startswith(_FRACTION)]
    attributions = []
    for part in np.unique(table["part"]).tolist():
        in_part = table["part"] == part
        methods = list(dict.fromkeys(table["method"][in_part].tolist()))
        first = np.flatnonzero(in_part & (table["method"] == methods[0]))
        along = header.get(f"ALONG{part}")
        one = Attribution(
            header[f"OUTPUT{part}"],
            objects,
            name=str(table["target"][first[0]]),
            labels=table["output"][first].tolist(),
            scores=table["score"][first],
            truths=table["label"][first].tolist(),
            predictions=table["prediction"][first].tolist(),
            layer=header.get(f"LAYER{part}", ""),
            along=None if along is None else (along, table["along"][first]),
        )
        for method in methods:
            rows = np.flatnonzero(in_part & (table["method"] == method))
            one.maps[method] = maps[method, part]
            by_channel = [table[name][rows] for name in fractions]
            checks = one.checks[method] = MapChecks(
                residual=_none_if_empty(table["residual"][rows]),
                shift=_none_if_empty(table["shift"][rows]),
                fractions=_none_if_empty(np.stack(by_channel, axis=1)) if by_channel else None,
            )
            if curves is not None and np.isfinite(curves["deletion"][rows]).any():
                checks.curves = DeletionInsertion(
                    curves["fraction"][rows[0]].astype(float),
                    *(curves[name][rows].astype(float) for name in _ALL_CURVES),
                )
            if random is not None:
                used = (random["part"] == part) & (random["method"] == method)
                if used.any():
                    one.stages, checks.randomization = _read_stages(random, used, len(rows))
        attributions.append(one)
    return attributions


def _none_if_empty(values: Any) -> Any:
    return values if values.size and np.isfinite(values).any() else None


def _read_stages(table: dict[str, Any], used: Any, n: int) -> tuple[list[str], Any]:
    """Names of the stages, and correlations of shape (n, n_stages)."""
    steps, objects = table["step"][used], table["object"][used]
    values = np.full((n, int(steps.max()) + 1), np.nan)
    values[objects, steps] = table["correlation"][used]
    names = dict(zip(steps.tolist(), table["stage"][used].tolist(), strict=True))
    return [names[step] for step in sorted(names)], values
